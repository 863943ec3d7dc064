"""Lines of a batch: either spelling is read, what is wrong becomes an error that keeps its key."""

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire.embed import EmbedContentRequest
from gemvec.wire.jsonl import (
    error_line_to_wire,
    format_error_line,
    format_response_line,
    parse_request_line,
    parse_response_line,
    response_line_to_wire,
)
from gemvec.wire.message import to_wire

LABELS = st.fixed_dictionaries({}, optional={"key": st.text() | st.integers(-(2**53), 2**53)})
REQUESTS = st.builds(
    EmbedRequest,
    text=st.text(min_size=1),
    task_type=st.sampled_from(TaskType),
    title=st.none() | st.text(),
    output_dimensionality=st.none() | st.integers(-(2**31), 2**31 - 1),
    auto_truncate=st.booleans(),
)


def line(**fields):
    return json.dumps(fields).encode() + b"\n"


def request(text="a", **options):
    return {"content": {"parts": [{"text": text}]}, **options}


@given(LABELS, REQUESTS)
def test_a_line_survives_the_wire(label, asked):
    read = parse_request_line(
        orjson.dumps({**label, "request": to_wire(EmbedContentRequest.from_embed_request(asked))})
    )
    assert read.label == label
    assert read.request.to_embed_request() == asked


def test_both_spellings_are_read():
    google = line(key="k", request=request(output_dimensionality=512, task_type="RETRIEVAL_DOCUMENT"))
    camel = line(key="k", request=request(outputDimensionality=512, taskType="RETRIEVAL_DOCUMENT"))
    assert parse_request_line(google) == parse_request_line(camel)


def test_metadata_goes_back_like_a_key():
    read = parse_request_line(line(metadata={"id": [1, {"a": None}]}, request=request()))
    assert read.label == {"metadata": {"id": [1, {"a": None}]}}
    assert read.request.text == "a"


def test_a_key_may_be_a_number():
    assert parse_request_line(line(key=7, request=request())).label == {"key": 7}


def test_of_a_name_that_occurs_twice_the_last_one_counts():
    twice = b'{"key":"a","key":"b","request":{"content":{"parts":[{"text":"x"}]},"content":{"parts":[{"text":"y"}]}}}'
    read = parse_request_line(twice)
    assert (read.label, read.request.text) == ({"key": "b"}, "y")


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b" \t\n"])
def test_any_line_ending_is_fine(ending):
    read = parse_request_line(line(key="k", request=request()).strip() + ending)
    assert isinstance(read.request, EmbedContentRequest)


@pytest.mark.parametrize(
    "broken",
    [
        b"\xff\xfe{}",
        b'{"key":"k","request":{"content":{"parts":[{"te',
        b'{"key":"\\ud800","request":{}}',
        b'{"key":"k","request":' + b'{"a":' * 100_000,
        b'{"key":"k","request":' + b"[" * 100_000,
        b"   \n",
        b"null",
        b"7",
        b"[]",
        b"{} {}",
    ],
    ids=lambda broken: repr(broken[:24]),
)
def test_a_line_that_is_no_object_is_an_error_without_a_key(broken):
    read = parse_request_line(broken)
    assert isinstance(read.request, InvalidRequest)
    assert read.label == {}


@pytest.mark.parametrize(
    "text", [b'"\xc3\x28"', b'"a\x00b"', b'"\\ud800"', b"NaN"], ids=["not UTF-8", "control", "half a pair", "NaN"]
)
def test_a_text_that_is_not_unicode_is_an_error_and_the_key_beside_it_is_kept(text):
    read = parse_request_line(
        b'{"key":"k","metadata":{"n":1},"request":{"content":{"parts":[{"text":' + text + b"}]}}}"
    )
    assert "Invalid JSON payload" in str(read.request)
    assert read.label == {"key": "k", "metadata": {"n": 1}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "request: is required"),
        ({"request": None}, "request: is required"),
        ({"request": []}, "Invalid value at 'request'"),
        ({"request": {}}, "content: is required"),
        ({"request": request(""), "metadata": {}}, "empty Part"),
        ({"request": request(taskType="NOPE")}, "'request.task_type'"),
        ({"request": request(outputDimensionality="many")}, "'request.output_dimensionality'"),
        ({"request": request(wrong=1)}, "Unknown name \"wrong\" at 'request'"),
        ({"request": request(), "wrong": 1}, 'Unknown name "wrong"'),
        ({"request": request(), "metadata": 7}, "'metadata'"),
    ],
)
def test_a_wrong_field_is_named_and_the_key_is_kept(fields, said):
    read = parse_request_line(line(key="k", **fields))
    assert said in str(read.request)
    assert read.label["key"] == "k"


def test_a_key_of_another_type_is_refused():
    assert "Invalid value at 'key'" in str(parse_request_line(line(key={}, request=request())).request)


def test_empty_text_has_its_own_class():
    assert isinstance(parse_request_line(line(request=request(""))).request, EmptyText)


@given(LABELS, st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8), st.integers(0, 2**31))
def test_a_response_survives_the_wire(label, values, token_count):
    vector = np.float32(values)
    text = orjson.dumps(response_line_to_wire(label, vector, token_count), option=orjson.OPT_SERIALIZE_NUMPY)
    read = parse_response_line(text)
    assert (read.label, read.token_count, read.error_code) == (label, token_count, 0)
    assert np.array_equal(np.float32(read.values), vector)


@given(LABELS, st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8), st.integers(0, 2**31))
def test_a_line_made_of_numbers_in_json_is_the_same(label, values, token_count):
    line = b"".join(format_response_line(label, orjson.dumps(values), token_count))
    assert line.endswith(b"\n")
    assert orjson.loads(line) == response_line_to_wire(label, values, token_count)


@given(LABELS)
def test_an_error_as_a_line_is_the_same(label):
    line = format_error_line(label, "INTERNAL", 'why "not"\n')
    assert line.count(b"\n") == 1
    assert orjson.loads(line) == error_line_to_wire(label, "INTERNAL", 'why "not"\n')


def test_a_response_looks_as_google_writes_it():
    wire = response_line_to_wire({"key": "k"}, [0.5], 5)
    assert wire == {"key": "k", "response": {"embedding": {"values": [0.5]}, "tokenCount": "5"}}


def test_an_error_looks_as_google_writes_it():
    wire = error_line_to_wire({"key": "k"}, "INVALID_ARGUMENT", "why")
    assert wire == {"key": "k", "error": {"code": 3, "message": "why"}}
    read = parse_response_line(json.dumps(wire).encode())
    assert (read.label, read.values, read.error_code, read.error_message) == ({"key": "k"}, None, 3, "why")


def test_a_line_that_is_neither_response_nor_error_is_refused():
    with pytest.raises(InvalidRequest, match="neither"):
        parse_response_line(b'{"key":"k"}')
