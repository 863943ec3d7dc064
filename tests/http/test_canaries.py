"""What callers write (keys, texts, names) is found in no log, metric, trace, nor in any answer meant for others.

A canary goes into every place a caller can write to: addresses, headers, bodies good and bad, files, batches, and into
errors raised inside the embedder. Then everything the server said to anybody else is searched.
"""

import contextlib
import io
import json
import logging

import httpx
import pytest

from gemvec.embedding.embedder import WrapperEmbedder
from gemvec.logs import configure_logs
from gemvec.models import local
from gemvec.models.local import open_embedder
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings
from trace_collector import collecting

KEY, OTHER_KEY = "canary-key-1", "other-key"
MODEL = "/v1beta/models/tiny"
CANARY = "canary"


class FailingEmbedder(WrapperEmbedder):
    """Fails in every way there is, with the text in the error."""

    async def embed(self, model, requests, **options):
        text = requests[0].text
        if "value error" in text:
            raise ValueError(text)
        if "chained" in text:
            raise RuntimeError(f"could not embed {text}") from KeyError(text)
        if "group" in text:
            raise ExceptionGroup(text, [ValueError(text)])
        return await super().embed(model, requests, **options)


def content(text):
    return {"content": {"parts": [{"text": text}]}}


def write_into_addresses(http):
    http.get("/canary-path")
    http.get("/v1beta/models/canary-model")
    http.get("/v1beta/files/canary-file")
    http.get("/v1beta/batches/canary-batch?canary-name=canary-value")
    http.post("/v1beta/models/canary-model:embedContent", json=content("canary-text"))
    http.post("/upload/v1beta/files/canary-upload", headers={"x-goog-upload-command": "query"})
    http.post(f"{MODEL}:embedContent?key=canary-key-in-query&canary=canary", json=content("canary-text"))
    http.request("CANARY", "/v1beta/models")


def write_into_headers(http):
    names = [
        "user-agent",
        "cookie",
        "referer",
        "x-request-id",
        "x-forwarded-for",
        "traceparent",
        "tracestate",
        "canary",
    ]
    http.post(f"{MODEL}:embedContent", json=content("canary-text"), headers=dict.fromkeys(names, "canary-header"))
    http.get("/v1beta/models", headers={"x-goog-api-key": "canary-wrong-key"})
    http.get("/v1/models", headers={"authorization": "Bearer canary-wrong-key", "x-goog-api-key": ""})
    http.get("/healthz", headers={"host": "canary-host"})
    http.post(f"{MODEL}:embedContent", content=b"canary", headers={"content-encoding": "canary"})


def write_into_bodies(http):
    for body in [
        content("canary-text"),
        content("canary-text") | {"title": "canary-title"},
        content("canary-text") | {"taskType": "CANARY_TASK"},
        content("canary-text") | {"outputDimensionality": "canary"},
        content("canary-text") | {"canary_field": "canary"},
        {"model": "models/canary", **content("canary-text")},
        {"content": "canary"},
    ]:
        http.post(f"{MODEL}:embedContent", json=body)
        http.post(f"{MODEL}:batchEmbedContents", json={"requests": [body]})
    for raw in (b"canary", b'{"canary', b'{"canary": canary}', b"\xff\xfecanary", b'{"content": ' * 99_999 + b"canary"):
        http.post(f"{MODEL}:embedContent", content=raw)
    http.post(f"{MODEL}:countTokens", json={"contents": [content("canary-text")["content"]]})
    http.post("/v1/embeddings", json={"input": ["canary-text"], "model": "tiny", "user": "canary-user"})
    http.post("/v1/embeddings", json={"input": "canary-text", "model": "canary-model"})
    http.post("/v1/embeddings", json={"input": {"canary": "canary"}})
    http.post("/embed", json={"inputs": "canary-text", "prompt_name": "canary"})


def write_into_errors(http):
    for way in ("value error", "chained", "group"):
        answer = http.post(f"{MODEL}:embedContent", json=content(f"canary-text {way}"))
        assert answer.status_code == 500
        assert CANARY not in answer.text, "an unforeseen error's message goes to nobody"


def write_into_files(http):
    raw = {"x-goog-upload-protocol": "raw", "content-type": "text/canary"}
    http.post("/upload/v1beta/files", content=b"canary-content", headers=raw)
    start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    body = {"file": {"name": "files/canary-name", "displayName": "canary-display-name", "mimeType": "canary/type"}}
    url = http.post("/upload/v1beta/files", json=body, headers=start).headers["x-goog-upload-url"]
    chunk = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    lines = [
        {"key": "canary-line", "request": content("canary-text")},
        {"key": "canary-line", "request": {"canary": 1}},
        {"key": "canary-line", "request": content("canary-text value error")},
    ]
    jsonl = "\n".join([*map(json.dumps, lines), "canary that is no JSON"])
    http.post(url, content=jsonl.encode(), headers=chunk).raise_for_status()
    http.post("/upload/v1beta/files", content=b"canary", headers=start)
    http.post(url, content=b"canary", headers=chunk | {"x-goog-upload-offset": "canary"})
    http.get("/v1beta/files/canary-name:download", headers={"range": "canary"})


def write_into_batches(http):
    inline = {
        "requests": {
            "requests": [
                {"request": content("canary-text"), "metadata": {"key": "canary-key"}},
                {"request": content("canary-text chained"), "metadata": {"key": "canary-key"}},
            ]
        }
    }
    made = [
        http.post(
            f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"displayName": "canary-name", "inputConfig": each}}
        )
        for each in (inline, {"fileName": "files/canary-name"})
    ]
    for answer in made:
        answer.raise_for_status()
        while not http.get(f"/v1beta/{answer.json()['name']}").json().get("done"):
            pass
    http.post(f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"inputConfig": {"fileName": "files/canary-none"}}})
    http.get("/v1beta/batches?pageToken=canary")


def seen_by_another(http):
    """Return every answer that a caller with another key gets."""
    paths = ["/v1beta/models", "/v1beta/files", "/v1beta/batches", "/metrics", "/openapi.json", "/docs", "/", "/info"]
    answers = [http.get(path) for path in [*paths, "/healthz", "/none", "/v1beta/files/mine"]]
    answers.append(http.post(f"{MODEL}:embedContent", json=content("hello")))
    answers.append(http.post(f"{MODEL}:embedContent", json={"bad": 1}))
    return [str(dict(answer.headers)) + answer.text for answer in answers]


@contextlib.contextmanager
def everything_logged(log_format):
    """Collect what gemvec logs as `gemvec serve` does, and what any library logs at any level."""
    ours, others = io.StringIO(), io.StringIO()
    configure_logs(log_format, "debug", ours)
    handler, root = logging.StreamHandler(others), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    # The client of this test is no part of the server.
    quiet = [logging.getLogger(name) for name in ("httpx", "httpcore")]
    for each in quiet:
        each.setLevel(logging.WARNING)
    try:
        yield ours, others
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        for each in quiet:
            each.setLevel(logging.NOTSET)
        logging.getLogger("gemvec").handlers.clear()
        logging.getLogger("gemvec").setLevel(logging.NOTSET)


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_what_a_caller_writes_is_found_nowhere_else(tiny_folder, tmp_path, log_format, capfd, monkeypatch):
    monkeypatch.setattr(local, "open_embedder", lambda *given, **named: FailingEmbedder(open_embedder(*given, **named)))
    with everything_logged(log_format) as (ours, others), collecting() as collector:
        settings = Settings.load(
            {},
            model=str(tiny_folder),
            streams=1,
            data_dir=tmp_path,
            api_key=(KEY, OTHER_KEY),
            otlp_endpoint=collector.url,
            limits="google",
            requests_per_minute=10_000,
            tokens_per_minute=0,
            requests_per_day=0,
        )
        with serving(open_services(settings)) as url:
            with httpx.Client(base_url=url, headers={"x-goog-api-key": KEY}, timeout=30) as http:
                for write in (
                    write_into_addresses,
                    write_into_headers,
                    write_into_bodies,
                    write_into_errors,
                    write_into_files,
                    write_into_batches,
                ):
                    write(http)
                assert CANARY in http.get("/v1beta/files").text, "the search would find it"
            with httpx.Client(base_url=url, headers={"x-goog-api-key": OTHER_KEY}, timeout=30) as http:
                answers = seen_by_another(http)
    assert ours.getvalue().count("request_id") > 50
    assert collector.bodies
    places = [ours.getvalue(), others.getvalue(), *capfd.readouterr(), *answers]
    places += [body.decode("latin-1") for body in collector.bodies]
    for place in places:
        assert CANARY not in place.lower(), excerpt(place)


def excerpt(place):
    at = place.lower().index(CANARY)
    return place[max(0, at - 600) : at + 200]
