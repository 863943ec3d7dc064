"""The messages of models.embedContent and models.batchEmbedContents.

Contract: Google's API reference for embeddings; `embedContentConfig` is what newer REST clients nest the options in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire.message import Message
from gemvec.wire.names import parse_model_name

# The options a client may nest in embedContentConfig; those that concern images, sound and scans change nothing here.
_CONFIG_OF_OTHER_MODALITIES = ("document_ocr", "audio_track_extraction", "mime_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedContentRequest:
    """One request to embed one content.

    Attributes:
        text: the content's `parts[].text`, joined by line feeds; N parts are one vector.
        model: model id without `models/`, or None when the body does not say.
        task_type: None when the body does not say.
        title: None when the body does not say.
        output_dimensionality: values wanted in the vector, None for the model's default.
        auto_truncate: cut a text that is too long (True) or refuse it (False).
        path: where the request stood in the body, for errors.
    """

    text: str
    model: str | None = None
    task_type: TaskType | None = None
    title: str | None = None
    output_dimensionality: int | None = None
    auto_truncate: bool = True
    path: str = ""

    def to_embed_request(self) -> EmbedRequest:
        """Return what is asked of an embedder; the caller checks which model the request names."""
        return EmbedRequest(
            text=self.text,
            task_type=self.task_type or TaskType.TASK_TYPE_UNSPECIFIED,
            title=self.title,
            output_dimensionality=self.output_dimensionality,
            auto_truncate=self.auto_truncate,
        )


def parse_content(content: Message) -> str:
    """Return the text of a Content message, empty when no part has any."""
    content.take_text("role")
    texts: list[str] = []
    for part in content.take_messages("parts"):
        text = part.take_text("text")  # other kinds of part are ignored, as the reference says
        if text:
            texts.append(text)
    content.close()
    return "\n".join(texts)


def parse_embed_request(message: Message) -> EmbedContentRequest:
    """Read an EmbedContentRequest; top-level options win over those in `embedContentConfig`.

    Raises:
        InvalidRequest: a field is wrong, unknown or missing.
        EmptyText: no part of the content has text.
    """
    model = message.take_text("model")
    config = message.take_message("embed_content_config")
    options = (_take_config(config) if config else {}) | _take_options(message)
    content = message.take_message("content")
    message.close()
    if content is None:
        raise InvalidRequest("* EmbedContentRequest.content: is required\n", field=message.path_of("content"))
    text = parse_content(content)
    if not text:
        raise EmptyText("EmbedContentRequest.content contains an empty Part.", field=content.path)
    return EmbedContentRequest(
        text=text,
        model=parse_model_name(model, field=message.path_of("model")) if model else None,
        path=message.path,
        **options,
    )


def _take_options(message: Message) -> dict[str, Any]:
    """Return the options that `message` sets, by their names in `EmbedContentRequest`."""
    options = {
        "task_type": message.take_enum("task_type", TaskType),
        "title": message.take_text("title"),
        "output_dimensionality": message.take_int32("output_dimensionality"),
        "auto_truncate": message.take_bool("auto_truncate"),
    }
    return {name: value for name, value in options.items() if value is not None}


def _take_config(config: Message) -> dict[str, Any]:
    options = _take_options(config)
    for name in _CONFIG_OF_OTHER_MODALITIES:
        config.take(name)
    config.close()
    return options


def parse_batch_embed_request(message: Message) -> list[EmbedContentRequest]:
    """Read a BatchEmbedContentsRequest; a `model` beside the requests is that of each request that names none.

    Raises:
        InvalidRequest: a field is wrong, unknown or missing, or there is no request; `index` says which request.
    """
    model = message.take_text("model")
    common = parse_model_name(model) if model else None
    requests: list[EmbedContentRequest] = []
    for index, each in enumerate(message.take_list("requests")):
        try:
            request = parse_embed_request(Message(each, f"requests[{index}]"))
        except InvalidRequest as error:
            error.index = index
            raise
        requests.append(request if request.model or not common else replace(request, model=common))
    message.close()
    if not requests:
        raise InvalidRequest(
            "* BatchEmbedContentsRequest.requests: at least one request is required\n", field="requests"
        )
    return requests


def embed_request_to_wire(request: EmbedContentRequest) -> dict[str, Any]:
    """Return the canonical JSON object of a request; fields that are not set are left out."""
    wire: dict[str, Any] = {"content": {"parts": [{"text": request.text}]}}
    if request.model:
        wire["model"] = f"models/{request.model}"
    if request.task_type is not None:
        wire["taskType"] = request.task_type.name
    if request.title is not None:
        wire["title"] = request.title
    if request.output_dimensionality is not None:
        wire["outputDimensionality"] = request.output_dimensionality
    if not request.auto_truncate:
        wire["embedContentConfig"] = {"autoTruncate": False}
    return wire


def embed_response_to_wire(values: Any, token_count: int) -> dict[str, Any]:
    """Return an EmbedContentResponse; `values` may be an array, which the JSON encoder at the edge writes out."""
    return {"embedding": {"values": values}, "usageMetadata": usage_to_wire(token_count)}


def batch_embed_response_to_wire(vectors: Sequence[Any], token_count: int) -> dict[str, Any]:
    """Return a BatchEmbedContentsResponse, in the order of the requests."""
    return {"embeddings": [{"values": values} for values in vectors], "usageMetadata": usage_to_wire(token_count)}


def usage_to_wire(token_count: int) -> dict[str, Any]:
    """Return the usageMetadata of a response whose texts have `token_count` tokens together."""
    return {
        "promptTokenCount": token_count,
        "promptTokenDetails": [{"modality": "TEXT", "tokenCount": token_count}],
    }
