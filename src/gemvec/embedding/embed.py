"""Input and output of an embedder: `EmbedRequest`, `Embedding`, and how urgent a request is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from gemvec.embedding.task_type import TaskType

Float32Array = npt.NDArray[np.float32]


class Priority(IntEnum):
    """Which calls go first when the model is busy: lower goes first."""

    INTERACTIVE = 0  # somebody waits for the answer
    BATCH = 1  # a durable job; computed when no interactive request waits


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a request's text, with its prompt and title and without special tokens.

    Attributes:
        count: their number.
        ids: int32[count] in the vocabulary of the model that counted them; None if only a server knows them.
    """

    count: int
    ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
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
    tokens: Tokens | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Embedding:
    """The result of one `EmbedRequest`.

    Attributes:
        vector: float32[output_dimensionality], L2-normalised.
        token_count: tokens of the text, including prompt and title, before any cut.
    """

    vector: Float32Array
    token_count: int
