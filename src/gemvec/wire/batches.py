"""The messages of models.asyncBatchEmbedContent and of batches: `EmbedContentBatch` and its parts.

Contract: Google's API reference for embeddings. `operations.py` puts a batch into an Operation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from gemvec.errors import InvalidRequest
from gemvec.wire.jsonl import InlinedEmbedContentRequest, InlinedEmbedContentResponse
from gemvec.wire.kinds import FILLED_TEXT, INT64, TEXT, Kind, Refused, list_of
from gemvec.wire.message import Field, ProtoMessage, kind_of_type, read, to_wire
from gemvec.wire.names import MODEL_NAME, resource_name
from gemvec.wire.proto_json import shown, snake_case

_PREFIX = "BATCH_STATE_"
_UNSPECIFIED = "UNSPECIFIED"  # the value of an enum that is not set
_MAX_DISPLAY_NAME = 512
_CHANGEABLE = ("display_name", "priority")


class BatchState(StrEnum):
    """State of a batch; on the wire with the prefix `BATCH_STATE_`."""

    PENDING = "PENDING"  # waits for its first chunk, for disk space or for its model
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"  # every request has a response or an error
    FAILED = "FAILED"  # the batch as a whole could not continue
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_ended(self) -> bool:
        """Whether the state is final."""
        return self not in {BatchState.PENDING, BatchState.RUNNING}


def _read_state(value: Any) -> BatchState:
    name = TEXT.read(value).removeprefix(_PREFIX)
    name = BatchState.PENDING if name == _UNSPECIFIED else name
    if name not in BatchState.__members__:
        raise Refused("Invalid value at '{path}', {value}", value)
    return BatchState(name)


_STATE = Kind(
    _read_state,
    lambda state: _PREFIX + state,
    {"type": "string", "enum": [_PREFIX + each for each in (_UNSPECIFIED, *BatchState)]},
)


def _read_display_name(value: Any) -> str:
    name = TEXT.read(value)
    if len(name) > _MAX_DISPLAY_NAME or "\0" in name:
        raise Refused(f"* {{path}}: at most {_MAX_DISPLAY_NAME} characters, none of them NUL\n")
    return name


_DISPLAY_NAME = Kind(
    _read_display_name, None, {"type": "string", "maxLength": _MAX_DISPLAY_NAME, "pattern": r"^[^\0]*$"}
)


def _read_inlined(value: Any) -> bytes:
    """Return an inline request as a line of input."""
    return msgspec.json.encode(to_wire(_INLINED.read(value)))


_INLINED = kind_of_type(InlinedEmbedContentRequest)
_INLINED_LINES = list_of(Kind(_read_inlined, msgspec.Raw, _INLINED.schema))


class InlinedEmbedContentRequests(ProtoMessage, frozen=True, kw_only=True):
    """Inline requests."""

    lines: Annotated[
        list[bytes],
        Field(
            "At least one.",
            name="requests",
            kind=_INLINED_LINES,
            missing="* {path}: at least one request is required\n",
            minItems=1,
        ),
    ]

    def check(self) -> None:
        """Refuse an empty list."""
        if not self.lines:
            raise Refused("* {path}: at least one request is required\n", at=("requests",))


class InputEmbedContentConfig(ProtoMessage, frozen=True, kw_only=True):
    """Where the requests are: in a file or inline."""

    more_schema: ClassVar[Mapping[str, Any]] = {
        "oneOf": [
            {"required": ["fileName"], "properties": {"fileName": {"minLength": 1}, "requests": {"not": {}}}},
            {"required": ["requests"], "properties": {"fileName": {"maxLength": 0}}},
        ]
    }

    file_name: Annotated[
        str | None, Field("`files/{file}`: JSONL, one `{key, request}` per line.", kind=resource_name("files"))
    ] = None
    requests: Annotated[
        InlinedEmbedContentRequests | None, Field("The requests themselves; answers do not contain them.")
    ] = None

    def check(self) -> None:
        """Refuse a message with neither or both."""
        if (self.file_name is None) == (self.requests is None):
            raise Refused("* {path}: exactly one of file_name and requests is required\n")


class InlinedEmbedContentResponses(ProtoMessage, frozen=True, kw_only=True):
    """Inline results."""

    inlined_responses: Annotated[list[InlinedEmbedContentResponse] | None, Field("In the order of the requests.")] = (
        None
    )


class EmbedContentBatchOutput(ProtoMessage, frozen=True, kw_only=True):
    """Where the results are: in a file or inline."""

    type_url: Annotated[str | None, Field("What this is, inside an operation.", name="@type")] = None

    responses_file: Annotated[
        str | None,
        Field(
            "`files/{file}`: JSONL, one `{key, response}` or `{key, error}` per line, in input order.",
            kind=resource_name("files"),
        ),
    ] = None
    inlined_responses: Annotated[InlinedEmbedContentResponses | None, Field("The results themselves.")] = None


class BatchStats(ProtoMessage, frozen=True, kw_only=True):
    """Numbers of requests; the last three add up to the first."""

    request_count: Annotated[int, Field("All.", kind=INT64)] = 0
    successful_request_count: Annotated[int, Field("With a response.", kind=INT64)] = 0
    failed_request_count: Annotated[int, Field("With an error.", kind=INT64)] = 0
    pending_request_count: Annotated[int, Field("With neither.", kind=INT64)] = 0


class BatchInput(ProtoMessage, frozen=True, kw_only=True):
    """The fields of a batch that a caller can set."""

    model: Annotated[
        str, Field("`models/{model}`; may be left out, and must be the URL's where it is there.", kind=MODEL_NAME)
    ] = ""
    display_name: Annotated[
        str | None, Field(f"A human-readable name, at most {_MAX_DISPLAY_NAME} characters.", kind=_DISPLAY_NAME)
    ] = None
    input_config: Annotated[InputEmbedContentConfig | None, Field("Where the requests are.")] = None
    priority: Annotated[int | None, Field("Higher ones go first; may be negative.", kind=INT64)] = None


class EmbedContentBatch(BatchInput, frozen=True, kw_only=True):
    """A batch. In a request, only display name, input, model and priority are read.

    Attributes:
        batch_id: the part after `batches/`.
        created_at: aware UTC, like every moment here.
        error_code: google.rpc.Code number if the batch failed, was cancelled or expired, else 0; part of its operation,
            not of the batch.
        error_message: goes with the code.
    """

    type_url: Annotated[str | None, Field("What this is, inside an operation.", name="@type")] = None
    batch_id: Annotated[str, Field("`batches/{batch}`", name="name", kind=resource_name("batches"))] = ""
    output: Annotated[EmbedContentBatchOutput | None, Field("Present once it has ended.")] = None
    created_at: Annotated[datetime | None, Field("When it was accepted.", name="create_time")] = None
    updated_at: Annotated[
        datetime | None, Field("When anything last changed, progress included.", name="update_time")
    ] = None
    ended_at: Annotated[datetime | None, Field("When it ended.", name="end_time")] = None
    stats: Annotated[BatchStats, Field("How many requests there are.", name="batch_stats")] = BatchStats()
    state: Annotated[BatchState, Field("Its state.", kind=_STATE)] = BatchState.PENDING
    waiting_reason: Annotated[
        str,
        # Not part of Google's API; every SDK ignores unknown fields.
        Field(
            "Why an open batch does not continue: the disk is full, or its weights are not served.", kind=FILLED_TEXT
        ),
    ] = ""
    error_code: int = 0
    error_message: str = ""

    @property
    def input_file(self) -> str | None:
        """Id of the file of requests, which may no longer exist; None if they came inline."""
        return self.input_config.file_name if self.input_config else None

    @property
    def responses_file(self) -> str | None:
        """Id of the file of results, `batch-...`; None if the requests came inline or nothing is done."""
        return self.output.responses_file if self.output else None

    def changes(self, update_mask: str | None) -> BatchUpdate:
        """Return the changes of an update with this batch as its body.

        Args:
            update_mask: names of fields, in either spelling, separated by commas; `*`, None or "" means the fields
                in the body.

        Raises:
            InvalidRequest: the mask names a field that cannot be changed.
        """
        names = [snake_case(name.strip()) for name in (update_mask or "").split(",") if name.strip()]
        if names in ([], ["*"]):
            return BatchUpdate(display_name=self.display_name, priority=self.priority)
        for name in names:
            if name not in _CHANGEABLE:
                raise InvalidRequest(
                    f"* update_mask: {shown(name)} cannot be changed; display_name and priority can\n",
                    field="update_mask",
                )
        # A field in the mask that the body lacks is reset to its default, as usual with field masks.
        return BatchUpdate(
            display_name=(self.display_name or "") if "display_name" in names else None,
            priority=(self.priority or 0) if "priority" in names else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUpdate:
    """Changes to a batch; None leaves a field unchanged."""

    display_name: str | None = None
    priority: int | None = None


class AsyncBatchEmbedContentRequest(ProtoMessage, frozen=True, kw_only=True):
    """A batch to accept.

    If a request is malformed, the whole call is refused, as by a proto parser. A request without text becomes an error
    at its position in the results.
    """

    batch: Annotated[EmbedContentBatch, Field("The batch.", required=["inputConfig"])]

    def check(self) -> None:
        """Refuse a batch without input."""
        if self.batch.input_config is None:
            raise Refused("* {path}: is required\n", at=("batch", "input_config"))


def create_batch_to_wire(
    *, display_name: str = "", priority: int = 0, file_id: str | None = None, requests: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return an AsyncBatchEmbedContentRequest; the model is in the URL.

    Args:
        display_name: left out if "".
        priority: left out if 0.
        file_id: the input file; None for inline requests.
        requests: inline requests: objects with `request` and optionally `metadata`.
    """
    inline = InlinedEmbedContentRequests(lines=[msgspec.json.encode(each) for each in requests])
    source = InputEmbedContentConfig(file_name=file_id, requests=None if file_id else inline)
    return {
        "batch": to_wire(BatchInput(display_name=display_name or None, priority=priority or None, input_config=source))
    }


def parse_batch(value: Any) -> EmbedContentBatch:
    """Read an EmbedContentBatch from a server; unknown fields are ignored.

    Raises:
        InvalidRequest: a field has a wrong value.
    """
    return read(EmbedContentBatch, value, ignore_unknown=True)
