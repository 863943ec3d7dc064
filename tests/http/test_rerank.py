"""Texts are scored against a query, as text-embeddings-inference, Jina and Cohere have it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from gemvec.server.limits import Limits
from gemvec.server.quota import per_minute_requests

GOLDEN = Path(__file__).parents[1] / "models" / "golden" / "cross-encoders"
MODEL = GOLDEN / "bert"
PAIRS = json.loads((GOLDEN / "pairs.json").read_text(encoding="utf-8"))
QUERY = PAIRS[0][0]
TEXTS = [text for query, text in PAIRS if query == QUERY]
LOGITS = load_file(MODEL / "expected.safetensors")[""][: len(TEXTS)].astype(float)
RELEVANCE = 1 / (1 + np.exp(-LOGITS))
ORDER = [int(each) for each in np.argsort(-LOGITS)]


@pytest.fixture(scope="module")
def reranking(running_whole, tmp_path_factory):
    with running_whole(tmp_path_factory.mktemp("data"), rerank_model=str(MODEL), precision="exact") as client:
        yield client


def test_teis_ranks_are_the_texts_by_relevance(reranking):
    ranks = reranking.post("/rerank", json={"query": QUERY, "texts": TEXTS, "truncate": True}).json()
    assert [each["index"] for each in ranks] == ORDER
    np.testing.assert_allclose([each["score"] for each in ranks], RELEVANCE[ORDER], atol=1e-5)
    assert all(set(each) == {"index", "score"} for each in ranks)


def test_teis_raw_scores_are_logits_and_texts_come_back_when_asked_for(reranking):
    asked = {"query": QUERY, "texts": TEXTS, "raw_scores": True, "return_text": True, "truncate": True}
    ranks = reranking.post("/rerank", json=asked).json()
    np.testing.assert_allclose([each["score"] for each in ranks], LOGITS[ORDER], atol=2e-5)
    assert [each["text"] for each in ranks] == [TEXTS[place] for place in ORDER]


def test_a_text_that_must_not_be_cut_is_refused_by_its_place(reranking):
    refused = reranking.post("/rerank", json={"query": QUERY, "texts": ["short", "the dog " * 200]})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "Validation")
    assert refused.json()["error"].startswith("texts[1] and the query have ")


def test_jinas_answer_has_the_documents_and_the_tokens(reranking):
    asked = {"model": "bert", "query": QUERY, "documents": [TEXTS[0], {"text": TEXTS[1]}, *TEXTS[2:]], "top_n": 3}
    answer = reranking.post("/v1/rerank", json=asked).json()
    assert [each["index"] for each in answer["results"]] == ORDER[:3]
    assert [each["document"]["text"] for each in answer["results"]] == [TEXTS[place] for place in ORDER[:3]]
    np.testing.assert_allclose([each["relevance_score"] for each in answer["results"]], RELEVANCE[ORDER[:3]], atol=1e-5)
    assert answer["model"] == "bert"
    assert answer["usage"]["total_tokens"] > len(TEXTS)
    without = reranking.post("/v1/rerank", json=asked | {"return_documents": False}).json()
    assert "document" not in without["results"][0]


def test_coheres_answer_has_an_id_and_what_it_would_bill(reranking):
    answer = reranking.post("/v2/rerank", json={"query": QUERY, "documents": TEXTS, "top_n": 2})
    assert answer.json()["id"] == answer.headers["x-request-id"]
    assert [each["index"] for each in answer.json()["results"]] == ORDER[:2]
    assert answer.json()["meta"] == {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}


def test_tokens_beyond_max_tokens_per_doc_do_not_count(reranking):
    def scores(documents, **options):
        answer = reranking.post("/v2/rerank", json={"query": QUERY, "documents": documents, **options}).json()
        return [each["relevance_score"] for each in answer["results"]]

    assert scores(["the of and"], max_tokens_per_doc=2) == pytest.approx(scores(["the of"]))


@pytest.mark.parametrize(
    ("path", "field"), [("/rerank", "texts"), ("/v1/rerank", "documents"), ("/v2/rerank", "documents")]
)
def test_an_answer_names_the_texts_that_were_cut(reranking, path, field):
    asked = {"query": "dog", field: ["short", "the dog " * 200], "truncate": True}
    header = reranking.post(path, json=asked).headers["x-gemvec-truncated"]
    index, _, tokens = header.partition("=")
    assert index == "1"
    assert int(tokens) > 32
    asked[field] = ["short"]
    assert "x-gemvec-truncated" not in reranking.post(path, json=asked).headers


def test_an_answer_says_which_weights_scored(reranking):
    answer = reranking.post("/rerank", json={"query": "a", "texts": ["b"]})
    assert answer.headers["x-gemvec-model"].startswith("bert@")


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/rerank", {"texts": ["a"]}, "query"),
        ("/rerank", {"query": "a", "texts": []}, "texts"),
        ("/rerank", {"query": "a", "texts": ["b", ""]}, "texts[1]"),
        ("/rerank", {"query": "a", "texts": ["b"], "truncation_direction": "Left"}, "truncation_direction"),
        ("/v1/rerank", {"query": "", "documents": ["a"]}, "query"),
        ("/v1/rerank", {"query": "a", "documents": ["b", {"title": "c"}]}, "documents[1]"),
        ("/v2/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, "top_n"),
        ("/v2/rerank", {"query": "a", "documents": "b"}, "documents"),
    ],
)
def test_what_is_wrong_is_named(reranking, path, body, named):
    refused = reranking.post(path, json=body)
    assert refused.status_code == 400
    assert f"`{named}`" in json.dumps(refused.json())


def test_a_model_that_is_not_the_servers_cross_encoder_is_not_found(reranking):
    refused = reranking.post("/v1/rerank", json={"model": "tiny", "query": "a", "documents": ["b"]})
    assert refused.status_code == 404
    assert "bert does" in refused.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_a_server_without_a_cross_encoder_says_how_to_serve_one(running, path):
    with running() as client:
        refused = client.post(path, json={"query": "a", "texts": ["b"], "documents": ["b"]})
    assert refused.status_code == 400
    assert "--rerank-model" in refused.text


def test_scored_texts_are_counted_in_metrics(reranking):
    reranking.post("/rerank", json={"query": "a", "texts": ["b", "c"]})
    metrics = reranking.get("/metrics").text
    assert 'gemvec_texts_total{model="bert"}' in metrics
    assert 'gemvec_computed_tokens_total{model="bert"}' in metrics


def test_limits_on_texts_and_tokens_hold_for_scored_texts(running_whole, tmp_path):
    quotas = (per_minute_requests(3),)
    with running_whole(tmp_path, rerank_model=str(MODEL), limits=Limits(quotas=quotas)) as client:
        assert client.post("/rerank", json={"query": "a", "texts": ["b", "c"]}).status_code == 200
        refused = client.post("/rerank", json={"query": "a", "texts": ["b", "c"]})
    assert (refused.status_code, refused.json()["error_type"]) == (429, "Overloaded")
