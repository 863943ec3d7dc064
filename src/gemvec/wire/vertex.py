"""The messages of Vertex AI's `predict` for embeddings.

Contract: Google's reference for the text embeddings API of Vertex AI; google-genai 3.6.1 with `vertexai=True`, which
calls `predict` for names without `gemini`, and embedContent and batchEmbedContents for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.wire.embed import ContentEmbedding, EmbeddingStatistics
from gemvec.wire.kinds import IGNORED, Refused
from gemvec.wire.message import Field, ProtoMessage

_NO_INSTANCE = "* PredictRequest.instances: at least one instance is required\n"


class VertexInstance(ProtoMessage, frozen=True, kw_only=True):
    """One text to embed."""

    content: Annotated[str, Field("The text.")]
    task_type: Annotated[TaskType | None, Field("What the vector is for; selects the model's prompt.")] = None
    title: Annotated[str | None, Field("Title of the text; requires RETRIEVAL_DOCUMENT.")] = None
    mime_type: Annotated[Any, Field("Ignored: it concerns files.", kind=IGNORED)] = None


class VertexParameters(ProtoMessage, frozen=True, kw_only=True):
    """How to embed all texts."""

    output_dimensionality: Annotated[int | None, Field("Number of values in each vector; by default the model's.")] = (
        None
    )
    auto_truncate: Annotated[bool, Field("Cut a text that is too long (true) or refuse it (false).", default=True)] = (
        True
    )


class VertexPredictRequest(ProtoMessage, frozen=True, kw_only=True):
    """Texts to embed."""

    instances: Annotated[
        list[VertexInstance], Field("At least one.", missing=_NO_INSTANCE, is_indexed=True, minItems=1)
    ]
    parameters: Annotated[VertexParameters | None, Field("How to embed all of them.")] = None
    labels: Annotated[Any, Field("Ignored: they concern billing.", kind=IGNORED)] = None

    def check(self) -> None:
        """Refuse a call without texts."""
        if not self.instances:
            raise Refused(_NO_INSTANCE, at=("instances",))

    def to_embed_requests(self) -> list[EmbedRequest]:
        """Return the requests for an embedder."""
        parameters = self.parameters or VertexParameters()
        return [
            EmbedRequest(
                text=each.content,
                task_type=each.task_type or TaskType.TASK_TYPE_UNSPECIFIED,
                title=each.title,
                output_dimensionality=parameters.output_dimensionality,
                auto_truncate=parameters.auto_truncate,
            )
            for each in self.instances
        ]


class VertexPrediction(ProtoMessage, frozen=True, kw_only=True):
    """The result for one text."""

    embeddings: Annotated[ContentEmbedding, Field("The vector, in spite of its name; with statistics.")]


class VertexPredictResponse(ProtoMessage, frozen=True, kw_only=True):
    """The vectors."""

    predictions: Annotated[list[VertexPrediction], Field("In the order of the instances.")]

    @classmethod
    def of(cls, vectors: Sequence[Any], embeddings: Sequence[Embedding]) -> VertexPredictResponse:
        """Return the answer.

        Args:
            vectors: those of the embeddings, as arrays or as finished JSON.
            embeddings: the results for the texts.
        """
        return cls(
            predictions=[
                VertexPrediction(embeddings=ContentEmbedding(values=values, statistics=EmbeddingStatistics.of(each)))
                for values, each in zip(vectors, embeddings, strict=True)
            ]
        )
