"""Vertex AI's routes, as its REST reference has them and as google-genai calls them with `vertexai=True`."""

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

MODEL = "gemini-embedding-001"
PROJECT = "/v1/projects/my-project/locations/us-central1/publishers/google/models"
PATHS = [
    PROJECT,
    PROJECT.replace("/v1/", "/v1beta1/"),
    PROJECT.replace("my-project", "google.com:my-project"),
    PROJECT.replace("my-project", "google.com%3Amy-project"),
    "/v1beta1/publishers/google/models",
]
LONG = "the dog " * 2000


def predict(http, *texts, path=PROJECT, model=MODEL, parameters=None, **options):
    body = {"instances": [{"content": each, **options} for each in texts]}
    return http.post(f"{path}/{model}:predict", json=body | ({"parameters": parameters} if parameters else {}))


def gemini(http, text, **options):
    body = {"content": {"parts": [{"text": text}]}, **options}
    return http.post(f"/v1/models/{MODEL}:embedContent", json=body).json()["embedding"]["values"]


@pytest.mark.parametrize("path", PATHS)
def test_texts_are_embedded_in_order_and_their_tokens_counted(http, path):
    predictions = predict(http, "a", "the dog", path=path).json()["predictions"]
    assert [each["embeddings"]["values"] for each in predictions] == [gemini(http, "a"), gemini(http, "the dog")]
    assert [each["embeddings"]["statistics"] for each in predictions] == [
        {"truncated": False, "token_count": 1},
        {"truncated": False, "token_count": 2},
    ]


def test_options_are_read(http):
    options = {"task_type": "RETRIEVAL_DOCUMENT", "title": "dogs"}
    answer = predict(http, "a", parameters={"outputDimensionality": 8}, **options).json()
    expected = gemini(http, "a", taskType="RETRIEVAL_DOCUMENT", title="dogs", outputDimensionality=8)
    assert answer["predictions"][0]["embeddings"]["values"] == expected


def test_a_cut_is_said_or_refused_as_asked(http):
    embeddings = predict(http, LONG).json()["predictions"][0]["embeddings"]
    assert embeddings["statistics"]["truncated"] is True
    assert embeddings["statistics"]["token_count"] > 2048
    refused = predict(http, "a", LONG, parameters={"autoTruncate": False})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("instances[1].content has")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "instances"),
        ({"instances": []}, 400, "instances"),
        ({"instances": [{"content": "a"}, {}]}, 400, "instances[1].content"),
        ({"instances": [{"content": ""}]}, 400, "instances[0].content"),
        ({"instances": [{"content": "a", "colour": "red"}]}, 400, "instances[0]"),
        ({"instances": [{"content": "a", "task_type": "x"}]}, 400, "instances[0].task_type"),
        ({"instances": [{"content": "a"}], "parameters": {"outputDimensionality": -1}}, 400, "parameters.output"),
    ],
)
def test_errors_are_googles_and_name_the_field(http, body, status, field):
    refused = http.post(f"{PROJECT}/{MODEL}:predict", json=body)
    assert refused.status_code == status
    assert refused.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert field in refused.json()["error"]["message"]


def test_an_unknown_model_is_not_found_in_googles_words(http):
    refused = predict(http, "a", model="none")
    assert refused.status_code == 404
    assert refused.json()["error"]["message"].startswith("models/none is not found for API version v1, ")


CLIENTS = {
    "with a key": {"api_key": "any"},
    "with a project": {"project": "p", "location": "l", "credentials": Credentials("token")},
}


@pytest.fixture(params=CLIENTS)
def vertex(request, server_url):
    options = types.HttpOptions(base_url=server_url)
    with genai.Client(vertexai=True, http_options=options, **CLIENTS[request.param]) as client:
        yield client


@pytest.mark.parametrize("model", [MODEL, "tiny"])
@pytest.mark.parametrize("texts", [["a"], ["a", LONG]])
def test_google_genai_in_vertex_mode_embeds_and_reads_what_was_cut(vertex, model, texts):
    config = types.EmbedContentConfig(task_type="RETRIEVAL_DOCUMENT", title="dogs", output_dimensionality=8)
    found = vertex.models.embed_content(model=model, contents=texts, config=config).embeddings
    assert [len(each.values) for each in found] == [8] * len(texts)
    limit = 2048 if model == MODEL else 8192
    assert [bool(each.statistics.truncated) for each in found] == [len(each) // 4 > limit for each in texts]


def test_google_genai_reads_errors(vertex):
    with pytest.raises(errors.ClientError) as refused:
        vertex.models.embed_content(model="none", contents=["a"])
    assert refused.value.code == 404
