"""The messages of models.embedContent and models.batchEmbedContents.

Contract: Google's API reference for embeddings; newer REST clients put the options into `embedContentConfig`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, cast

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire.kinds import IGNORED, VALUES, Kind, Refused
from gemvec.wire.message import Field, JsonMessage, ProtoMessage
from gemvec.wire.names import MODEL_NAME

T = TypeVar("T")

_TEXT_ONLY = "* {path}: is {value}, and the models here read text only\n"
_NO_REQUEST = "* BatchEmbedContentsRequest.requests: at least one request is required\n"


def _of_another_kind(what: str) -> Field:
    """Return the field of a part that is not text, which is refused by its kind and never left out."""

    def refuse(value: Any) -> None:
        blob = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        raise Refused(_TEXT_ONLY, blob.get("mimeType") or blob.get("mime_type") or what)

    return Field("Refused: the models here read text only.", kind=Kind(refuse, None, {"not": {}}, is_kept=False))


class Part(ProtoMessage, frozen=True, kw_only=True):
    """A part of a content; only text can be embedded."""

    text: Annotated[str | None, Field("The text.")] = None
    inline_data: Annotated[Any, _of_another_kind("data")] = None
    file_data: Annotated[Any, _of_another_kind("a file")] = None
    function_call: Annotated[Any, _of_another_kind("a function call")] = None
    function_response: Annotated[Any, _of_another_kind("a function response")] = None
    executable_code: Annotated[Any, _of_another_kind("executable code")] = None
    code_execution_result: Annotated[Any, _of_another_kind("the result of code")] = None
    thought: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None
    thought_signature: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None
    part_metadata: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None
    media_resolution: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None
    video_metadata: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None


class Content(ProtoMessage, frozen=True, kw_only=True):
    """A text in parts."""

    parts: Annotated[list[Part] | None, Field("The parts; together they are one text, joined by line feeds.")] = None
    role: Annotated[str | None, Field("Ignored.")] = None

    @property
    def text(self) -> str:
        """The text of all parts, joined by line feeds; empty when no part has any."""
        parts = self.parts or ()
        if len(parts) == 1:
            return parts[0].text or ""
        return "\n".join(part.text for part in parts if part.text)


class _Options(ProtoMessage, frozen=True, kw_only=True):
    """Options of an embedding."""

    task_type: Annotated[TaskType | None, Field("What the vector is for; selects the model's prompt.")] = None
    title: Annotated[str | None, Field("Title of the text; requires RETRIEVAL_DOCUMENT.")] = None
    output_dimensionality: Annotated[int | None, Field("Number of values in the vector; by default the model's.")] = (
        None
    )
    auto_truncate: Annotated[
        bool | None, Field("Cut a text that is too long (true) or refuse it (false).", default=True)
    ] = None


class EmbedContentConfig(_Options, frozen=True, kw_only=True):
    """Options of an embedding; those beside the content have precedence."""

    document_ocr: Annotated[Any, Field("Ignored: it concerns scans.", kind=IGNORED)] = None
    audio_track_extraction: Annotated[Any, Field("Ignored: it concerns video.", kind=IGNORED)] = None
    mime_type: Annotated[Any, Field("Ignored: it concerns files.", kind=IGNORED)] = None


_NO_CONFIG = EmbedContentConfig()


def empty_text(path: str) -> EmptyText:
    """Return the error for a content without text, in Google's words; `path` is the place of the content."""
    return EmptyText("EmbedContentRequest.content contains an empty Part.", field=path)


class EmbedContentRequest(_Options, frozen=True, kw_only=True):
    """One content to embed."""

    content: Annotated[
        Content,
        Field(
            "What to embed; the texts of all parts give one vector.",
            missing="* EmbedContentRequest.content: is required\n",
        ),
    ]
    model: Annotated[
        str | None,
        Field("`models/{model}`; may be left out, and must be the URL's where it is there.", kind=MODEL_NAME),
    ] = None
    embed_content_config: Annotated[
        EmbedContentConfig | None, Field("The same options as newer clients send them.")
    ] = None

    @property
    def text(self) -> str:
        """The text to embed."""
        return self.content.text

    @property
    def wanted_dimensionality(self) -> int | None:
        """Number of values in the vector; None for the model's."""
        config = self.embed_content_config or _NO_CONFIG
        return _first(self.output_dimensionality, config.output_dimensionality, None)

    def to_embed_request(self) -> EmbedRequest:
        """Return the request for an embedder; options beside the content have precedence over those in the config.

        Raises:
            EmptyText: no part of the content has text.
        """
        text = self.text
        if not text:
            raise empty_text("content")
        config = self.embed_content_config or _NO_CONFIG
        return EmbedRequest(
            text=text,
            task_type=_first(self.task_type, config.task_type, TaskType.TASK_TYPE_UNSPECIFIED),
            title=_first(self.title, config.title, None),
            output_dimensionality=self.wanted_dimensionality,
            auto_truncate=_first(self.auto_truncate, config.auto_truncate, True),
        )

    @classmethod
    def from_embed_request(cls, request: EmbedRequest, *, model: str | None = None) -> EmbedContentRequest:
        """Return the message with the same request to `model`."""
        is_specified = request.task_type is not TaskType.TASK_TYPE_UNSPECIFIED
        return cls(
            content=Content(parts=[Part(text=request.text)]),
            model=model,
            task_type=request.task_type if is_specified else None,
            title=request.title,
            output_dimensionality=request.output_dimensionality,
            embed_content_config=None if request.auto_truncate else EmbedContentConfig(auto_truncate=False),
        )


def _first(beside: T | None, nested: T | None, default: T) -> T:
    """Return the option beside the content, else the one in the config, else the default."""
    given = nested if beside is None else beside
    return default if given is None else given


class BatchEmbedContentsRequest(ProtoMessage, frozen=True, kw_only=True):
    """Several contents to embed, each with its own options."""

    requests: Annotated[
        list[EmbedContentRequest], Field("At least one.", missing=_NO_REQUEST, is_indexed=True, minItems=1)
    ]
    model: Annotated[
        str | None, Field("The model of all requests; it must be the URL's where it is there.", kind=MODEL_NAME)
    ] = None

    def check(self) -> None:
        """Refuse a call without requests."""
        if not self.requests:
            raise Refused(_NO_REQUEST, at=("requests",))

    def to_embed_requests(self) -> list[EmbedRequest]:
        """Return the requests for an embedder.

        Raises:
            EmptyText: a content has no text; `index` says which.
        """
        asked: list[EmbedRequest] = []
        try:
            for each in self.requests:
                asked.append(each.to_embed_request())  # noqa: PERF401 - how many there are says which one was refused
        except InvalidRequest as error:
            error.index = len(asked)
            error.field = f"requests[{error.index}].{error.field}"
            raise
        return asked


class ModalityTokenCount(ProtoMessage, frozen=True, kw_only=True):
    """Tokens of one modality."""

    modality: Annotated[str, Field("TEXT")] = "TEXT"
    token_count: Annotated[int | None, Field("Tokens.")] = None


class EmbeddingUsageMetadata(ProtoMessage, frozen=True, kw_only=True):
    """Number of tokens that were embedded."""

    prompt_token_count: Annotated[int | None, Field("Total tokens of all texts.")] = None
    prompt_token_details: Annotated[list[ModalityTokenCount] | None, Field("The same by modality: TEXT only.")] = None

    @classmethod
    def of_text(cls, token_count: int) -> EmbeddingUsageMetadata:
        """Return the usage of texts with `token_count` tokens in total."""
        return cls(prompt_token_count=token_count, prompt_token_details=[ModalityTokenCount(token_count=token_count)])


class EmbeddingStatistics(JsonMessage, frozen=True, kw_only=True):
    """What is known of an embedded text; spelled as Vertex AI has it."""

    truncated: Annotated[bool, Field("Whether the text was cut at the model's token limit.")]
    token_count: Annotated[int, Field("Tokens of the text before any cut, as far as they were counted.")]

    @classmethod
    def of(cls, embedding: Embedding) -> EmbeddingStatistics:
        """Return the statistics of an embedding."""
        return cls(truncated=embedding.truncated_from is not None, token_count=embedding.found_tokens)

    @classmethod
    def of_cut(cls, embedding: Embedding) -> EmbeddingStatistics | None:
        """Return the statistics of an embedding whose text was cut, None of any other."""
        return None if embedding.truncated_from is None else cls.of(embedding)


class ContentEmbedding(ProtoMessage, frozen=True, kw_only=True):
    """A vector."""

    values: Annotated[Any, Field("Its values, float32.", kind=VALUES)] = None
    statistics: Annotated[
        EmbeddingStatistics | None, Field("Of a text that was cut; on Vertex AI's routes of every text.")
    ] = None


class EmbedContentResponse(ProtoMessage, frozen=True, kw_only=True):
    """One vector."""

    embedding: Annotated[ContentEmbedding | None, Field("The vector.")] = None
    truncated: Annotated[bool | None, Field("True where the text was cut, as Vertex AI says it.")] = None
    usage_metadata: Annotated[EmbeddingUsageMetadata | None, Field("What was embedded.")] = None

    @classmethod
    def of(cls, values: Any, embedding: Embedding) -> EmbedContentResponse:
        """Return the answer with one vector.

        Args:
            values: those of the embedding, as an array or as finished JSON, for the encoder at the edge.
            embedding: what was made of the text.
        """
        statistics = EmbeddingStatistics.of_cut(embedding)
        return cls(
            embedding=ContentEmbedding(values=values, statistics=statistics),
            truncated=None if statistics is None else True,
            usage_metadata=EmbeddingUsageMetadata.of_text(embedding.token_count),
        )


class BatchEmbedContentsResponse(ProtoMessage, frozen=True, kw_only=True):
    """The vectors."""

    embeddings: Annotated[list[ContentEmbedding] | None, Field("In the order of the requests.")] = None
    usage_metadata: Annotated[EmbeddingUsageMetadata | None, Field("What was embedded.")] = None

    @classmethod
    def of(
        cls, vectors: Sequence[Any], embeddings: Sequence[Embedding], *, has_statistics: bool = False
    ) -> BatchEmbedContentsResponse:
        """Return the answer with one vector a request.

        Args:
            vectors: those of the embeddings, as arrays or as finished JSON.
            embeddings: what was made of the texts.
            has_statistics: whether every vector has statistics, not only that of a text that was cut.
        """
        statistics_of = EmbeddingStatistics.of if has_statistics else EmbeddingStatistics.of_cut
        return cls(
            embeddings=[
                ContentEmbedding(values=values, statistics=statistics_of(each))
                for values, each in zip(vectors, embeddings, strict=True)
            ],
            usage_metadata=EmbeddingUsageMetadata.of_text(sum(each.token_count for each in embeddings)),
        )
