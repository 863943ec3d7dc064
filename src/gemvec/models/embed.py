"""The seam between whoever wants vectors and whatever computes them: `Embedder`, and what goes in and out.

Server, batches, client and ingest call an `Embedder` and nothing below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import numpy.typing as npt

from gemvec.wire.task_type import TaskType

if TYPE_CHECKING:
    from gemvec.wire.embed import EmbedContentRequest

Float32Array = npt.NDArray[np.float32]


class Priority(IntEnum):
    """Who goes first when the model is busy: lower goes first."""

    INTERACTIVE = 0  # somebody waits for the answer
    BATCH = 1  # a durable job; computed when no interactive request waits


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """One text to embed, and how.

    Attributes:
        text: what to embed; not empty.
        task_type: what the vector is for; picks the model's prompt.
        title: title of the text, only with RETRIEVAL_DOCUMENT.
        output_dimensionality: length of the vector wanted; None for the served name's default.
        auto_truncate: cut a text beyond the served name's token limit (True) or refuse it (False).
    """

    text: str
    task_type: TaskType = TaskType.TASK_TYPE_UNSPECIFIED
    title: str | None = None
    output_dimensionality: int | None = None
    auto_truncate: bool = True

    @classmethod
    def from_wire(cls, asked: EmbedContentRequest) -> Self:
        """Return what a request of the Gemini API asks for; which model it names is the caller's to look at."""
        return cls(
            text=asked.text,
            task_type=asked.task_type or TaskType.TASK_TYPE_UNSPECIFIED,
            title=asked.title,
            output_dimensionality=asked.output_dimensionality,
            auto_truncate=asked.auto_truncate,
        )


@dataclass(frozen=True, slots=True)
class Embedding:
    """What became of one `EmbedRequest`.

    Attributes:
        vector: float32[output_dimensionality], L2-normalised.
        token_count: tokens of the text, the prompt and title included, before any cut.
    """

    vector: Float32Array
    token_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A name that callers may use, and the weights that answer to it.

    Attributes:
        name: the id after `models/`: a Gemini name or a model's own id.
        model_id: catalogue id of the weights that really serve, such as `all-minilm-l6-v2`.
        revision: first eight characters of the SHA-256 of the weights file.
        display_name: a name for people.
        description: one sentence that names the weights.
        input_token_limit: texts beyond it are cut or refused.
        native_dim: values the network produces.
        default_dimensionality: values in a vector when the caller does not say.
        takes_options: whether task type and output dimensionality may be given (embedding-001 takes neither).
    """

    name: str
    model_id: str
    revision: str
    display_name: str
    description: str
    input_token_limit: int
    native_dim: int
    default_dimensionality: int
    takes_options: bool = True

    @property
    def weights(self) -> str:
        """Which weights serve, as `x-gemvec-model` says it: `all-minilm-l6-v2@53aa5117`."""
        return f"{self.model_id}@{self.revision}"


class Embedder(Protocol):
    """Computes vectors; implemented by the local model here and by a remote service in `client`."""

    def list_models(self) -> Sequence[ServedModel]:
        """Return every name that is served, the default model's own name first."""
        ...

    def get_model(self, name: str) -> ServedModel:
        """Return what serves `name`.

        Raises:
            ModelNotFound: nothing does.
        """
        ...

    async def embed(
        self, model: str, requests: Sequence[EmbedRequest], *, priority: Priority = Priority.INTERACTIVE
    ) -> list[Embedding]:
        """Embed texts.

        Args:
            model: a served name.
            requests: what to embed; any number, each with its own options.
            priority: whether anybody waits for the answer.

        Returns:
            One embedding per request, in the same order.

        Raises:
            ModelNotFound: nothing serves `model`.
            InvalidRequest: a request cannot be embedded as asked; `index` says which. Nothing was computed.
            Overloaded: too much work waits; try again later.
        """
        ...

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens left out."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and free the model."""
        ...
