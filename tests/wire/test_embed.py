"""embedContent and batchEmbedContents: what the SDKs send is read, what is wrong is named."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadResourceName, EmptyText, InvalidRequest
from gemvec.wire import message
from gemvec.wire.embed import (
    BatchEmbedContentsRequest,
    BatchEmbedContentsResponse,
    EmbedContentRequest,
    EmbedContentResponse,
)
from gemvec.wire.message import to_wire
from gemvec.wire.proto_json import parse_json

REQUESTS = st.builds(
    EmbedRequest,
    text=st.text(min_size=1),
    task_type=st.sampled_from(TaskType),
    title=st.none() | st.text(),
    output_dimensionality=st.none() | st.integers(-(2**31), 2**31 - 1),
    auto_truncate=st.booleans(),
)


def read(body):
    return message.read(EmbedContentRequest, parse_json(json.dumps(body).encode())).to_embed_request()


def read_batch(body):
    return message.read(BatchEmbedContentsRequest, body).to_embed_requests()


def content(*texts):
    return {"content": {"parts": [{"text": text} for text in texts]}}


@given(REQUESTS)
def test_a_request_survives_the_wire(request):
    wire = to_wire(EmbedContentRequest.from_embed_request(request, model="m"))
    assert wire["model"] == "models/m"
    assert message.read(EmbedContentRequest, wire).to_embed_request() == request


def test_n_parts_are_one_text():
    assert read(content("a", "b")).text == "a\nb"


def test_parts_without_text_count_for_nothing():
    assert read({"content": {"role": "user", "parts": [{}, {"text": ""}, {"text": "a"}]}}).text == "a"


@pytest.mark.parametrize(
    ("part", "field", "said"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}, "inline_data", '"image/png"'),
        ({"inline_data": {"mime_type": "audio/wav", "data": ""}}, "inline_data", '"audio/wav"'),
        ({"fileData": {"fileUri": "files/a"}}, "file_data", "a file"),
        ({"functionCall": {"name": "f"}}, "function_call", "a function call"),
    ],
)
def test_a_part_that_is_no_text_is_refused_as_what_it_is(part, field, said):
    with pytest.raises(InvalidRequest, match="read text only") as e:
        read({"content": {"parts": [{"text": "a cat"}, part]}})
    assert e.value.field == f"content.parts[1].{field}"
    assert said in e.value.message


@pytest.mark.parametrize(
    "options",
    [
        {"taskType": "RETRIEVAL_DOCUMENT", "title": "T", "outputDimensionality": 10},
        {"task_type": "retrieval_document", "title": "T", "output_dimensionality": "10"},
        {"taskType": 2, "title": "T", "output_dimensionality": 10},
        {"embedContentConfig": {"taskType": "RETRIEVAL_DOCUMENT", "title": "T", "outputDimensionality": 10}},
        {
            "embed_content_config": {
                "task_type": 2,
                "title": "T",
                "output_dimensionality": 10,
                "audioTrackExtraction": {},
            }
        },
        {"taskType": 2, "title": "T", "outputDimensionality": 10, "embedContentConfig": {"taskType": 1, "title": "U"}},
    ],
)
def test_options_are_taken_in_every_spelling_the_sdks_use_and_the_top_level_wins(options):
    request = read(content("a") | options)
    assert (request.task_type, request.title, request.output_dimensionality) == (TaskType.RETRIEVAL_DOCUMENT, "T", 10)


def test_options_that_are_not_given_are_left_to_the_model():
    assert read(content("a") | {"taskType": None}) == EmbedRequest(text="a")


def test_auto_truncate_is_on_unless_the_config_says_otherwise():
    assert read(content("a")).auto_truncate
    assert not read(content("a") | {"embedContentConfig": {"autoTruncate": False}}).auto_truncate


@pytest.mark.parametrize("body", [content(), content(""), {"content": {}}, content("", "")])
def test_an_empty_content_is_refused_in_googles_words(body):
    with pytest.raises(EmptyText) as e:
        read(body)
    assert e.value.message == "EmbedContentRequest.content contains an empty Part."


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "content"),
        (content("a") | {"model": "models/../x"}, "model"),
        (content("a") | {"taskType": "X"}, "task_type"),
        (content("a") | {"embedContentConfig": {"taskType": "X"}}, "embed_content_config.task_type"),
        (content("a") | {"title": 5}, "title"),
        ({"content": {"parts": [{"text": 5}]}}, "content.parts[0].text"),
        ({"content": "a"}, "content"),
    ],
)
def test_errors_name_the_field(body, field):
    with pytest.raises(InvalidRequest) as e:
        read(body)
    assert e.value.field == field


def test_an_unknown_field_is_refused():
    with pytest.raises(InvalidRequest, match="Unknown name"):
        read(content("a") | {"tasktype": 2})


def test_a_batch_error_says_which_request():
    for bad in ({"content": {"parts": []}}, 5, content("a") | {"taskType": "X"}):
        with pytest.raises(InvalidRequest, match=r"requests\[1\]|empty Part") as e:
            read_batch({"requests": [content("a"), bad]})
        assert e.value.index == 1
        assert e.value.field.startswith("requests[1]")


def test_an_empty_batch_is_refused():
    with pytest.raises(InvalidRequest, match="at least one request"):
        read_batch({"requests": []})


def test_a_model_beside_the_requests_is_read():
    body = {"model": "models/m", "requests": [content("a")]}
    assert message.read(BatchEmbedContentsRequest, body).model == "m"
    with pytest.raises(BadResourceName):
        read_batch({"model": "models/ m", "requests": [content("a")]})


def test_responses_are_googles():
    vector = np.float32([0.5, 0.25])
    usage = {"promptTokenCount": 5, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 5}]}
    whole, cut = Embedding(vector, 5), Embedding(vector, 5, 9)
    assert to_wire(EmbedContentResponse.of(vector, whole)) == {"embedding": {"values": vector}, "usageMetadata": usage}
    assert to_wire(BatchEmbedContentsResponse.of([vector], [whole])) == {
        "embeddings": [{"values": vector}],
        "usageMetadata": usage,
    }
    said = {"values": vector, "statistics": {"truncated": True, "token_count": 9}}
    assert to_wire(EmbedContentResponse.of(vector, cut)) == {
        "embedding": said,
        "truncated": True,
        "usageMetadata": usage,
    }
    assert to_wire(BatchEmbedContentsResponse.of([vector], [cut]))["embeddings"] == [said]
