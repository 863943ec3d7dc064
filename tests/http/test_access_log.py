"""What a line of the access log says: whose call, how much, how long, and why it was refused."""

import contextlib
import io
import json
import logging

import pytest

from gemvec.logs import configure_logs

EMBED = "/v1beta/models/tiny:embedContent"
ONE = {"content": {"parts": [{"text": "the dog"}]}}


@contextlib.contextmanager
def logged():
    """Give a function that returns the records so far."""
    log = io.StringIO()
    configure_logs("json", "info", log)
    try:
        yield lambda: [json.loads(line) for line in log.getvalue().splitlines()]
    finally:
        logging.getLogger("gemvec").handlers.clear()
        logging.getLogger("gemvec").setLevel(logging.NOTSET)


def test_a_calls_line_says_how_much_and_how_long(running):
    with logged() as records, running() as http:
        usage = http.post(EMBED, json=ONE).json()["usageMetadata"]["promptTokenCount"]
        line = records()[-1]
    assert (line["texts"], line["tokens"], line["status"]) == (1, usage, 200)
    assert 0 < line["computing_ms"] <= line["ms"]


def test_a_calls_line_names_its_key_by_the_operators_name(running_whole, tmp_path):
    with logged() as records, running_whole(tmp_path, api_key=("first",)) as http:
        http.get("/v1beta/models", headers={"x-goog-api-key": "first"})
        line = records()[-1]
    assert line["key"]
    assert "first" not in json.dumps(line)


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [({"content": {"parts": [{"text": ""}]}}, "INVALID_ARGUMENT", "EmptyText"), ({"x": 1}, "INVALID_ARGUMENT", None)],
)
def test_a_refusal_has_its_reason(running, body, error, reason):
    with logged() as records, running() as http:
        http.post(EMBED, json=body)
        line = records()[-1]
    assert line["error"] == error
    assert line["reason"] == (reason or "InvalidRequest")


def test_probes_and_scrapes_are_no_lines_unless_they_fail(running):
    with logged() as records, running() as http:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert http.get(path).status_code == 200
        assert http.post("/metrics").status_code == 405
        lines = [each for each in records() if each["logger"] == "gemvec.access"]
    assert [each["status"] for each in lines] == [405]


def test_an_injected_fault_is_no_error_of_the_server(running):
    with logged() as records, running(inject="503=1") as http:
        assert http.post(EMBED, json=ONE).status_code == 503
        lines = records()
    assert [(each["level"], each["reason"]) for each in lines] == [("info", "injected")]
