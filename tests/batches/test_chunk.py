"""run_chunk: every answer belongs to its own request; what is wrong with one harms no other."""

import asyncio
import json

import numpy as np
import pytest

from batch_steps import line
from gemvec.batches import lines
from gemvec.batches.chunk import run_chunk
from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.job import ChunkTask
from gemvec.embedding.embed import Priority
from gemvec.embedding.task_type import TaskType
from gemvec.errors import (
    ApiError,
    DataLost,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    ShuttingDown,
    TransportFailure,
)
from hash_embedder import HashEmbedder, vector_of


@pytest.fixture
def run(tmp_path):
    """Run lines as one chunk and return the answers with the counts."""

    def run(content, embedder=None, *, request_count=None):
        task = ChunkTask(
            job_number=1,
            batch_id="b",
            owner="",
            model="hash",
            weights="hash@12345678",
            chunk_index=0,
            lease=1,
            input_path=tmp_path / "input.jsonl",
            input_offset=0,
            input_bytes=len(content),
            request_count=content.count(b"\n") if request_count is None else request_count,
            part_path=tmp_path / "part.jsonl",
        )
        task.input_path.write_bytes(content)
        result = asyncio.run(run_chunk(task, embedder or HashEmbedder(), ChunkFiles(task)))
        answers = [json.loads(each) for each in task.part_path.read_bytes().splitlines()]
        assert sum("response" in answer for answer in answers) == result.successful_count
        assert sum("error" in answer for answer in answers) == result.failed_count
        return answers

    return run


def joined(*content):
    return b"".join(each + b"\n" for each in content)


def values(answer):
    return np.float32(answer["response"]["embedding"]["values"])


def test_each_request_has_its_own_options_and_its_own_answer(run):
    answers = run(
        joined(
            line("a", key="1"),
            line("a", key="2", taskType="RETRIEVAL_QUERY"),
            line("a", key="3", task_type="RETRIEVAL_DOCUMENT", title="t"),
            line("a", key="4", output_dimensionality=2),
        )
    )
    assert [answer["key"] for answer in answers] == ["1", "2", "3", "4"]
    assert np.array_equal(values(answers[0]), vector_of("a"))
    assert np.array_equal(values(answers[1]), vector_of("a", TaskType.RETRIEVAL_QUERY))
    assert np.array_equal(values(answers[2]), vector_of("a", TaskType.RETRIEVAL_DOCUMENT, "t"))
    assert np.array_equal(values(answers[3]), vector_of("a", output_dimensionality=2))
    assert answers[0]["response"]["tokenCount"] == "1"


def test_batches_are_computed_behind_interactive_requests(run):
    embedder = HashEmbedder()
    run(joined(line("a")), embedder)
    assert embedder.priorities == {Priority.BATCH}


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff\xfe",
        b'{"key":"bad","request":{"content":{"parts":[{"te',
        b"\0",
        b"   ",
        b'{"key":"bad","request":NaN}',
        b'{"key":' * 100_000,
        line("", key="bad"),
        line("refuse me", key="bad"),
        line("x", key="bad", model="models/another"),
        line("x", key="bad", outputDimensionality="many"),
    ],
    ids=lambda bad: repr(bad[:20]),
)
def test_a_bad_line_is_an_error_at_its_place(run, bad):
    content = [line(f"good {number}", key=str(number)) for number in range(20)]
    answers = run(joined(*content[:13], bad, *content[13:]))
    assert len(answers) == 21
    assert answers[13]["error"]["code"] == 3
    assert answers[13]["error"]["message"]
    assert answers[13].get("key", "bad") == "bad"
    for number, answer in enumerate(answers[:13] + answers[14:]):
        assert np.array_equal(values(answer), vector_of(f"good {number}"))


def test_carriage_returns_blank_lines_and_a_byte_order_mark_harm_nothing(run):
    content = b"\xef\xbb\xbf" + line("a") + b"\r\n\r\n\n" + line("b") + b"\r\n" + line("c")
    answers = run(content, request_count=3)
    for answer, text in zip(answers, "abc", strict=True):
        assert np.array_equal(values(answer), vector_of(text))


def test_a_line_that_is_too_long_is_an_error(run, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    answers = run(joined(line("a"), line("x" * 100), line("b")))
    assert ["error" in answer for answer in answers] == [False, True, False]


def test_a_chunk_of_nothing_but_bad_lines_is_not_computed(run):
    embedder = HashEmbedder()
    answers = run(joined(b"{", b"[", b"?"), embedder)
    assert [answer["error"]["code"] for answer in answers] == [3, 3, 3]
    assert embedder.requests == []


def test_a_request_that_breaks_the_model_is_an_internal_error_at_its_place(run):
    answers = run(joined(line("a"), line("break the model", key="bad"), line("b")))
    assert answers[1]["key"] == "bad"
    assert answers[1]["error"]["code"] == 13
    assert "break the model" not in answers[1]["error"]["message"]
    assert np.array_equal(values(answers[2]), vector_of("b"))


def test_what_a_remote_service_refuses_is_an_error_at_its_place(run):
    embedder = HashEmbedder()
    embedder.faults = [ApiError(400, "INVALID_ARGUMENT", "no")] * 3
    answers = run(joined(line("a"), line("b")), embedder)
    assert [answer["error"]["code"] for answer in answers] == [3, 3]


def test_a_busy_model_is_asked_again(run):
    embedder = HashEmbedder()
    embedder.faults = [Overloaded(retry_after_seconds=0.001)] * 2
    assert len(run(joined(line("a"), line("b")), embedder)) == 2


def test_a_chunk_that_never_fits_is_halved(run, monkeypatch):
    class Small(HashEmbedder):
        async def embed(self, model, requests, **options):
            if len(requests) > 2:
                raise Overloaded(retry_after_seconds=0)
            return await super().embed(model, requests, **options)

    answers = run(joined(*(line(str(number)) for number in range(9))), Small())
    for number, answer in enumerate(answers):
        assert np.array_equal(values(answer), vector_of(str(number)))


@pytest.mark.parametrize(
    "error",
    [
        ModelUnavailable(),
        TransportFailure(),
        ShuttingDown(),
        MemoryError(),
        ApiError(500, "INTERNAL", ""),
        ApiError(403, "PERMISSION_DENIED", ""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_concerns_every_request_is_raised_and_nothing_is_written(run, tmp_path, error):
    embedder = HashEmbedder()
    embedder.faults = [error]
    with pytest.raises(type(error)):
        run(joined(line("a")), embedder)
    assert not list(tmp_path.glob("part*"))


def test_a_label_with_a_number_beyond_64_bits_comes_back(run):
    big = 2**70
    request = {"content": {"parts": [{"text": "a"}]}}
    answers = run(joined(json.dumps({"metadata": {"n": big}, "request": request}).encode()))
    assert answers[0]["metadata"] == {"n": big}
    assert np.array_equal(values(answers[0]), vector_of("a"))


def test_an_input_with_other_lines_than_counted_is_data_lost(run):
    with pytest.raises(DataLost):
        run(joined(line("a")), request_count=2)


def test_a_refusal_has_the_embedders_message(run):
    embedder = HashEmbedder()
    embedder.faults = [InvalidRequest("* output_dimensionality: too large\n")]
    (answer,) = run(joined(line("a")), embedder)
    assert answer["error"] == {"code": 3, "message": "* output_dimensionality: too large\n"}
