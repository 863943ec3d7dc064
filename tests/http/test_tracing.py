"""Traces: spans of requests and their steps reach a collector, with nothing in them that a caller wrote."""

import subprocess
import sys

import pytest

from gemvec.errors import BadSetting
from gemvec.server.app import create_app
from gemvec.server.services import open_services
from gemvec.settings import Settings
from trace_collector import collecting

EMBED = "/v1beta/models/tiny:embedContent"
BODY = {"content": {"parts": [{"text": "hello"}]}}


@pytest.fixture
def collector():
    with collecting() as collector:
        yield collector


def test_a_request_and_its_steps_are_spans_of_one_trace(running, collector):
    with running(otlp_endpoint=collector.url) as http:
        request_id = http.post(EMBED, json=BODY).headers["x-request-id"]
    spans = {span.name: (span, attributes) for span, attributes in collector.spans()}
    assert set(spans) == {"POST /models/{model}:embedContent", "tokenize", "compute"}
    request, attributes = spans["POST /models/{model}:embedContent"]
    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/models/{model}:embedContent",
        "http.response.status_code": 200,
        "gemvec.model": "tiny",
        "gemvec.request_id": request_id,
    }
    for name in ("tokenize", "compute"):
        step = spans[name][0]
        assert step.trace_id == request.trace_id
        assert step.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= step.start_time_unix_nano
        assert step.end_time_unix_nano <= request.end_time_unix_nano
    assert set(collector.paths) == {"/v1/traces"}


def test_a_request_joins_its_callers_trace(running, collector):
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with running(otlp_endpoint=collector.url) as http:
        http.post(EMBED, json=BODY, headers={"traceparent": f"00-{trace}-{parent}-01", "tracestate": "canary=canary"})
    request = next(span for span, _ in collector.spans() if span.name.startswith("POST"))
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (trace, parent)
    assert b"canary" not in b"".join(collector.bodies)


def test_an_error_is_a_status_without_a_message(running, collector):
    with running(otlp_endpoint=collector.url, api_key=("k",)) as http:
        http.post(EMBED, json=BODY)
        http.post(EMBED, json={"canary": 1}, headers={"x-goog-api-key": "k"})
    found = [attributes["error.type"] for _, attributes in collector.spans()]
    assert found == ["PERMISSION_DENIED", "INVALID_ARGUMENT"]
    assert [attributes["http.response.status_code"] for _, attributes in collector.spans()] == [403, 400]
    assert b"canary" not in b"".join(collector.bodies)
    assert not any(span.events for span, _ in collector.spans())


def test_health_checks_and_metrics_are_not_traced(running, collector):
    with running(otlp_endpoint=collector.url) as http:
        for path in ("/healthz", "/readyz", "/metrics", "/docs"):
            http.get(path)
    assert not collector.bodies


def test_a_collector_that_is_not_there_harms_no_request(running, collector):
    with running(otlp_endpoint="http://127.0.0.1:9") as http:
        assert http.post(EMBED, json=BODY).status_code == 200


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://x", "http://"])
def test_an_endpoint_that_is_no_address_is_refused(open_tiny, tmp_path, endpoint):
    with pytest.raises(BadSetting, match="--otlp-endpoint"):
        create_app(open_services(Settings(otlp_endpoint=endpoint, data_dir=tmp_path), embedder=open_tiny()))


def test_nothing_of_it_is_loaded_when_nobody_wants_traces():
    code = "import sys, gemvec.server.app; print([each for each in sys.modules if 'opentelemetry' in each])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
