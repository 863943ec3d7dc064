r"""Lines of a batch's input and output files: one JSON object a line.

Input: `{"key": "k1", "request": {EmbedContentRequest}}`. Output, one line per request in the same order:
`{"key": "k1", "response": {"embedding": {"values": [...]}, "tokenCount": "5"}}` or
`{"key": "k1", "error": {"code": 3, "message": "..."}}`. Inline requests carry `metadata` where files have `key`; both
are accepted in either place and go back as they came.

Two readers, one meaning: what nearly every line looks like is decoded straight into typed structs (0.3 us a line);
everything else, and everything wrong, goes through `Message` (7 us), which knows all of proto3 JSON and all the errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from gemvec.embedding.task_type import TaskType
from gemvec.errors import InvalidRequest
from gemvec.wire.embed import EmbedContentRequest, parse_embed_request
from gemvec.wire.message import INT32, Message, parse_json, shown
from gemvec.wire.names import parse_model_name
from gemvec.wire.status import RPC_CODES, status_to_wire


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """One line of input.

    Attributes:
        label: `key` and `metadata` as they came; empty when the line has none or cannot be read.
        request: what to embed, or why the line is no request.
    """

    label: dict[str, Any]
    request: EmbedContentRequest | InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLine:
    """One line of output.

    Attributes:
        label: `key` and `metadata` as the request had them.
        values: the vector; None when the request failed.
        token_count: tokens of the text, None when the server does not say.
        error_code: google.rpc.Code number; 0 when the request succeeded.
        error_message: why it failed.
    """

    label: dict[str, Any]
    values: list[float] | None = None
    token_count: int | None = None
    error_code: int = 0
    error_message: str = ""

    @property
    def key(self) -> str | None:
        """The request's key, which inline requests have in their metadata; None when it has none."""
        key = {**self.label, **self.label.get("metadata", {})}.get("key")
        return None if key is None else str(key)


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    text: str


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_Part]
    role: str | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    content: _Content
    model: str | None = None
    title: str | None = None
    taskType: str | None = None  # noqa: N815 - the wire's spelling
    task_type: str | None = None
    outputDimensionality: int | None = None  # noqa: N815 - the wire's spelling
    output_dimensionality: int | None = None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    request: _Request
    key: str | None = None


_encode = msgspec.json.Encoder().encode
_decode_usual = msgspec.json.Decoder(_Line).decode


def parse_request_line(line: bytes) -> RequestLine:
    """Read one line of input; a line that is no request comes back with its error, and its label if that can be read.

    Of a name that occurs twice in one object the last one counts, as on every other route.
    """
    try:
        return _from_usual(_decode_usual(line))
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError, InvalidRequest, RecursionError):
        return _from_any(line)


def _from_usual(line: _Line) -> RequestLine:
    request = line.request
    parts = request.content.parts
    text = parts[0].text if len(parts) == 1 else "\n".join(part.text for part in parts if part.text)
    task_type = request.taskType if request.taskType is not None else request.task_type
    size = request.outputDimensionality if request.outputDimensionality is not None else request.output_dimensionality
    if not text or (size is not None and not INT32[0] <= size <= INT32[1]):
        raise ValueError
    return RequestLine(
        label={} if line.key is None else {"key": line.key},
        request=EmbedContentRequest(
            text=text,
            model=parse_model_name(request.model) if request.model else None,
            task_type=None if task_type is None else TaskType[task_type],
            title=request.title,
            output_dimensionality=size,
            path="request",
        ),
    )


def _from_any(line: bytes) -> RequestLine:
    label: dict[str, Any] = {}
    try:
        message = _parse_line(line)
        label |= _take_key(message)
        metadata = message.take_struct("metadata")
        if metadata is not None:
            label["metadata"] = metadata
        request = _take_request(message)
        message.close()
        return RequestLine(label=label, request=parse_embed_request(request))
    except InvalidRequest as error:
        return RequestLine(label=label, request=error)


def _parse_line(line: bytes) -> Message:
    if not line.strip():
        raise InvalidRequest("Invalid JSON payload received. The line is blank.")
    return Message(parse_json(line))


def _take_request(message: Message) -> Message:
    request = message.take_message("request")
    if request is None:
        raise InvalidRequest("* request: is required\n", field="request")
    return request


def _take_key(message: Message) -> dict[str, Any]:
    key = message.take("key")
    if key is None:
        return {}
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise InvalidRequest(f"Invalid value at 'key' (TYPE_STRING), {shown(key)}", field="key")
    return {"key": key}


def response_line_to_wire(label: dict[str, Any], values: Any, token_count: int) -> dict[str, Any]:
    """Return the object that a line of output holds; `values` may be an array, written out by the JSON encoder."""
    return {**label, "response": {"embedding": {"values": values}, "tokenCount": str(token_count)}}


def error_line_to_wire(label: dict[str, Any], status: str, message: str) -> dict[str, Any]:
    """Return the object that a line of output holds for a failed request.

    Args:
        label: `key` and `metadata` of the request.
        status: name of a google.rpc.Code, such as `INVALID_ARGUMENT`.
        message: why it failed.
    """
    return {**label, "error": status_to_wire(status, message)}


def format_response_line(label: dict[str, Any], values: bytes, token_count: int) -> bytes:
    """Return a line of output; `values` is JSON, the numbers and the commas between them."""
    head = _encode(label)[:-1] + (b"," if label else b"")
    return b'%b"response":{"embedding":{"values":[%b]},"tokenCount":"%d"}}\n' % (head, values, token_count)


def format_error_line(label: dict[str, Any], status: str, message: str) -> bytes:
    """Return a line of output for a failed request; arguments as for `error_line_to_wire`."""
    return _encode(error_line_to_wire(label, status, message)) + b"\n"


def response_to_wire(line: ResponseLine) -> dict[str, Any]:
    """Return the object that a line of output holds, as it was read."""
    if line.values is None:
        return {**line.label, "error": {"code": line.error_code, "message": line.error_message}}
    wire = response_line_to_wire(line.label, line.values, line.token_count or 0)
    if line.token_count is None:
        del wire["response"]["tokenCount"]
    return wire


def parse_response_line(line: bytes) -> ResponseLine:
    """Read one line of output.

    Raises:
        InvalidRequest: it is not one.
    """
    return parse_response(Message(parse_json(line)))


def parse_response(message: Message) -> ResponseLine:
    """Read one response of a batch, from a file or inline; fields that are not known are ignored.

    Raises:
        InvalidRequest: it is not one.
    """
    label = _take_key(message)
    metadata = message.take_struct("metadata")
    if metadata is not None:
        label["metadata"] = metadata
    error = message.take_message("error")
    if error is not None:
        code = error.take_int32("code") or RPC_CODES["UNKNOWN"]
        return ResponseLine(label=label, error_code=code, error_message=error.take_text("message") or "")
    response = message.take_message("response")
    embedding = response.take_message("embedding") if response else None
    if response is None or embedding is None:
        raise InvalidRequest("A result has neither an embedding nor an error.")
    return ResponseLine(
        label=label, values=embedding.take_list("values"), token_count=response.take_int64("token_count")
    )
