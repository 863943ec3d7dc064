"""text-embeddings-inference's embed route: what would give other vectors than asked for is refused."""

import pytest

from gemvec.embedding.task_type import TaskType
from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire import message, tei


def read(**body):
    return message.read(tei.TEIEmbedRequest, body)


def test_a_request_as_milvus_sends_it_is_read():
    request = read(inputs=["a", "b"], truncate=True, truncation_direction="Right")
    assert (request.inputs, request.truncate, request.dimensions) == (["a", "b"], True, None)


def test_a_long_input_is_refused_unless_truncate_says_otherwise():
    assert not read(inputs="a").truncate


@pytest.mark.parametrize(
    ("name", "task_type"),
    [
        ("query", TaskType.RETRIEVAL_QUERY),
        ("Passage", TaskType.RETRIEVAL_DOCUMENT),
        (None, TaskType.TASK_TYPE_UNSPECIFIED),
    ],
)
def test_a_prompt_is_a_task_type(name, task_type):
    assert read(inputs="a", prompt_name=name).named_task() is task_type


@pytest.mark.parametrize(
    "options", [{"normalize": False}, {"truncation_direction": "Left"}, {"prompt_name": "no-such"}, {"inputs": 5}]
)
def test_what_is_not_served_is_refused_by_name(options):
    with pytest.raises(InvalidRequest) as e:
        read(**{"inputs": "a"} | options)
    assert e.value.field == next(iter(options))


def test_an_empty_input_is_refused():
    with pytest.raises(EmptyText):
        read(inputs=["a", ""])
