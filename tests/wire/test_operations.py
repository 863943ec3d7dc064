"""Operations around batches: the SDKs' fields and REST's fields say the same."""

import json
from datetime import UTC, datetime

import pytest

from gemvec.errors import InvalidRequest
from gemvec.wire.batches import BatchState, BatchStats, EmbedContentBatch, EmbedContentBatchOutput
from gemvec.wire.operations import parse_operation, write_operation, write_operations

RESULTS = [
    {"response": {"embedding": {"values": [0.1]}, "tokenCount": "3"}, "metadata": {"key": "k1"}},
    {"error": {"code": 3, "message": "why"}, "metadata": {"key": "k2"}},
]


def batch(state, **fields):
    return EmbedContentBatch(
        batch_id="b1",
        model="gemini-embedding-001",
        display_name="dd",
        priority=5,
        state=state,
        stats=BatchStats(request_count=2, successful_request_count=1, failed_request_count=1),
        created_at=datetime(2025, 11, 20, tzinfo=UTC),
        **fields,
    )


def results():
    return [b",".join(json.dumps(each).encode() for each in RESULTS)]


def written(*arguments):
    return json.loads(b"".join(write_operation(*arguments)))


def test_a_finished_inline_batch_fills_metadata_and_response():
    operation = written(batch(BatchState.SUCCEEDED), results)
    assert operation["name"] == operation["metadata"]["name"] == "batches/b1"
    assert operation["done"] is True
    assert operation["metadata"]["@type"].endswith(".EmbedContentBatch")
    assert operation["metadata"]["output"] == {"inlinedResponses": {"inlinedResponses": RESULTS}}
    assert operation["response"]["@type"].endswith(".EmbedContentBatchOutput")
    assert operation["response"]["inlinedResponses"] == {"inlinedResponses": RESULTS}
    assert "error" not in operation


def test_a_finished_file_batch_names_its_file():
    operation = written(batch(BatchState.SUCCEEDED, output=EmbedContentBatchOutput(responses_file="batch-b1")))
    assert operation["metadata"]["output"] == {"responsesFile": "files/batch-b1"}
    assert operation["response"]["responsesFile"] == "files/batch-b1"


@pytest.mark.parametrize("state", [BatchState.PENDING, BatchState.RUNNING])
def test_an_open_batch_has_neither_response_nor_error(state):
    operation = written(batch(state))
    assert operation["done"] is False
    assert not {"response", "error"} & set(operation)
    assert "output" not in operation["metadata"]


@pytest.mark.parametrize("state", [BatchState.FAILED, BatchState.CANCELLED, BatchState.EXPIRED])
def test_a_batch_that_did_not_succeed_has_an_error_and_keeps_what_is_finished(state):
    operation = written(batch(state, error_code=1, error_message="why"), results)
    assert operation["error"] == {"code": 1, "message": "why"}
    assert "response" not in operation
    assert operation["metadata"]["output"]["inlinedResponses"]["inlinedResponses"] == RESULTS


def test_the_last_page_has_no_token():
    operations = [write_operation(batch(BatchState.PENDING)), write_operation(batch(BatchState.SUCCEEDED), results)]
    page = json.loads(b"".join(write_operations(operations, None)))
    assert [each["done"] for each in page["operations"]] == [False, True]
    assert "nextPageToken" not in page


def test_other_pages_have_one():
    assert json.loads(b"".join(write_operations([], "t"))) == {"operations": [], "nextPageToken": "t"}


@pytest.mark.parametrize("state", list(BatchState))
def test_the_client_reads_what_the_server_writes(state):
    has_error = state in {BatchState.FAILED, BatchState.CANCELLED, BatchState.EXPIRED}
    sent = batch(state, error_code=4 if has_error else 0)
    read = parse_operation(written(sent, results))
    assert read.batch.state is state
    assert (read.batch.stats, read.batch.error_code, read.batch.priority) == (sent.stats, sent.error_code, 5)
    assert [each.label for each in read.responses] == [{"metadata": {"key": "k1"}}, {"metadata": {"key": "k2"}}]
    assert [each.values for each in read.responses] == [[0.1], None]


def test_an_operation_of_a_file_batch_is_read():
    read = parse_operation(
        written(batch(BatchState.SUCCEEDED, output=EmbedContentBatchOutput(responses_file="batch-b1")))
    )
    assert (read.batch.responses_file, read.responses) == ("batch-b1", ())


def test_a_batch_of_another_method_is_read_and_only_its_results_are_refused():
    """Google lists batches of generateContent beside those of embedContent."""
    operation = written(batch(BatchState.SUCCEEDED), results)
    other = [{"response": {"candidates": []}, "metadata": {"key": "k1"}}]
    operation["metadata"]["output"]["inlinedResponses"]["inlinedResponses"] = other
    read = parse_operation(operation)
    assert (read.batch.batch_id, read.batch.state) == ("b1", BatchState.SUCCEEDED)
    with pytest.raises(InvalidRequest, match="neither an embedding nor an error"):
        _ = read.responses
