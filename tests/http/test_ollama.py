"""Ollama's routes, as its clients call them."""

import numpy as np
import pytest

MODEL = "gemini-embedding-001"


def post(http, path="/api/embed", **body):
    return http.post(path, json={"model": MODEL, **body})


def gemini(http, text, **options):
    body = {"content": {"parts": [{"text": text}]}, **options}
    return http.post(f"/v1/models/{MODEL}:embedContent", json=body).json()["embedding"]["values"]


def test_texts_are_embedded_in_order(http):
    answer = post(http, input=["a", "b"], dimensions=8).json()
    assert answer["embeddings"] == [gemini(http, each, outputDimensionality=8) for each in "ab"]
    assert answer["model"] == MODEL
    assert answer["prompt_eval_count"] == 2
    assert answer["total_duration"] > 0


def test_no_dimensions_are_as_many_as_the_model_has(http):
    assert post(http, input="a", dimensions=0).json()["embeddings"] == [gemini(http, "a")]
    assert post(http, input="a", dimensions=-1).status_code == 400


def test_one_text_is_a_list_of_one(http):
    assert post(http, input="a").json()["embeddings"] == [gemini(http, "a")]


def test_a_name_may_have_ollamas_usual_tag(http):
    answer = http.post("/api/embed", json={"model": f"{MODEL}:latest", "input": "a"})
    assert answer.json()["model"] == f"{MODEL}:latest"
    assert answer.json()["embeddings"] == [gemini(http, "a")]
    assert http.post("/api/embed", json={"model": f"{MODEL}:v2", "input": "a"}).status_code == 404


def test_a_call_without_texts_only_asks_for_the_model(http):
    assert [post(http, **body).json()["embeddings"] for body in ({}, {"input": []}, {"input": ""})] == [[], [], []]
    assert [post(http, "/api/embeddings", **body).json() for body in ({}, {"prompt": ""})] == [{"embedding": []}] * 2
    assert http.post("/api/embed", json={"model": "none"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "field", "right"),
    [("/api/embed", "prompt", "input"), ("/api/embeddings", "input", "prompt")],
)
def test_the_other_routes_field_is_refused_and_not_answered_with_nothing(http, path, field, right):
    refused = post(http, path, **{field: "a"})
    assert refused.status_code == 400
    assert f"as `{right}`" in refused.json()["error"]
    assert post(http, path, **{field: "b", right: "a"}).json() | {"total_duration": 0} == post(
        http, path, **{right: "a"}
    ).json() | {"total_duration": 0}


@pytest.mark.parametrize(("path", "field"), [("/api/embed", "input"), ("/api/embeddings", "prompt")])
def test_images_are_refused_and_not_left_out(http, path, field):
    refused = post(http, path, **{field: "a", "images": ["iVBORw0KGgo="]})
    assert (refused.status_code, refused.json()) == (400, {"error": "`images`: text only is served"})
    assert post(http, path, **{field: "a", "images": None}).status_code == 200


def test_the_first_clients_route_embeds_one_text(http):
    assert post(http, "/api/embeddings", prompt="a").json() == {"embedding": gemini(http, "a")}


def test_vectors_are_normalised(http):
    (vector,) = post(http, input="a", dimensions=5).json()["embeddings"]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_text_that_is_too_long_is_cut_unless_truncate_says_otherwise(http):
    text = "the dog " * 1500
    assert post(http, input=text).status_code == 200
    for path, field in (("/api/embed", "input"), ("/api/embeddings", "prompt")):
        refused = post(http, path, **{field: text, "truncate": False})
        assert refused.status_code == 400
        assert refused.json()["error"].startswith(f"{field} has")


def test_names_are_listed_and_described(http):
    names = [each["name"] for each in http.get("/api/tags").json()["models"]]
    assert {"tiny", MODEL} <= set(names)
    shown = http.post("/api/show", json={"model": "tiny:latest"}).json()
    assert shown["model_info"]["gemvec.embedding_length"] == 32
    assert shown["capabilities"] == ["embedding"]
    assert http.post("/api/show", json={"name": "tiny"}).json() == shown
    assert http.get("/api/version").json()["version"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"input": "a", "model": "none"}, 404, "model 'none' not found"),
        ({"input": "a", "model": None}, 400, "`model` is required"),
        ({"input": ["a", ""]}, 400, "input[1]"),
        ({"input": ["a", 5]}, 400, "input[1]"),
        ({"input": [[1, 2]]}, 400, "input[0]"),
        ({"input": "a", "dimensions": 100_000}, 400, "dimensions is 100000"),
        ({"input": "a", "truncate": "x"}, 400, "truncate"),
    ],
)
def test_errors_have_ollamas_shape_and_name_the_field(http, body, status, words):
    refused = http.post("/api/embed", json={"model": MODEL} | body)
    assert refused.status_code == status
    assert list(refused.json()) == ["error"]
    assert words in refused.json()["error"]


def test_a_path_that_ollama_has_and_gemvec_has_not_is_answered_in_its_shape(http):
    refused = http.post("/api/generate", json={"model": MODEL, "prompt": "a"})
    assert refused.status_code == 404
    assert "no route POST /api/generate here" in refused.json()["error"]


def test_a_key_is_asked_for_where_the_api_asks(running):
    with running(api_key=("secret",)) as http:
        assert post(http, input="a").status_code == 401
        assert http.get("/api/tags").status_code == 401
        headers = {"authorization": "Bearer secret"}
        assert http.post("/api/embed", json={"model": MODEL, "input": "a"}, headers=headers).status_code == 200
