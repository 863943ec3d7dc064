"""text-embeddings-inference's routes, as Milvus' `tei` provider calls them."""

import pytest


def test_inputs_are_embedded_in_order(http):
    vectors = http.post("/embed", json={"inputs": ["a", "b", "a"], "truncate": True}).json()
    assert vectors[0] == vectors[2] != vectors[1]
    assert http.post("/embed", json={"inputs": "a", "truncate": True}).json() == vectors[:1]


def test_the_default_model_answers_with_its_own_dimensionality(http):
    default = http.post("/v1/embeddings", json={"input": "a"}).json()["data"][0]["embedding"]
    assert http.post("/embed", json={"inputs": "a"}).json() == [default]


@pytest.mark.parametrize(
    "body", [{}, {"inputs": []}, {"inputs": "a", "normalize": False}, {"inputs": "a", "dimensions": 0}]
)
def test_bad_requests_are_answered_in_teis_shape(http, body):
    response = http.post("/embed", json=body)
    assert response.status_code == 400
    assert response.json()["error_type"] == "Validation"
    assert isinstance(response.json()["error"], str)


def test_info_says_what_is_served(http):
    info = http.get("/info").json()
    assert info["model_id"] == http.get("/").json()["weights"].partition("@")[0]
    assert info["max_input_length"] > 0
    assert "gemini-embedding-001" in info["models"]
    assert info["limits"] == {"texts_per_call": None, "body_bytes": 20 * 2**20}


def test_health_answers(http):
    assert http.get("/health").status_code == 200
