"""OpenAI's embeddings route: texts, token ids, floats and base64."""

import base64
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire import message, openai
from gemvec.wire.encodings import to_base64


def read(**body):
    return message.read(openai.OpenAIEmbeddingsRequest, body)


@pytest.mark.parametrize(
    ("given_input", "inputs"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        (["a", [1]], ["a", [1]]),
    ],
)
def test_input_is_texts_or_token_ids(given_input, inputs):
    assert read(input=given_input).inputs == inputs


@pytest.mark.parametrize(("given_input", "field"), [("", "input"), (["a", ""], "input[1]"), ([[]], "input[0]")])
def test_an_empty_input_is_refused_by_its_place(given_input, field):
    with pytest.raises(EmptyText, match=re.escape(f"Invalid '{field}'")) as e:
        read(input=given_input)
    assert e.value.field == field


@pytest.mark.parametrize(
    ("given_input", "field"),
    [(each, "input") for each in (None, [], 5, {}, True)]
    + [(each, "input[0]") for each in ([True], [-1], [1.5], [["a"]], [[1, True]], [None])]
    + [(["a", 5], "input[1]")],
)
def test_an_input_of_another_kind_is_refused(given_input, field):
    with pytest.raises(InvalidRequest) as e:
        read(input=given_input)
    assert e.value.field == field


def test_what_is_not_given_is_none_and_unknown_fields_are_ignored():
    request = read(input="a", user="u", colour="red")
    assert (request.model, request.dimensions, request.encoding_format) == (None, None, "float")


def test_an_unknown_encoding_format_is_refused():
    with pytest.raises(InvalidRequest, match="encoding_format"):
        read(input="a", encoding_format="float16")


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=20))
def test_base64_is_little_endian_float32(values):
    wire = to_base64(np.float32(values))
    assert np.frombuffer(base64.b64decode(wire), "<f4").tolist() == np.float32(values).tolist()


def test_responses_are_openais():
    assert message.to_wire(openai.OpenAIEmbeddingsResponse.of(["AAAA", "BBBB"], model="m", token_count=7)) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": "AAAA"},
            {"object": "embedding", "index": 1, "embedding": "BBBB"},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    assert message.to_wire(openai.OpenAIModels(data=[openai.OpenAIModel(id="m")])) == {
        "object": "list",
        "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "gemvec"}],
    }


def test_a_missing_input_is_said_to_be_missing():
    with pytest.raises(InvalidRequest, match="'input' is missing") as e:
        read()
    assert e.value.field == "input"
