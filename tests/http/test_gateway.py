"""`gemvec serve --upstream`: a gateway in front of a real server, asked by the SDKs and as a process."""

import asyncio
import io
import time

import httpx
import numpy as np
import pytest
from google import genai
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from starlette.applications import Starlette
from starlette.routing import Route

from gemvec.cli.serve import announce
from gemvec.errors import BadSetting
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.server.upstream import find_upstream, open_upstream
from gemvec.settings import Settings
from scripted_server import Answer, ScriptedServer, quota_exceeded, unit_vector_of
from scripted_server import serving as serving_app

MODEL = "gemini-embedding-001"
TEXTS = ["What is the meaning of life?", "How much wood would a woodchuck chuck?", "How does the brain work?"]


@pytest.fixture
def gateway_url(server_url, tmp_path):
    """The address of a gateway in front of the server at `server_url`."""
    settings = Settings(upstream=server_url, data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    with serving(open_services(settings)) as url:
        yield url


def embed(url, **config):
    with genai.Client(api_key="any", http_options={"base_url": url}) as client:
        return client.models.embed_content(model=MODEL, contents=TEXTS, config=config)


def vectors_of(answer):
    return np.array([each.values for each in answer.embeddings], np.float32)


def run_batch(url, requests):
    """Let a batch run to its end and return its responses."""
    body = {"batch": {"displayName": "b", "inputConfig": {"requests": {"requests": requests}}}}
    name = httpx.post(f"{url}/v1beta/models/{MODEL}:asyncBatchEmbedContent", json=body).json()["name"]
    while not (batch := httpx.get(f"{url}/v1beta/{name}").json()).get("done"):
        time.sleep(0.05)
    return batch["response"]["inlinedResponses"]["inlinedResponses"]


def metric(url, name):
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return next(each.value for family in families for each in family.samples if each.name == name)


def test_the_sdk_gets_the_same_vectors_as_from_the_server_behind(gateway_url, server_url):
    answers = [embed(url, task_type="RETRIEVAL_QUERY", output_dimensionality=16) for url in (gateway_url, server_url)]
    np.testing.assert_allclose(*map(vectors_of, answers), atol=1e-6)


def test_every_answer_names_the_weights_behind(gateway_url, server_url):
    body = {"content": {"parts": [{"text": "Hello"}]}}
    path = f"/v1beta/models/{MODEL}:embedContent"
    answers = [httpx.post(url + path, json=body) for url in (gateway_url, server_url)]
    assert answers[0].headers["x-gemvec-model"] == answers[1].headers["x-gemvec-model"]
    assert answers[0].json()["usageMetadata"] == answers[1].json()["usageMetadata"]


def test_it_lists_the_models_of_the_server_behind_and_no_others(gateway_url, server_url):
    listed = [httpx.get(f"{url}/v1beta/models").json()["models"] for url in (gateway_url, server_url)]
    assert listed[0] == listed[1]
    answer = httpx.post(
        f"{gateway_url}/v1beta/models/none:embedContent", json={"content": {"parts": [{"text": "Hello"}]}}
    )
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_a_text_is_sent_on_once_and_then_found_in_the_cache(gateway_url):
    for _ in range(3):
        embed(gateway_url)
    assert metric(gateway_url, "gemvec_upstream_texts_total") == 3
    assert metric(gateway_url, "gemvec_upstream_calls_total") == 1
    assert metric(gateway_url, "gemvec_cache_hits_total") == 6
    assert metric(gateway_url, "gemvec_upstream_waiting_texts") == 0


def test_tokens_are_counted_by_the_server_behind(gateway_url, server_url):
    body = {"contents": [{"parts": [{"text": text}]} for text in TEXTS]}
    path = f"/v1beta/models/{MODEL}:countTokens"
    counts = [httpx.post(url + path, json=body).json() for url in (gateway_url, server_url)]
    assert counts[0] == counts[1]
    assert counts[0]["totalTokens"] > 0


def test_a_batch_runs_through_the_gateway_and_its_bad_request_is_an_error_at_its_place(gateway_url):
    requests = [{"request": {"content": {"parts": [{"text": text}]}}} for text in TEXTS]
    requests.insert(1, {"request": {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 5000}})
    assert ["response" in each for each in run_batch(gateway_url, requests)] == [True, False, True, True]


def test_a_batch_waits_out_a_quota_that_is_used_up(tmp_path):
    behind = ScriptedServer()
    app = Starlette(routes=[Route("/{path:path}", behind.answer, methods=["GET", "POST"])])
    listed = Answer(body={"models": [{"name": f"models/{MODEL}"}]})
    behind.script = [listed, Answer(body={}), quota_exceeded("3600s")]
    with serving_app(app) as url:
        settings = Settings(upstream=url, data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
        with serving(open_services(settings)) as gateway_url:
            [response] = run_batch(gateway_url, [{"request": {"content": {"parts": [{"text": "a"}]}}}])
    np.testing.assert_allclose(response["response"]["embedding"]["values"], unit_vector_of("a"), rtol=1e-5)
    assert len(behind.requests) == 2  # refused, then embedded


def test_google_without_a_key_is_refused():
    with pytest.raises(BadSetting, match="--upstream google needs a Google API key: set GEMINI_API_KEY"):
        find_upstream(Settings(upstream="google"))


def test_google_is_asked_with_the_key_of_the_environment(monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "the-key")
    target = find_upstream(Settings(upstream="google"))
    assert (target.base_url, target.api_key) == ("https://generativelanguage.googleapis.com/v1beta", "the-key")


def test_a_model_of_this_machine_and_another_server_exclude_each_other():
    with pytest.raises(BadSetting, match="Give either --model or --upstream"):
        find_upstream(Settings(upstream="http://127.0.0.1:9", model=("wordllama-256",)))


@pytest.mark.parametrize("upstream", ["local", "ftp://127.0.0.1", "127.0.0.1:8000"])
def test_an_upstream_that_is_no_address_is_refused(upstream):
    with pytest.raises(BadSetting, match=f"--upstream.*'{upstream}'"):
        find_upstream(Settings(upstream=upstream))


def test_the_start_says_where_texts_go_and_whose_vectors_come_back(server_url, gateway_url):
    embedder = open_upstream(Settings(upstream=server_url, embedding_cache_bytes=0))
    asyncio.run(embedder.close())
    console = Console(record=True, width=200, file=io.StringIO())
    announce(console, gateway_url, embedder.list_models(), has_keys=False, upstream=server_url)
    words = console.export_text()
    assert f"Texts are forwarded to {server_url}" in words
    assert "The vectors are not Google's" in words
