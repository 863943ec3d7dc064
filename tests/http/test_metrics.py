"""`/metrics`: what Prometheus reads is what happened, and nothing of it is what a caller wrote."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

EMBED = "/v1beta/models/gemini-embedding-001:embedContent"
BODY = {"content": {"parts": [{"text": "three short words"}]}}
GUIDE = Path(__file__).parents[2] / "docs" / "operations.md"


def scrape(http, **options):
    """Return every sample: (name, labels as a frozenset) -> value."""
    answer = http.get("/metrics", **options)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(samples, name, **labels):
    return samples.get((name, frozenset(labels.items())), 0)


@pytest.fixture
def http(running_whole, tmp_path):
    with running_whole(tmp_path) as http:
        yield http


def test_requests_are_counted_by_route_method_and_status(http):
    for _ in range(3):
        http.post(EMBED, json=BODY)
    http.post(EMBED, json={})
    http.get("/no/such/route")
    samples = scrape(http)
    route = {"route": "/models/{model}:embedContent", "method": "POST"}
    assert value(samples, "gemvec_requests_total", **route, status="200") == 3
    assert value(samples, "gemvec_requests_total", **route, status="400") == 1
    assert value(samples, "gemvec_requests_total", route="-", method="GET", status="404") == 1
    assert value(samples, "gemvec_request_seconds_count", **route) == 4
    assert value(samples, "gemvec_requests_in_progress") == 1, "the scrape itself"


def test_errors_are_counted_by_their_canonical_name(http):
    http.post(EMBED, json={})
    http.get("/v1/models/none")
    samples = scrape(http)
    assert value(samples, "gemvec_errors_total", error="INVALID_ARGUMENT") == 1
    assert value(samples, "gemvec_errors_total", error="NOT_FOUND") == 1


def test_texts_and_tokens_are_counted_by_served_name(http):
    tokens = http.post(EMBED, json=BODY).json()["usageMetadata"]["promptTokenCount"]
    http.post("/v1/embeddings", json={"input": ["a", "b"], "model": "tiny"})
    samples = scrape(http)
    assert value(samples, "gemvec_texts_total", model="gemini-embedding-001") == 1
    assert value(samples, "gemvec_tokens_total", model="gemini-embedding-001") == tokens
    assert value(samples, "gemvec_texts_total", model="tiny") == 2


def test_the_queue_and_the_micro_batches_are_shown_by_model(http):
    http.post(EMBED, json=BODY)
    samples = scrape(http)
    assert value(samples, "gemvec_waiting_tokens", model="tiny") == 0
    assert value(samples, "gemvec_micro_batches_total", model="tiny") == 1
    computed = value(samples, "gemvec_computed_tokens_total", model="tiny")
    assert 0 < computed <= value(samples, "gemvec_padded_tokens_total", model="tiny")
    assert value(samples, "gemvec_busy_seconds_total", model="tiny") > 0


def test_files_and_batches_are_counted(http):
    upload = {"x-goog-upload-protocol": "raw"}
    http.post("/upload/v1beta/files", content=b"12345", headers=upload)
    inline = {"requests": {"requests": [{"request": BODY}]}}
    name = http.post("/v1beta/models/tiny:asyncBatchEmbedContent", json={"batch": {"inputConfig": inline}}).json()[
        "name"
    ]
    while not http.get(f"/v1beta/{name}").json().get("done"):
        pass
    samples = scrape(http)
    assert value(samples, "gemvec_files") == 1
    assert value(samples, "gemvec_file_bytes") == 5
    assert value(samples, "gemvec_batches", state="SUCCEEDED") == 1
    assert value(samples, "gemvec_batches", state="RUNNING") == 0


def test_nothing_a_caller_writes_becomes_a_label(http):
    http.request("GET", "/canary?canary=canary", headers={"canary": "canary"})
    http.request("PROPFIND", "/v1/models")
    http.request("MKCOL", "/v1/models")
    assert http.request("CANARY", "/v1/models").status_code == 400, "no method of HTTP"
    http.post("/v1beta/models/canary:embedContent", json={"canary": 1})
    http.post("/v1/embeddings", json={"input": "canary", "model": "canary", "user": "canary"})
    samples = scrape(http)
    assert "canary" not in str(samples).lower()
    assert value(samples, "gemvec_requests_total", route="-", method="other", status="405") == 2


def test_it_needs_a_key_where_keys_are_asked_for(running):
    with running(api_key=("k",)) as http:
        assert http.get("/metrics").status_code == 403
        assert value(scrape(http, headers={"authorization": "Bearer k"}), "gemvec_requests_in_progress") == 1


def test_every_metric_is_in_the_guide_and_the_guide_names_no_other(http):
    http.post(EMBED, json=BODY)
    http.post(EMBED, json={})
    families = text_string_to_metric_families(http.get("/metrics").text)
    # What the cache, a gateway, keys and Ray count appears only where there is one.
    served = {family.name for family in families if family.name.startswith("gemvec")}
    cache = {"gemvec_cache_hits", "gemvec_cache_misses", "gemvec_cache_entries", "gemvec_cache_bytes"}
    upstream = {"gemvec_upstream_calls", "gemvec_upstream_texts", "gemvec_upstream_waiting_texts"}
    keys = {"gemvec_key_calls", "gemvec_key_texts", "gemvec_key_tokens"}
    ray = {f"gemvec_ray_{each}" for each in ("actors", "chunks", "lost_actors", "refused_actors")}
    listed = set(re.findall(r"^\| `(gemvec\w*?)(?:_total)?` ", GUIDE.read_text(), re.MULTILINE))
    assert listed == served | cache | upstream | keys | ray
