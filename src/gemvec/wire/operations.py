"""google.longrunning.Operation around an `EmbedContentBatch`: what create, get and list of batches answer.

The official SDKs read `metadata`, REST users read `done`, `response` and `error`; all of them are filled. Small inline
output stands twice, in `metadata.output` and in `response`. Large output stands only in `metadata.output`, where the
SDKs for Python and JavaScript read it; it is written in pieces and never held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gemvec.wire.batches import BatchState, EmbedContentBatch, batch_to_wire, parse_batch
from gemvec.wire.jsonl import ResponseLine, parse_response
from gemvec.wire.message import Message

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."
_INLINE_START = b'"inlinedResponses":{"inlinedResponses":['
_INLINE_END = b"]}"

# Gives the elements of inlinedResponses as JSON text, commas between them included.
InlineOutput = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAndOutput:
    """A batch that a server described, with the results that came along.

    Attributes:
        batch: the batch itself.
        inlined: inline results as they came.
    """

    batch: EmbedContentBatch
    inlined: Sequence[Any] = ()

    @property
    def responses(self) -> tuple[ResponseLine, ...]:
        """Inline results in the order of the requests; empty when there are none or they are in a file.

        Raises:
            InvalidRequest: they are no embeddings: Google keeps batches of other methods under the same names.
        """
        return tuple(parse_response(Message(each, f"inlined_responses[{n}]")) for n, each in enumerate(self.inlined))


def write_operation(
    batch: EmbedContentBatch, inline_output: InlineOutput | None = None, *, is_large: bool = False
) -> Iterator[bytes]:
    """Yield the JSON of an Operation, piece by piece.

    Args:
        batch: what the operation is about.
        inline_output: called once for each place where the results stand; None when there are none.
        is_large: whether the results stand in `metadata.output` alone.
    """
    name = {"name": f"batches/{batch.batch_id}"}
    yield _open(name) + b',"metadata":'
    yield from _with_output({"@type": _TYPE + "EmbedContentBatch", **batch_to_wire(batch)}, "output", inline_output)
    yield b',"done":' + (b"true" if batch.state.is_ended else b"false")
    if batch.state is BatchState.SUCCEEDED:
        yield b',"response":'
        yield from _with_response(batch, None if is_large else inline_output)
    elif batch.state.is_ended:
        error = {"code": batch.error_code, "message": batch.error_message}
        yield b',"error":' + msgspec.json.encode(error)
    yield b"}"


def write_operations(operations: Iterable[Iterable[bytes]], next_page_token: str | None) -> Iterator[bytes]:
    """Yield the JSON of a ListOperationsResponse; on the last page the token is left out, which ends every pager."""
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


def parse_operation(operation: Message) -> BatchAndOutput:
    """Read an Operation that a server sent.

    Raises:
        InvalidRequest: it is not an operation on a batch.
    """
    metadata = operation.take("metadata")
    batch = parse_batch(Message(metadata, "metadata"))
    error = operation.take_message("error")
    if error is not None:
        code, message = error.take_int32("code"), error.take_text("message")
        batch = replace(batch, error_code=code or 0, error_message=message or "")
    output = Message(metadata).take_message("output") or operation.take_message("response") or Message({})
    inlined = output.take_message("inlined_responses") or Message({})
    return BatchAndOutput(batch=batch, inlined=inlined.take_list("inlined_responses"))
