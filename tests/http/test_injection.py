"""`--inject`: the asked share of requests fails in Google's shape; what watches the server stays truthful."""

import time

import pytest

from gemvec import GeminiEmbeddingFunction
from gemvec.errors import BadSetting
from gemvec.server.injection import Faults, parse_faults

EMBED = "/v1beta/models/tiny:embedContent"
BODY = {"content": {"parts": [{"text": "hello"}]}}


def test_a_share_of_each_status_and_a_latency_are_read():
    faults = parse_faults("429=0.05, 503=0.01,latency=200ms")
    assert faults == Faults(rates=((429, 0.05), (503, 0.01)), latency_seconds=0.2)
    assert parse_faults("latency=1.5s").latency_seconds == 1.5
    assert parse_faults("") == Faults()


@pytest.mark.parametrize(
    "text", ["429", "429=2", "429=-1", "429=x", "99=0.1", "200=0.1", "latency=5", "latency=fast", "429=0.6,503=0.5"]
)
def test_what_cannot_be_read_is_refused_by_name(text):
    with pytest.raises(BadSetting, match="--inject"):
        parse_faults(text)


def test_chances_fall_on_statuses_in_proportion():
    faults = parse_faults("429=0.25,503=0.25")
    drawn = [faults.draw(chance / 100) for chance in range(100)]
    assert (drawn.count(429), drawn.count(503), drawn.count(None)) == (25, 25, 50)


@pytest.mark.parametrize(
    ("status", "name"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (500, "INTERNAL"), (418, "UNKNOWN")]
)
def test_a_fault_has_googles_shape(running, status, name):
    with running(inject=f"{status}=1") as http:
        answer = http.post(EMBED, json=BODY)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["status"]) == (status, status, name)
        assert ("RetryInfo" in answer.text) == (status == 429)


def test_faults_take_the_shape_of_the_route(running):
    with running(inject="429=1") as http:
        assert http.post("/v1/embeddings", json={"input": "a"}).json()["error"]["type"] == "rate_limit_exceeded"
        assert http.post("/embed", json={"inputs": "a"}).json()["error_type"] == "Overloaded"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/health", "/metrics", "/openapi.json", "/docs", "/"])
def test_what_watches_the_server_stays_truthful(running, path):
    with running(inject="503=1") as http:
        assert http.get(path).status_code == 200


def test_latency_is_added_to_every_request(running):
    with running(inject="latency=100ms") as http:
        started = time.perf_counter()
        assert http.post(EMBED, json=BODY).status_code == 200
        assert time.perf_counter() - started >= 0.1


def test_our_client_gets_through_faults(running):
    with running(inject="503=0.5") as http:
        function = GeminiEmbeddingFunction("gemini-embedding-001", api_key="any", base_url=str(http.base_url))
        assert len(function.encode_documents([f"text {number}" for number in range(150)])) == 150
