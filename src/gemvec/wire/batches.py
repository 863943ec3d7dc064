"""The messages of models.asyncBatchEmbedContent and of batches: `EmbedContentBatch` and what it holds.

Contract: Google's API reference for embeddings. How a batch travels inside an Operation is in `operations.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire.embed import parse_embed_request
from gemvec.wire.message import Message, format_timestamp, shown, snake_case
from gemvec.wire.names import format_model_name, parse_model_name, parse_resource_id

_PREFIX = "BATCH_STATE_"
_UNSPECIFIED = "UNSPECIFIED"  # what an enum is before anybody has set it
_MAX_DISPLAY_NAME = 512
_CHANGEABLE = ("display_name", "priority")

# What the server alone says; clients that send a batch back as they got it are not refused for it.
_OUTPUT_ONLY = ("name", "output", "create_time", "end_time", "update_time", "batch_stats", "state")


class BatchState(StrEnum):
    """Where a batch stands; on the wire with the prefix `BATCH_STATE_`."""

    PENDING = "PENDING"  # waits for its first chunk, or for room or its model
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"  # every request has its response or its error
    FAILED = "FAILED"  # the batch as a whole could not go on
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_ended(self) -> bool:
        """Whether the state will never change again."""
        return self not in {BatchState.PENDING, BatchState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateBatch:
    """What a caller asks for with asyncBatchEmbedContent.

    Attributes:
        model: model id without `models/`, or None when the body does not say.
        display_name: a name for people, "" when none was given.
        priority: int64; higher goes first.
        file_id: the input file, or None.
        lines: the inline requests, each as a line of input; empty when a file is named.
    """

    model: str | None
    display_name: str
    priority: int
    file_id: str | None
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUpdate:
    """What to change in a batch; None leaves it as it is."""

    display_name: str | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStats:
    """How many requests a batch has, and what became of them; the last three add up to the first."""

    request_count: int = 0
    successful_request_count: int = 0
    failed_request_count: int = 0
    pending_request_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedContentBatch:
    """A batch as the wire tells it.

    Attributes:
        batch_id: what stands after `batches/`.
        model: model id without `models/`.
        display_name: a name for people.
        priority: int64; higher goes first.
        state: see `BatchState`.
        stats: counts of requests.
        created_at: aware UTC, like every moment here.
        updated_at: when anything last changed, progress included.
        ended_at: None until the state is an ended one.
        input_file: id of the file of requests, which may be gone by now; None when they came inline.
        responses_file: id of the file of results, `batch-...`; None when the requests came inline or nothing is done.
        has_inline_output: whether results travel inside the batch.
        error_code: google.rpc.Code number when the batch failed, was cancelled or expired, else 0.
        error_message: goes with the code.
        waiting_reason: why an open batch does not go on (no room on disk, another model is served), or "".
    """

    batch_id: str
    model: str
    display_name: str
    priority: int
    state: BatchState
    stats: BatchStats
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    input_file: str | None = None
    responses_file: str | None = None
    has_inline_output: bool = False
    error_code: int = 0
    error_message: str = ""
    waiting_reason: str = ""


def parse_create_batch_request(body: Message) -> CreateBatch:
    """Read an AsyncBatchEmbedContentRequest.

    A request that is not well formed refuses the whole call, as a proto parser does; one that merely has no text
    becomes an error at its place in the results.

    Raises:
        InvalidRequest: a field is wrong, unknown or missing.
    """
    batch = body.take_message("batch")
    body.close()
    if batch is None:
        raise InvalidRequest("* batch: is required\n", field="batch")
    model = batch.take_text("model")
    display_name = _take_display_name(batch)
    priority = batch.take_int64("priority")
    config = batch.take_message("input_config")
    for name in _OUTPUT_ONLY:
        batch.take(name)
    batch.close()
    if config is None:
        raise InvalidRequest("* batch.input_config: is required\n", field="batch.input_config")
    file_id, lines = _parse_input_config(config)
    return CreateBatch(
        model=parse_model_name(model, field="batch.model") if model else None,
        display_name=display_name or "",
        priority=priority or 0,
        file_id=file_id,
        lines=lines,
    )


def _parse_input_config(config: Message) -> tuple[str | None, tuple[bytes, ...]]:
    file_name = config.take_text("file_name")
    inlined = config.take_message("requests")
    config.close()
    if bool(file_name) == (inlined is not None):
        raise InvalidRequest(f"* {config.path}: exactly one of file_name and requests is required\n", field=config.path)
    if file_name:
        return parse_resource_id(file_name, "files", field=config.path_of("file_name")), ()
    assert inlined is not None
    path = inlined.path_of("requests")
    lines = tuple(_inline_line(Message(each, f"{path}[{n}]")) for n, each in enumerate(inlined.take_list("requests")))
    inlined.close()
    if not lines:
        raise InvalidRequest(f"* {path}: at least one request is required\n", field=path)
    return None, lines


def _inline_line(message: Message) -> bytes:
    metadata = message.take_struct("metadata")
    request = message.take("request")
    message.close()
    with suppress(EmptyText):  # well formed: its error comes with the results
        parse_embed_request(Message(request, message.path_of("request")))
    label = {} if metadata is None else {"metadata": metadata}
    return msgspec.json.encode({**label, "request": request})


def _take_display_name(batch: Message) -> str | None:
    name = batch.take_text("display_name")
    if name is not None and (len(name) > _MAX_DISPLAY_NAME or "\0" in name):
        path = batch.path_of("display_name")
        raise InvalidRequest(f"* {path}: at most {_MAX_DISPLAY_NAME} characters, none of them NUL\n", field=path)
    return name


def parse_batch_update(batch: Message, update_mask: str | None) -> BatchUpdate:
    """Read the EmbedContentBatch of updateEmbedContentBatch.

    Args:
        batch: the body.
        update_mask: names of fields, either spelling, separated by commas; `*`, nothing or "" means what the body has.

    Raises:
        InvalidRequest: a field is wrong or unknown, or the mask names one that cannot be changed.
    """
    given = BatchUpdate(display_name=_take_display_name(batch), priority=batch.take_int64("priority"))
    for name in ("model", "input_config", *_OUTPUT_ONLY):
        batch.take(name)
    batch.close()
    names = [snake_case(name.strip()) for name in (update_mask or "").split(",") if name.strip()]
    if names in ([], ["*"]):
        return given
    for name in names:
        if name not in _CHANGEABLE:
            raise InvalidRequest(
                f"* update_mask: {shown(name)} cannot be changed; display_name and priority can\n", field="update_mask"
            )
    # A field that the mask names and the body lacks goes back to its default, as field masks have it.
    return BatchUpdate(
        display_name=(given.display_name or "") if "display_name" in names else None,
        priority=(given.priority or 0) if "priority" in names else None,
    )


def create_batch_to_wire(
    *, display_name: str = "", priority: int = 0, file_id: str | None = None, requests: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return an AsyncBatchEmbedContentRequest; the URL names the model.

    Args:
        display_name: left out when "".
        priority: left out when 0.
        file_id: the input file; None for inline requests.
        requests: inline requests: objects with `request` and perhaps `metadata`.
    """
    source = {"fileName": f"files/{file_id}"} if file_id else {"requests": {"requests": list(requests)}}
    batch: dict[str, Any] = {"inputConfig": source}
    if display_name:
        batch["displayName"] = display_name
    if priority:
        batch["priority"] = str(priority)
    return {"batch": batch}


def batch_to_wire(batch: EmbedContentBatch) -> dict[str, Any]:
    """Return an EmbedContentBatch without inline output, which `operations.py` writes behind it."""
    stats = batch.stats
    wire: dict[str, Any] = {
        "name": f"batches/{batch.batch_id}",
        "model": format_model_name(batch.model),
        "displayName": batch.display_name,
        "state": _PREFIX + batch.state,
        "priority": str(batch.priority),
        "batchStats": {
            "requestCount": str(stats.request_count),
            "successfulRequestCount": str(stats.successful_request_count),
            "failedRequestCount": str(stats.failed_request_count),
            "pendingRequestCount": str(stats.pending_request_count),
        },
    }
    moments = {"createTime": batch.created_at, "updateTime": batch.updated_at, "endTime": batch.ended_at}
    wire |= {name: format_timestamp(moment) for name, moment in moments.items() if moment is not None}
    if batch.input_file is not None:  # inline requests are not sent back
        wire["inputConfig"] = {"fileName": f"files/{batch.input_file}"}
    if batch.responses_file is not None:
        wire["output"] = {"responsesFile": f"files/{batch.responses_file}"}
    if batch.waiting_reason:
        wire["waitingReason"] = batch.waiting_reason  # not Google's; every SDK ignores fields it does not know
    return wire


def parse_batch(batch: Message) -> EmbedContentBatch:
    """Read an EmbedContentBatch that a server sent; fields that are not known are ignored, output is left out.

    Raises:
        InvalidRequest: a field has a value it cannot have.
    """
    stats = batch.take_message("batch_stats") or Message({}, batch.path_of("batch_stats"))
    state = (batch.take_text("state") or _UNSPECIFIED).removeprefix(_PREFIX)
    state = BatchState.PENDING if state == _UNSPECIFIED else state
    if state not in BatchState.__members__:
        raise InvalidRequest(f"Invalid value at '{batch.path_of('state')}', {shown(state)}")
    config = batch.take_message("input_config") or Message({})
    input_file = config.take_text("file_name")
    output = batch.take_message("output") or Message({})
    responses_file = output.take_text("responses_file")
    return EmbedContentBatch(
        batch_id=parse_resource_id(batch.take_text("name") or "", "batches"),
        model=(batch.take_text("model") or "").removeprefix("models/"),
        display_name=batch.take_text("display_name") or "",
        priority=batch.take_int64("priority") or 0,
        state=BatchState(state),
        stats=BatchStats(
            request_count=stats.take_int64("request_count") or 0,
            successful_request_count=stats.take_int64("successful_request_count") or 0,
            failed_request_count=stats.take_int64("failed_request_count") or 0,
            pending_request_count=stats.take_int64("pending_request_count") or 0,
        ),
        created_at=batch.take_timestamp("create_time"),
        updated_at=batch.take_timestamp("update_time"),
        ended_at=batch.take_timestamp("end_time"),
        input_file=input_file.removeprefix("files/") if input_file else None,
        responses_file=responses_file.removeprefix("files/") if responses_file else None,
        has_inline_output=output.take("inlined_responses") is not None,
        waiting_reason=batch.take_text("waiting_reason") or "",
    )
