"""models.list, models.get and countTokens."""

import pytest

from gemvec.errors import InvalidRequest
from gemvec.wire.message import read, to_wire
from gemvec.wire.models import CountTokensRequest, CountTokensResponse


def texts(**body):
    return read(CountTokensRequest, body).texts


def test_contents_may_be_nested_in_a_generate_content_request():
    contents = [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}, {"parts": []}]
    assert texts(contents=contents) == ["a\nb", ""]
    assert texts(generateContentRequest={"model": "models/m", "contents": contents}) == ["a\nb", ""]


def test_contents_must_be_given():
    with pytest.raises(InvalidRequest, match="contents is not specified"):
        texts()


def test_responses_are_googles():
    assert to_wire(CountTokensResponse.of(260)) == {
        "totalTokens": 260,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 260}],
    }
