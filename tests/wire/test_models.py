"""models.list, models.get and countTokens."""

import pytest

from gemvec.errors import InvalidRequest
from gemvec.wire.message import Message
from gemvec.wire.models import count_tokens_response_to_wire, model_to_wire, parse_count_tokens_request


def read(**body):
    return parse_count_tokens_request(Message(body))


def test_contents_may_be_nested_in_a_generate_content_request():
    contents = [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}, {"parts": []}]
    assert read(contents=contents) == ["a\nb", ""]
    assert read(generateContentRequest={"model": "models/m", "contents": contents}) == ["a\nb", ""]


def test_contents_must_be_given():
    with pytest.raises(InvalidRequest, match="contents is not specified"):
        read()


def test_responses_are_googles():
    assert count_tokens_response_to_wire(260) == {
        "totalTokens": 260,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 260}],
    }
    model = model_to_wire(model="m", version="001", display_name="M", description="d", token_limit=2048)
    assert model["name"] == "models/m"
    assert model["outputTokenLimit"] == 1
    assert "asyncBatchEmbedContent" in model["supportedGenerationMethods"]
