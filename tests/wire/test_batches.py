"""asyncBatchEmbedContent and updateEmbedContentBatch: what clients send is read, what is wrong is named."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import BadResourceName, InvalidRequest
from gemvec.wire.batches import (
    AsyncBatchEmbedContentRequest,
    BatchState,
    BatchStats,
    BatchUpdate,
    EmbedContentBatch,
    EmbedContentBatchOutput,
    InputEmbedContentConfig,
    create_batch_to_wire,
    parse_batch,
)
from gemvec.wire.message import read, to_wire

INT64 = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**63 - 1)
MOMENTS = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
BATCHES = st.builds(
    EmbedContentBatch,
    batch_id=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=36, max_size=36),
    model=st.sampled_from(["gemini-embedding-001", "all-minilm-l6-v2"]),
    display_name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10),
    priority=INT64,
    state=st.sampled_from(BatchState),
    stats=st.builds(BatchStats, *[], **dict.fromkeys(BatchStats.__struct_fields__, COUNTS)),
    created_at=MOMENTS,
    updated_at=MOMENTS,
    ended_at=MOMENTS,
    input_config=st.none() | st.just(InputEmbedContentConfig(file_name="abc")),
    output=st.none() | st.just(EmbedContentBatchOutput(responses_file="batch-abc")),
    waiting_reason=st.sampled_from(["", "no room"]),
)
REQUEST = {"content": {"parts": [{"text": "a"}]}}
INLINE = {"requests": {"requests": [{"request": REQUEST}]}}


def create(batch):
    return read(AsyncBatchEmbedContentRequest, {"batch": batch}).batch


def lines(batch):
    return [json.loads(line) for line in batch.input_config.requests.lines]


def test_what_the_sdk_sends_for_inline_requests_is_read():
    asked = create({"inputConfig": INLINE, "displayName": "dd"})
    assert (asked.model, asked.display_name, asked.priority, asked.input_file) == ("", "dd", None, None)
    assert lines(asked) == [{"request": REQUEST}]


def test_what_the_sdk_sends_for_a_file_is_read():
    asked = create({"inputConfig": {"file_name": "files/abc"}, "displayName": "dd"})
    assert (asked.input_file, asked.input_config.requests) == ("abc", None)


def test_every_field_of_the_reference_is_read():
    request = {"model": "models/m", **REQUEST, "taskType": "RETRIEVAL_DOCUMENT", "title": "x"}
    item = {"request": request, "metadata": {"key": "k1"}}
    asked = create(
        {
            "model": "models/m",
            "display_name": "dd",
            "priority": "-5",
            "input_config": {"requests": {"requests": [item]}},
        }
    )
    assert (asked.model, asked.display_name, asked.priority) == ("m", "dd", -5)
    assert lines(asked) == [item]


@given(INT64)
def test_priority_is_any_int64(priority):
    assert create({"inputConfig": INLINE, "priority": str(priority)}).priority == priority


def test_what_only_the_server_says_is_ignored_in_a_request():
    batch = EmbedContentBatch(batch_id="x", state=BatchState.RUNNING, output=EmbedContentBatchOutput())
    assert lines(create({**to_wire(batch), "inputConfig": INLINE}))


def test_a_request_without_text_is_an_error_among_the_results_not_here():
    empty = {"content": {"parts": [{"text": ""}]}}
    assert lines(create({"inputConfig": {"requests": {"requests": [{"request": empty}]}}}))


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        ({}, "batch.input_config"),
        ({"inputConfig": {}}, "batch.input_config"),
        ({"inputConfig": {"fileName": "files/a", **INLINE}}, "batch.input_config"),
        ({"inputConfig": {"requests": {}}}, "batch.input_config.requests.requests"),
        ({"inputConfig": {"requests": {"requests": [{}]}}}, "batch.input_config.requests.requests[0].request"),
        (
            {"inputConfig": {"requests": {"requests": [{"request": REQUEST}, {"request": {**REQUEST, "x": 1}}]}}},
            "batch.input_config.requests.requests[1].request",
        ),
        (
            {"inputConfig": {"requests": {"requests": [{"request": {**REQUEST, "taskType": "NO"}}]}}},
            "batch.input_config.requests.requests[0].request.task_type",
        ),
        ({"inputConfig": INLINE, "priority": 2**63}, "batch.priority"),
        ({"inputConfig": INLINE, "priority": "high"}, "batch.priority"),
        ({"inputConfig": INLINE, "displayName": "x" * 513}, "batch.display_name"),
        ({"inputConfig": INLINE, "displayName": "a\0"}, "batch.display_name"),
        ({"inputConfig": INLINE, "model": "models/a/b"}, "batch.model"),
        ({"inputConfig": INLINE, "wrong": 1}, "batch"),
    ],
)
def test_what_is_wrong_is_named(batch, field):
    with pytest.raises(InvalidRequest) as caught:
        create(batch)
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["files/../etc/passwd", "/etc/passwd", "files/a/b", "files/", "..", "files/A"])
def test_an_input_file_name_is_only_ever_a_name(name):
    with pytest.raises(BadResourceName):
        create({"inputConfig": {"fileName": name}})


@pytest.mark.parametrize("body", [{}, {"batch": None}])
def test_a_body_without_batch_is_refused(body):
    with pytest.raises(InvalidRequest, match="batch: is required"):
        read(AsyncBatchEmbedContentRequest, body)


@pytest.mark.parametrize(
    ("mask", "body", "update"),
    [
        ("displayName,priority", {"displayName": "n", "priority": "7"}, BatchUpdate(display_name="n", priority=7)),
        ("display_name", {"displayName": "n", "priority": "7"}, BatchUpdate(display_name="n")),
        ("priority", {}, BatchUpdate(priority=0)),
        ("displayName", {}, BatchUpdate(display_name="")),
        ("*", {"priority": 7}, BatchUpdate(priority=7)),
        (None, {"display_name": "n"}, BatchUpdate(display_name="n")),
        ("", {"name": "batches/x", "state": "BATCH_STATE_RUNNING"}, BatchUpdate()),
    ],
)
def test_the_update_mask_says_what_changes(mask, body, update):
    assert read(EmbedContentBatch, body).changes(mask) == update


@pytest.mark.parametrize("mask", ["model", "state", "displayName,inputConfig", "nonsense"])
def test_only_display_name_and_priority_can_be_changed(mask):
    with pytest.raises(InvalidRequest) as caught:
        EmbedContentBatch().changes(mask)
    assert caught.value.field == "update_mask"


@given(BATCHES)
def test_a_batch_survives_the_wire(batch):
    assert parse_batch(json.loads(json.dumps(to_wire(batch)))) == batch


def test_int64_fields_travel_as_strings():
    stats = BatchStats(request_count=3, successful_request_count=2, failed_request_count=1)
    wire = to_wire(
        EmbedContentBatch(
            batch_id="b", model="m", display_name="", priority=-(2**63), state=BatchState.RUNNING, stats=stats
        )
    )
    assert wire["priority"] == "-9223372036854775808"
    assert wire["batchStats"] == {
        "requestCount": "3",
        "successfulRequestCount": "2",
        "failedRequestCount": "1",
        "pendingRequestCount": "0",
    }
    assert "endTime" not in wire


def test_what_our_client_writes_our_server_reads():
    wire = create_batch_to_wire(display_name="n", priority=-1, requests=[{"request": REQUEST}])
    asked = create(json.loads(msgspec.json.encode(wire["batch"])))
    assert (asked.display_name, asked.priority, len(lines(asked))) == ("n", -1, 1)
    assert create(create_batch_to_wire(file_id="abc")["batch"]).input_file == "abc"


def test_a_state_that_does_not_exist_is_refused():
    with pytest.raises(InvalidRequest):
        parse_batch({"name": "batches/b", "state": "BATCH_STATE_DREAMING"})


def test_a_state_that_is_not_set_is_the_first():
    for fields in ({}, {"state": "BATCH_STATE_UNSPECIFIED"}):
        assert parse_batch({"name": "batches/b", **fields}).state is BatchState.PENDING
