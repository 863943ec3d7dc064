"""embedContent, batchEmbedContents and countTokens, as every kind of client calls them."""

import json
import re

import numpy as np
import pytest

MODEL = "models/gemini-embedding-001"
PREFIXES = ["/v1", "/v1beta", "/v1alpha", ""]


def content(*texts):
    return {"content": {"parts": [{"text": text} for text in texts]}}


def values(response):
    assert response.status_code == 200, response.text
    return np.float32(response.json()["embedding"]["values"])


@pytest.mark.parametrize("prefix", PREFIXES)
def test_one_content_is_one_vector_under_every_prefix(http, prefix):
    response = http.post(f"{prefix}/{MODEL}:embedContent", json=content("Hello World!") | {"model": MODEL})
    assert values(response).shape == (3072,)
    assert np.linalg.norm(values(response)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_each_request_of_a_batch_is_one_vector_in_order(http, prefix):
    requests = [content("a"), content("b") | {"outputDimensionality": 10}, content("a")]
    response = http.post(f"{prefix}/{MODEL}:batchEmbedContents", json={"requests": requests})
    vectors = [each["values"] for each in response.json()["embeddings"]]
    assert [len(each) for each in vectors] == [3072, 10, 3072]
    assert vectors[0] == vectors[2] != vectors[1]


def test_values_are_float32_in_their_shortest_form(http):
    text = http.post(f"/v1/{MODEL}:embedContent", json=content("Hello") | {"outputDimensionality": 3}).text
    for number in text[text.index("[") + 1 : text.index("]")].split(","):
        assert len(number.lstrip("-")) <= 14, number


def test_usage_is_counted(http):
    one = http.post(f"/v1/{MODEL}:embedContent", json=content("Hello")).json()["usageMetadata"]
    two = http.post(f"/v1/{MODEL}:batchEmbedContents", json={"requests": [content("Hello")] * 2}).json()
    assert one["promptTokenCount"] > 0
    assert one["promptTokenDetails"] == [{"modality": "TEXT", "tokenCount": one["promptTokenCount"]}]
    assert two["usageMetadata"]["promptTokenCount"] == 2 * one["promptTokenCount"]


def test_the_answer_says_which_weights_made_it(http):
    response = http.post(f"/v1/{MODEL}:embedContent", json=content("Hello"))
    name, _, revision = response.headers["x-gemvec-model"].partition("@")
    assert name
    assert len(revision) == 8


@pytest.mark.parametrize(
    "query", ["?key=any", "?%24alt=json%3Benum-encoding%3Dint", "?$alt=json;enum-encoding=int", "?alt=json&x=y"]
)
def test_query_strings_of_the_sdks_are_accepted(http, query):
    assert values(http.post(f"/v1beta/{MODEL}:embedContent{query}", json=content("Hello"))).size == 3072


def test_large_batches_are_answered_whole(http):
    requests = [content(f"text number {number} " + "word " * 600) for number in range(150)]
    body = json.dumps({"requests": requests})
    assert len(body) > 256 * 1024
    response = http.post(f"/v1/{MODEL}:batchEmbedContents", content=body)
    vectors = np.float32([each["values"] for each in response.json()["embeddings"]])
    assert vectors.shape == (150, 3072)
    alone = values(http.post(f"/v1/{MODEL}:embedContent", json=requests[149]))
    np.testing.assert_allclose(vectors[149], alone, atol=2e-3)


def test_the_body_must_name_the_urls_model(http):
    response = http.post(f"/v1/{MODEL}:embedContent", json=content("a") | {"model": "models/other"})
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["fieldViolations"][0]["field"] == "model"
    requests = [content("a"), content("a") | {"model": "models/other"}]
    response = http.post(f"/v1/{MODEL}:batchEmbedContents", json={"requests": requests})
    assert "requests[1].model" in response.json()["error"]["message"]
    beside = {"model": "models/other", "requests": [content("a") | {"model": MODEL}]}
    response = http.post(f"/v1/{MODEL}:batchEmbedContents", json=beside)
    assert response.json()["error"]["details"][0]["fieldViolations"][0]["field"] == "model"


def test_the_body_names_the_model_where_the_setting_says_so(running):
    with running(model_in_body=True) as http:
        requests = {"requests": [content("a") | {"model": MODEL}]}
        response = http.post("/v1beta/models/anything:batchEmbedContents", json=requests)
        assert len(response.json()["embeddings"][0]["values"]) == 3072
        requests["requests"].append(content("a") | {"model": "models/other"})
        assert http.post("/v1beta/models/anything:batchEmbedContents", json=requests).status_code == 400


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("embedContent", content("a") | {"outputDimensionality": 0}, "output_dimensionality"),
        ("embedContent", content("a") | {"outputDimensionality": "x"}, "output_dimensionality"),
        (
            "batchEmbedContents",
            {"requests": [content("a"), content("a") | {"outputDimensionality": 0}]},
            "requests[1].output_dimensionality",
        ),
        ("batchEmbedContents", {"requests": [content("a"), content("")]}, "requests[1].content"),
    ],
)
def test_errors_name_the_field_by_its_path(http, method, body, field):
    error = http.post(f"/v1/{MODEL}:{method}", json=body).json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["fieldViolations"][0]["field"] == field


def test_tokens_are_counted_over_all_contents(http):
    def count(*contents):
        body = {"contents": [each["content"] for each in contents]}
        return http.post(f"/v1/{MODEL}:countTokens", json=body).json()["totalTokens"]

    assert count(content("one two three")) > 0
    assert count(content("one two three"), content("one two three")) == 2 * count(content("one two three"))


def test_what_a_client_reads_of_an_answer_does_not_depend_on_how_it_asks(http):
    camel = http.post(f"/v1/{MODEL}:embedContent", json=content("a") | {"taskType": "RETRIEVAL_QUERY"})
    snake = http.post(f"/v1/{MODEL}:embedContent", json=content("a") | {"task_type": 1})
    nested = http.post(f"/v1/{MODEL}:embedContent", json=content("a") | {"embedContentConfig": {"taskType": 1}})
    assert camel.json() == snake.json() == nested.json()


CHINESE = "图书馆在哪里"


def test_texts_that_the_model_was_not_made_for_are_said_in_the_answer(http):
    answer = http.post("/v1/embeddings", json={"input": ["the dog", CHINESE]})
    warning = answer.headers["x-gemvec-warning"]
    assert warning.startswith("1 of 2 texts mostly unknown to tiny")
    assert "--model multilingual-e5-small-q4" in warning
    assert "x-gemvec-warning" not in http.post("/v1/embeddings", json={"input": ["the dog"]}).headers


def test_texts_that_the_model_was_not_made_for_are_counted(http):
    def count():
        metrics = http.get("/metrics").text
        return float(re.search(r'gemvec_unknown_texts_total\{model="tiny"\} ([\d.e+]+)', metrics)[1])

    before = count()
    http.post("/embed", json={"inputs": [CHINESE, "the dog", CHINESE]})
    assert count() == before + 2
