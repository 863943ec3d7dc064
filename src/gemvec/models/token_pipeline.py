"""A loaded model whose network is run without pooling: `TokenPipeline`, for the vectors of single tokens.

Few callers want them, so it has a graph of its own beside the model's, which is loaded at the first call. A text is cut
at the network's window: vectors of tokens in different windows cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np

from gemvec.embedding.embed import Embedding, EmbedRequest, Float32Array
from gemvec.embedding.models import ServedModel
from gemvec.errors import EmptyText, InputTooLong
from gemvec.models.modules import CLS_POOLING, MEAN_POOLING, Normalize
from gemvec.models.pinned_vectors import check_pinned_vectors
from gemvec.models.pipeline import Pipeline
from gemvec.models.weights import LoadedModel
from gemvec.settings import Settings


class TokenPipeline(Pipeline):
    """One loaded model that returns the vectors of all tokens."""

    is_per_token: ClassVar[bool] = True

    def prepare_tokens(self, served: ServedModel, requests: Sequence[EmbedRequest]) -> PreparedTokens:
        """Check requests and return the network's inputs, one for each text.

        Raises:
            InvalidRequest: one cannot be embedded as asked; `index` says which.
        """
        limit = min(self._window.room, served.input_token_limit)
        token_ids = self._token_ids(served, requests)
        for index, (request, ids) in enumerate(zip(requests, token_ids, strict=True)):
            if len(ids) > limit and not request.auto_truncate:
                raise InputTooLong(
                    f"{{field}} has {len(ids)} tokens or more; {served.name} has vectors of up to {limit} tokens.",
                    field="content",
                    index=index,
                )
            if not self._window.fill(ids[:1]):
                raise EmptyText("{field} has no tokens.", field="content", index=index)
        return PreparedTokens(
            inputs=[self._window.fill(ids[:limit]) for ids in token_ids],
            token_counts=[len(ids) for ids in token_ids],
            unknown_counts=[self.tokenizer.count_unfamiliar(ids) for ids in token_ids],
            token_limit=limit,
        )

    def _check_vectors(
        self, model: LoadedModel, vectors: Float32Array, inputs: Sequence[Sequence[int]], settings: Settings
    ) -> None:
        """Pool the vectors of the pinned texts as the model does, and compare them with its pinned vectors.

        Nothing is compared if more than pooling makes the model's vectors.

        Raises:
            UnsupportedModel: the vectors are wrong.
        """
        pooling = [each for each in model.record.modules if not isinstance(each, Normalize)]
        if pooling not in ([MEAN_POOLING], [CLS_POOLING]):
            return
        texts = _split(vectors, inputs)
        pooled = [each.mean(axis=0) if pooling == [MEAN_POOLING] else each[0] for each in texts]
        check_pinned_vectors(model.weights_sha256, np.stack(pooled), settings.precision)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTokens:
    """A call for the vectors of tokens that is ready to be computed.

    Attributes:
        inputs: the network's input for each text.
        token_counts: tokens of each text before any cut; a text far beyond the limit is not counted to its end.
        unknown_counts: those of them that stand for text for which the model was not made.
        token_limit: how many tokens of a text have vectors, without special ones.
    """

    inputs: list[list[int]]
    token_counts: list[int]
    unknown_counts: list[int]
    token_limit: int

    def finish(self, vectors: Float32Array) -> list[Embedding]:
        """Return what `Embedder.embed_tokens` does, given the vectors of all texts, float32[tokens, size]."""
        found = zip(_split(vectors, self.inputs), self.token_counts, self.unknown_counts, strict=True)
        return [Embedding.of(each, count, self.token_limit, unknown) for each, count, unknown in found]


def _split(vectors: Float32Array, inputs: Sequence[Sequence[int]]) -> list[Float32Array]:
    """Return the vectors of each text, as views."""
    ends = list(accumulate(map(len, inputs)))
    return np.split(vectors, ends[:-1])
