"""An embedder without weights, for testing programs: `FakeEmbedder`, served by `gemvec serve --model fake`.

A text always has the same vector, and texts that share words are nearer to each other than others. The vectors have no
other meaning. Limits, dimensionalities and errors are those of the Gemini names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import shake_256

import numpy as np
from msgspec import structs

from gemvec.embedding.checks import check_request
from gemvec.embedding.embed import Embedding, EmbedRequest, Float32Array, Priority, Tokens
from gemvec.embedding.embedder import OnDone
from gemvec.embedding.gemini_names import GEMINI_NAMES
from gemvec.embedding.models import FAKE, ServedModel, find_served
from gemvec.embedding.without_tokens import WithoutTokens
from gemvec.errors import InputTooLong
from gemvec.figures import Figure
from gemvec.models.vectors import fit_dimensions, normalise

_NATIVE_DIM = 3072
_DEFAULT_DIM = 768
_TOKEN_LIMIT = 8192
_REVISION = "00000000"
_WORD = re.compile(r"\w+|[^\w\s]")
# Weight of the exact text (order of words, white space) in a text's vector, compared to each word.
_OWN_SHARE = 0.2
_DESCRIPTION = "No model: vectors made from hashes of words, for testing programs."


class FakeEmbedder(WithoutTokens):
    """An `Embedder` whose vectors are made from hashes of a text's words; each word counts as a token."""

    why_without_tokens = "Its vectors are made from hashes of words."

    def __init__(self) -> None:
        own = ServedModel(
            name=FAKE,
            model_id=FAKE,
            revision=_REVISION,
            display_name=FAKE,
            description=_DESCRIPTION,
            input_token_limit=_TOKEN_LIMIT,
            native_dim=_NATIVE_DIM,
            default_dimensionality=_DEFAULT_DIM,
        )
        self._served = {own.name: own} | {
            each.name: replace(
                own,
                name=each.name,
                display_name=each.display_name,
                input_token_limit=each.input_token_limit,
                default_dimensionality=each.default_dimensionality,
                takes_options=each.takes_options,
                retired_at=each.retired_at,
            )
            for each in GEMINI_NAMES
        }

    def list_models(self) -> Sequence[ServedModel]:
        """See `Embedder.list_models`."""
        return list(self._served.values())

    def get_model(self, name: str) -> ServedModel:
        """See `Embedder.get_model`."""
        return find_served(self._served, name)

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,  # noqa: ARG002 # nobody has to wait
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """See `Embedder.embed`."""
        embeddings = [_embed(model, request, index) for index, request in enumerate(requests)]
        if on_done is not None:
            on_done(embeddings)
        return embeddings

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """See `Embedder.tokenize`."""
        return [
            structs.replace(request, tokens=Tokens(count=len(_words_of(model, request, index))))
            for index, request in enumerate(requests)
        ]

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:  # noqa: ARG002 # all alike
        """See `Embedder.count_tokens`."""
        return [len(_WORD.findall(text)) for text in texts]

    def figures(self) -> Iterable[Figure]:
        """Return nothing; see `Embedder.figures`."""
        return ()

    async def close(self) -> None:
        """Do nothing; see `Embedder.close`."""


def _words_of(model: ServedModel, request: EmbedRequest, index: int) -> list[str]:
    """Return the words of a request, those of the title first.

    Raises:
        InvalidRequest: it cannot be embedded as asked.
    """
    check_request(request, model, index)
    words = _WORD.findall(f"{request.title or ''} {request.text}".lower())
    limit = model.input_token_limit
    if len(words) > limit and not request.auto_truncate:
        raise InputTooLong(
            f"The text has {len(words)} tokens; {model.name} takes up to {limit}.", field="content", index=index
        )
    return words


def _embed(model: ServedModel, request: EmbedRequest, index: int) -> Embedding:
    words = _words_of(model, request, index)
    used = words[: model.input_token_limit]
    own = request.text if len(used) == len(words) else " ".join(used)
    vector = _OWN_SHARE * _direction(f"text {own}")
    for word in used:
        vector += _direction(word)
    dimensionality = request.output_dimensionality or model.default_dimensionality
    [fitted] = fit_dimensions(normalise(vector[None]), dimensionality)
    return Embedding.of(fitted, len(words), model.input_token_limit)


@functools.lru_cache(maxsize=4096)
def _direction(word: str) -> Float32Array:
    """Return the direction of a word: float32[3072] with a length of about 1."""
    digits = shake_256(word.encode("utf-8", "surrogatepass")).digest(2 * _NATIVE_DIM)
    found = np.frombuffer(digits, "<i2").astype(np.float32)  # uniform, with a standard deviation of 2**15 / sqrt(3)
    return found * np.float32(np.sqrt(3 / _NATIVE_DIM) / 2**15)
