"""Input and output of an embedder: `EmbedRequest`, `Embedding`, and how urgent a request is.

Both are made for every text, so they are msgspec's structs: a frozen dataclass takes five to ten times as long to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import msgspec
import numpy as np
import numpy.typing as npt

from gemvec.embedding.task_type import TaskType

Float32Array = npt.NDArray[np.float32]


class Priority(IntEnum):
    """Which calls go first when the model is busy: lower goes first."""

    INTERACTIVE = 0  # a caller waits for the answer
    BATCH = 1  # a durable job; computed when no interactive request waits


class Tokens(msgspec.Struct, frozen=True):
    """The tokens of a request's text, with its prompt and title and without special tokens.

    Attributes:
        count: their number.
        ids: int32[count] in the vocabulary of the model that counted them; None if only a server knows them.
    """

    count: int
    ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextToken:
    """One token of a text.

    Attributes:
        token_id: its id in the model's vocabulary.
        text: the characters it stands for; the name of a special token.
        is_special: whether the model wants it around every text.
        start: index of its first character in the text; None of a special token.
        end: index after its last character; None of a special token.
    """

    token_id: int
    text: str
    is_special: bool
    start: int | None = None
    end: int | None = None


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One text to embed, and how.

    Attributes:
        text: what to embed; not empty.
        task_type: what the vector is for; picks the model's prompt.
        title: title of the text, only with RETRIEVAL_DOCUMENT.
        output_dimensionality: wanted length of the vector; None for the served name's default.
        auto_truncate: cut a text beyond the served name's token limit (True) or refuse it (False).
        tokens: what `Embedder.tokenize` found in it; None before. Says nothing about what is asked.
    """

    text: str
    task_type: TaskType = TaskType.TASK_TYPE_UNSPECIFIED
    title: str | None = None
    output_dimensionality: int | None = None
    auto_truncate: bool = True
    tokens: Tokens | None = None


class Embedding(msgspec.Struct, frozen=True):
    """The result of one `EmbedRequest`.

    Attributes:
        vector: float32[output_dimensionality], L2-normalised; from `Embedder.embed_tokens`, float32[tokens, size].
        token_count: tokens that were embedded, including prompt and title.
        truncated_from: tokens that the text had before it was cut at the model's limit, as far as they were counted;
            None if it was embedded whole.
        unknown_count: tokens, of all that were counted, that stand for text for which the model was not made; 0 if that
            is not known, as for one from a cache.
    """

    vector: Float32Array
    token_count: int
    truncated_from: int | None = None
    unknown_count: int = 0

    @classmethod
    def of(cls, vector: Float32Array, found_tokens: int, token_limit: int, unknown_count: int = 0) -> Embedding:
        """Return the embedding of a text in which `found_tokens` were found and no more than `token_limit` count."""
        is_cut = found_tokens > token_limit
        return cls(vector, min(found_tokens, token_limit), found_tokens if is_cut else None, unknown_count)

    @property
    def found_tokens(self) -> int:
        """Tokens of the text before any cut, as far as they were counted."""
        return self.token_count if self.truncated_from is None else self.truncated_from

    @property
    def is_mostly_unknown(self) -> bool:
        """Whether most of the text is of a kind for which the model was not made, such as another script."""
        return 2 * self.unknown_count > self.found_tokens


def truncated_counts(embeddings: Sequence[Embedding]) -> dict[int, int]:
    """Return the indexes of the texts that were cut, each with its tokens before the cut."""
    return {index: each.truncated_from for index, each in enumerate(embeddings) if each.truncated_from is not None}
