"""google.longrunning.Operation around an `EmbedContentBatch`: the answers of batches' create, get and list.

The official SDKs read `metadata`, REST users read `done`, `response` and `error`, so all of them are set. Small inline
output appears twice, in `metadata.output` and in `response`. Large output is only in `metadata.output`, where the SDKs
for Python, JavaScript and Go read it; it is written in pieces and never completely in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec.structs import replace

from gemvec.errors import InvalidRequest
from gemvec.wire.batches import BatchState, EmbedContentBatch, EmbedContentBatchOutput
from gemvec.wire.jsonl import ResponseLine
from gemvec.wire.message import Field, ProtoMessage, read, to_wire
from gemvec.wire.status import Status

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."
_INLINE_START = b'"inlinedResponses":{"inlinedResponses":['
_INLINE_END = b"]}"

# Yields the elements of inlinedResponses as JSON text, including the commas between them.
InlineOutput = Callable[[], Iterable[bytes]]


class Operation(ProtoMessage, frozen=True, kw_only=True):
    """A batch as a long-running operation."""

    name: Annotated[str | None, Field("`batches/{batch}`")] = None
    metadata: Annotated[EmbedContentBatch | None, Field("The batch.")] = None
    done: Annotated[bool | None, Field("Whether it has ended.")] = None
    response: Annotated[EmbedContentBatchOutput | None, Field("The results again, if it succeeded.")] = None
    error: Annotated[Status | None, Field("Why it did not succeed, if it ended otherwise.")] = None

    @property
    def batch(self) -> EmbedContentBatch:
        """The batch, with the operation's error."""
        batch = self.metadata or EmbedContentBatch()
        if self.error is None:
            return batch
        return replace(batch, error_code=self.error.code or 0, error_message=self.error.message or "")

    @property
    def responses(self) -> tuple[ResponseLine, ...]:
        """Inline results in the order of the requests; empty if there are none or they are in a file.

        Raises:
            InvalidRequest: they are not embeddings; at Google, batches of other methods have the same names.
        """
        output = (self.metadata and self.metadata.output) or self.response
        inlined = output.inlined_responses if output else None
        return tuple(each.to_line() for each in (inlined and inlined.inlined_responses) or ())


class ListOperationsResponse(ProtoMessage, frozen=True, kw_only=True):
    """A page of batches."""

    operations: Annotated[list[Operation] | None, Field("The newest first.")] = None
    next_page_token: Annotated[str | None, Field("`pageToken` of the next page; absent on the last.")] = None


def write_operation(
    batch: EmbedContentBatch, inline_output: InlineOutput | None = None, *, is_large: bool = False
) -> Iterator[bytes]:
    """Yield the JSON of an Operation, piece by piece.

    Args:
        batch: the batch of the operation.
        inline_output: called once for each place of the results; None if there are none.
        is_large: whether the results are only in `metadata.output`.
    """
    name = {"name": f"batches/{batch.batch_id}"}
    yield _open(name) + b',"metadata":'
    yield from _with_output({"@type": _TYPE + "EmbedContentBatch", **to_wire(batch)}, "output", inline_output)
    yield b',"done":' + (b"true" if batch.state.is_ended else b"false")
    if batch.state is BatchState.SUCCEEDED:
        yield b',"response":'
        yield from _with_response(batch, None if is_large else inline_output)
    elif batch.state.is_ended:
        error = {"code": batch.error_code, "message": batch.error_message}
        yield b',"error":' + msgspec.json.encode(error)
    yield b"}"


def write_operations(operations: Iterable[Iterable[bytes]], next_page_token: str | None) -> Iterator[bytes]:
    """Yield the JSON of a ListOperationsResponse; the last page has no token, which ends every pager."""
    yield b'{"operations":['
    for number, operation in enumerate(operations):
        if number:
            yield b","
        yield from operation
    yield b"]"
    if next_page_token:
        yield b',"nextPageToken":' + msgspec.json.encode(next_page_token)
    yield b"}"


def _with_output(wire: dict[str, Any], name: str, inline_output: InlineOutput | None) -> Iterator[bytes]:
    yield _open(wire)
    if inline_output is not None:
        yield b',"' + name.encode() + b'":{' + _INLINE_START
        yield from inline_output()
        yield _INLINE_END + b"}"
    yield b"}"


def _with_response(batch: EmbedContentBatch, inline_output: InlineOutput | None) -> Iterator[bytes]:
    yield _open({"@type": _TYPE + "EmbedContentBatchOutput"})
    if inline_output is not None:
        yield b"," + _INLINE_START
        yield from inline_output()
        yield _INLINE_END
    elif batch.responses_file is not None:
        yield b',"responsesFile":' + msgspec.json.encode(f"files/{batch.responses_file}")
    yield b"}"


def _open(wire: dict[str, Any]) -> bytes:
    """Return a JSON object without its closing brace."""
    return msgspec.json.encode(wire)[:-1]


def parse_operation(value: Any) -> Operation:
    """Read an Operation from a server; unknown fields are ignored.

    Raises:
        InvalidRequest: a field has a wrong value, or the operation is not about a batch.
    """
    return _on_a_batch(read(Operation, value, ignore_unknown=True))


def parse_operations(value: Any) -> list[Operation]:
    """Read a page of operations from a server; unknown fields are ignored.

    Raises:
        InvalidRequest: a field has a wrong value, or an operation is not about a batch.
    """
    page = read(ListOperationsResponse, value, ignore_unknown=True)
    return [_on_a_batch(each) for each in page.operations or ()]


def _on_a_batch(operation: Operation) -> Operation:
    if operation.metadata is None or not operation.metadata.batch_id:
        raise InvalidRequest("An operation has no batch.", field="metadata.name")
    return operation
