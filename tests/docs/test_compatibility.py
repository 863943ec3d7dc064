"""The page on compatibility: a row for every endpoint and field of Google's reference, each with a test that exists."""

from itertools import chain

import compatibility
import pytest

METHODS = ["embedContent", "batchEmbedContents", "asyncBatchEmbedContent"]
# Google's reference of embeddings, message by message.
FIELDS = {
    "EmbedContentRequest": ["model", "content", "taskType", "title", "outputDimensionality"],
    "BatchEmbedContentsRequest": ["requests"],
    "EmbedContentResponse": ["embedding"],
    "BatchEmbedContentsResponse": ["embeddings"],
    "ContentEmbedding": ["values"],
    "EmbedContentBatch": [
        *["model", "name", "displayName", "inputConfig", "output", "createTime", "endTime", "updateTime"],
        *["batchStats", "state", "priority"],
    ],
    "InputEmbedContentConfig": ["fileName", "requests"],
    "InlinedEmbedContentRequests": ["requests"],
    "InlinedEmbedContentRequest": ["request", "metadata"],
    "EmbedContentBatchOutput": ["responsesFile", "inlinedResponses"],
    "InlinedEmbedContentResponses": ["inlinedResponses"],
    "InlinedEmbedContentResponse": ["metadata", "error", "response"],
    "EmbedContentBatchStats": [
        *["requestCount", "successfulRequestCount", "failedRequestCount", "pendingRequestCount"],
    ],
}
ROWS = list(chain.from_iterable(compatibility.api_sections().values()))
NAMED = [f"models.{each}" for each in METHODS] + [f"{name}.{each}" for name in FIELDS for each in FIELDS[name]]


def test_the_page_is_fresh():
    assert compatibility.PAGE.read_text() == compatibility.page(compatibility.api_sections())


@pytest.mark.parametrize("name", [*NAMED, "TaskType"])
def test_every_endpoint_and_field_of_the_reference_has_one_row(name):
    assert [row.name for row in ROWS].count(name) == 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_says_what_differs_and_names_a_test_that_exists(row):
    assert row.answer in {"same", "differs", "absent"}
    assert row.remark or row.answer == "same"
    assert not compatibility.missing_tests([row])


def test_a_test_that_does_not_exist_is_noticed():
    row = ROWS[0]._replace(test="wire/test_message.py::test_no_such")
    assert compatibility.missing_tests([row, row._replace(test="none.py")]) == [row.test, "none.py"]
