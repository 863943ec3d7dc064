r"""Requests and responses of a batch, inline and as lines of its files: one JSON object per line.

Input: `{"key": "k1", "request": {EmbedContentRequest}}`. Output, one line per request in the same order:
`{"key": "k1", "response": {"embedding": {"values": [...]}, "tokenCount": "5"}}` or
`{"key": "k1", "error": {"code": 3, "message": "..."}}`. Inline requests have `metadata` instead of `key`; files may
have either, and results return it unchanged.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec

from gemvec.errors import InvalidRequest
from gemvec.wire.embed import ContentEmbedding, EmbedContentRequest, EmbeddingStatistics, empty_text
from gemvec.wire.kinds import INT64, INVALID, STRUCT, Kind, Refused
from gemvec.wire.message import Field, ProtoMessage, read, to_wire
from gemvec.wire.proto_json import parse_json
from gemvec.wire.status import RPC_CODES, Status, status_to_wire
from gemvec.wire.usual import read_usual

_BLANK = "Invalid JSON payload received. The line is blank."

_encode = msgspec.json.Encoder().encode


def _read_key(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Refused(INVALID % "TYPE_STRING", value)
    return value


_KEY = Kind(_read_key, None, {"type": ["string", "integer"]})


# Fields that requests and results share, inline and in files.
_Key = Annotated[str | int | None, Field("Returned with the result.", kind=_KEY)]
_Metadata = Annotated[dict[str, Any] | None, Field("Anything; returned with the result.", kind=STRUCT)]
_Request = Annotated[EmbedContentRequest, Field("What to embed.")]


class BatchedEmbedding(ProtoMessage, frozen=True, kw_only=True):
    """The vector of one request of a batch."""

    embedding: Annotated[ContentEmbedding | None, Field("The vector.")] = None
    token_count: Annotated[int | None, Field("Tokens that were embedded.", kind=INT64)] = None


_Response = Annotated[BatchedEmbedding | None, Field("The vector, if the request succeeded.")]
_Error = Annotated[Status | None, Field("Why the request failed, if it did.")]


class InlinedEmbedContentRequest(ProtoMessage, frozen=True, kw_only=True):
    """One request of a batch."""

    metadata: _Metadata = None
    request: _Request


class EmbedContentRequestLine(ProtoMessage, frozen=True, kw_only=True):
    """One line of a batch's input file."""

    key: _Key = None
    metadata: _Metadata = None
    request: _Request

    @property
    def label(self) -> dict[str, Any]:
        """`key` and `metadata`, where they are set."""
        return _label(self.key, self.metadata)


class ResponseLine(ProtoMessage, frozen=True, kw_only=True):
    """One line of a batch's output file, or an inline result, which has no key."""

    key_field: Annotated[str | int | None, Field("As in the request.", name="key", kind=_KEY)] = None
    metadata: _Metadata = None
    response: _Response = None
    error: _Error = None

    @property
    def key(self) -> str | None:
        """The request's key, which inline requests have in their metadata; None if it has none."""
        key = (self.metadata or {}).get("key", self.key_field)
        return None if key is None else str(key)

    @property
    def label(self) -> dict[str, Any]:
        """`key` and `metadata` as in the request."""
        return _label(self.key_field, self.metadata)

    @property
    def values(self) -> list[float] | None:
        """The vector; None if the request failed."""
        return self.response.embedding.values if self.response and self.response.embedding else None

    @property
    def token_count(self) -> int | None:
        """Tokens of the text, None if the server does not say."""
        return self.response.token_count if self.response else None

    @property
    def truncated_from(self) -> int | None:
        """Tokens that the text had before it was cut, None of a text that was embedded whole."""
        embedding = self.response.embedding if self.response else None
        statistics = embedding.statistics if embedding else None
        return statistics.token_count if statistics and statistics.truncated else None

    @property
    def error_code(self) -> int:
        """google.rpc.Code number; 0 if the request succeeded."""
        return (self.error.code or RPC_CODES["UNKNOWN"]) if self.error else 0

    @property
    def error_message(self) -> str:
        """Why the request failed; empty if it succeeded."""
        return (self.error and self.error.message) or ""


class InlinedEmbedContentResponse(ProtoMessage, frozen=True, kw_only=True):
    """One result of a batch."""

    metadata: _Metadata = None
    response: _Response = None
    error: _Error = None

    def to_line(self) -> ResponseLine:
        """Return the same result as a line.

        Raises:
            InvalidRequest: it is neither an embedding nor an error.
        """
        return _complete(ResponseLine(metadata=self.metadata, response=self.response, error=self.error))


def _label(key: str | int | None, metadata: dict[str, Any] | None) -> dict[str, Any]:
    label: dict[str, Any] = {} if key is None else {"key": key}
    if metadata is not None:
        label["metadata"] = metadata
    return label


class RequestLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of input, as far as it can be read.

    Attributes:
        label: `key` and `metadata` as they came; empty if the line has none or cannot be read.
        request: what to embed, or why the line is not a request.
    """

    label: dict[str, Any]
    request: EmbedContentRequest | InvalidRequest


def parse_request_line(line: bytes) -> RequestLine:
    """Read one line of input; for an invalid line, return its error, and its label if that can be read.

    If a name occurs twice in one object, the last one counts, as on every other route.
    """
    try:
        read_line = read_usual(EmbedContentRequestLine, line)
    except InvalidRequest as error:
        if not line.strip():
            return RequestLine(label={}, request=InvalidRequest(_BLANK))
        return RequestLine(label=_readable_label(line), request=error)
    request = read_line.request
    return RequestLine(label=read_line.label, request=request if request.text else empty_text("request.content"))


def _readable_label(line: bytes) -> dict[str, Any]:
    """Return the label of an invalid line, so that its error can be matched to it.

    A text that is not Unicode makes the line invalid JSON, but the key beside it can still be read.
    """
    label: dict[str, Any] = {}
    try:
        fields = json.loads(line.decode(errors="replace"), strict=False)
        for name, kind in (("key", _KEY), ("metadata", STRUCT)):
            if fields.get(name) is not None:
                value = kind.read(fields[name])
                _encode(value)  # half a character cannot be returned
                label[name] = value
    except (ValueError, RecursionError, AttributeError, Refused):
        pass
    return label


def response_line_to_wire(
    label: dict[str, Any], values: Any, token_count: int, statistics: EmbeddingStatistics | None = None
) -> dict[str, Any]:
    """Return the object that a line of output holds.

    Args:
        label: `key` and `metadata` of the request.
        values: the vector; may be an array, written out by the JSON encoder.
        token_count: tokens that were embedded.
        statistics: of a text that was cut.
    """
    embedding = ContentEmbedding(values=values, statistics=statistics)
    return {**label, "response": to_wire(BatchedEmbedding(embedding=embedding, token_count=token_count))}


def error_line_to_wire(label: dict[str, Any], status: str, message: str) -> dict[str, Any]:
    """Return a line of output for a failed request as an object.

    Args:
        label: `key` and `metadata` of the request.
        status: name of a google.rpc.Code, such as `INVALID_ARGUMENT`.
        message: why it failed.
    """
    return {**label, "error": status_to_wire(status, message)}


def format_response_line(
    label: dict[str, Any], values: bytes, token_count: int, statistics: EmbeddingStatistics | None = None
) -> tuple[bytes, bytes, bytes]:
    """Return a line of output in three parts: `values` is JSON and by far the longest, and is not copied for this."""
    comma = b"," if label else b""
    head = b'%b%b"response":{"embedding":{"values":' % (_encode(label)[:-1], comma)
    more = b',"statistics":' + _encode(to_wire(statistics)) if statistics else b""
    return head, values, b'%b},"tokenCount":"%d"}}\n' % (more, token_count)


def format_error_line(label: dict[str, Any], status: str, message: str) -> bytes:
    """Return a line of output for a failed request; arguments as for `error_line_to_wire`."""
    return _encode(error_line_to_wire(label, status, message)) + b"\n"


def parse_response_line(line: bytes) -> ResponseLine:
    """Read one line of output; unknown fields are ignored.

    Raises:
        InvalidRequest: it is not a line of output.
    """
    return _complete(read(ResponseLine, parse_json(line), ignore_unknown=True))


def _complete(line: ResponseLine) -> ResponseLine:
    if line.error is None and line.values is None:
        raise InvalidRequest("A result has neither an embedding nor an error.")
    return line
