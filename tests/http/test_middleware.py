"""What every request passes through: an id, one line in the log without anything the caller wrote, bounds, draining."""

import contextlib
import http.client
import io
import json
import logging
import socket
import threading
import time

import httpx
import pytest

from gemvec.logs import configure_logs
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings

EMBED = "/v1/models/tiny:embedContent"
BODY = {"content": {"parts": [{"text": "canary-text"}]}}


def eventually(condition):
    """Wait until something that another thread does is done."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.fixture
def log():
    """What gemvec logs, one JSON object a line."""
    stream = io.StringIO()
    configure_logs("json", "debug", stream)
    yield stream
    logging.getLogger("gemvec").handlers.clear()
    logging.getLogger("gemvec").setLevel(logging.NOTSET)


def entries(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_request_has_an_id_of_its_own_that_the_caller_cannot_choose(http):
    ids = {http.get("/healthz", headers={"x-request-id": "chosen"}).headers["x-request-id"] for _ in range(10)}
    assert len(ids) == 10
    assert "chosen" not in ids


def test_an_errors_id_is_that_of_its_answer(http):
    response = http.get("/v1/models/none")
    assert response.json()["error"]["details"][-1]["requestId"] == response.headers["x-request-id"]


def test_the_log_has_one_line_a_request_and_nothing_the_caller_wrote(log, running):
    with running(api_key=("canary-key",)) as http:
        headers = {"x-goog-api-key": "canary-key", "x-request-id": "canary-id", "user-agent": "canary-agent"}
        request_id = http.post(f"{EMBED}?canary=canary&key=canary-key", json=BODY, headers=headers).headers[
            "x-request-id"
        ]
        http.post("/v1/models/canary-model:embedContent", json=BODY, headers=headers)
        http.post(EMBED, json={"canary-field": "canary"}, headers=headers)
        http.post(EMBED, content=b"canary-bytes", headers=headers)
        http.get("/canary-path", headers=headers)
        http.get("/v1/models?key=canary-wrong")
    requests = [each for each in entries(log) if each["message"] == "request"]
    first = requests[0]
    assert len(requests) == 6
    assert "canary" not in log.getvalue()
    assert first["request_id"] == request_id
    assert (first["method"], first["route"], first["status"], first["model"]) == (
        "POST",
        "/models/{model}:embedContent",
        200,
        "tiny",
    )
    assert first["ms"] > 0


def test_a_body_over_the_limit_is_refused_in_googles_words(running):
    with running(max_request_bytes=1000) as http:
        for content in (b" " * 1001, iter([b" " * 600, b" " * 600])):  # announced, and chunked
            response = http.post(EMBED, content=content)
            assert response.status_code == 400
            assert response.json()["error"]["message"] == "Request payload size exceeds the limit: 1000 bytes."
        assert http.post(EMBED, content=json.dumps(BODY).ljust(1000)).status_code == 200


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(running):
    with running(max_request_bytes=1000) as client:
        connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
        connection.putrequest("POST", EMBED)
        connection.putheader("content-length", "2000000000")
        connection.endheaders()
        assert connection.getresponse().status == 400
        connection.close()


def test_compressed_bodies_are_refused(http):
    assert "Content-Encoding" in http.post(EMBED, content=b"x", headers={"content-encoding": "gzip"}).text


def test_requests_without_a_body_or_with_one_where_none_belongs_are_answered(http):
    assert http.post(EMBED, content=b"").json()["error"]["status"] == "INVALID_ARGUMENT"
    assert http.request("GET", "/v1/models", content=b"{}").status_code == 200
    assert http.request("HEAD", "/v1/models").status_code == 200


def test_a_caller_that_leaves_cancels_its_work(log, running, held):
    with running(embedder=held) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as caller:
            body = json.dumps(BODY).encode()
            caller.sendall(
                b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b"
                % (EMBED.encode(), len(body), body)
            )
            eventually(lambda: held.held == 1)
        eventually(lambda: held.cancelled == 1)
        eventually(lambda: any(each.get("status") == 499 for each in entries(log)))
        held.released.set()
        assert client.post(EMBED, json=BODY).status_code == 200


def is_stopping(client):
    try:
        return client.get("/readyz").status_code == 503
    except httpx.TransportError:  # it has stopped
        return True


@contextlib.contextmanager
def stopping(held, data_dir, **settings):
    """Tell a server to stop while one request is in progress; give a client and the list that gets its answer."""
    answers, server = [], contextlib.ExitStack()
    url = server.enter_context(serving(open_services(Settings(data_dir=data_dir, **settings), embedder=held)))
    first = threading.Thread(target=lambda: answers.append(httpx.post(url + EMBED, json=BODY, timeout=30)))
    closing = threading.Thread(target=server.close)
    with httpx.Client(base_url=url, timeout=30) as client:
        try:
            first.start()
            eventually(lambda: held.held == 1)
            closing.start()
            eventually(lambda: is_stopping(client))
            yield client, answers
        finally:
            held.released.set()
            first.join()
            closing.join()


def test_a_stopping_server_finishes_what_it_has_and_refuses_what_is_new(held, tmp_path):
    with stopping(held, tmp_path) as (client, answers):
        refused = client.post(EMBED, json=BODY)
        assert (refused.status_code, refused.json()["error"]["status"]) == (503, "UNAVAILABLE")
        assert "retry-after" in refused.headers
        assert client.get("/healthz").status_code == 200
        assert not answers
        held.released.set()
        eventually(lambda: answers)
    assert answers[0].status_code == 200


def test_a_stopping_server_refuses_what_is_new_once_a_balancer_had_time_to_notice(held, tmp_path):
    with stopping(held, tmp_path, drain_seconds=0.2) as (client, answers):
        eventually(lambda: client.get("/v1/models").status_code == 503)
        assert not answers
        held.released.set()
        eventually(lambda: answers)
    assert answers[0].status_code == 200


def test_a_stopping_server_waits_no_longer_than_the_setting(held, tmp_path):
    with stopping(held, tmp_path, shutdown_seconds=0.3) as (_, answers):
        eventually(lambda: answers)
        assert held.cancelled == 1
    assert answers[0].json()["error"]["status"] == "UNAVAILABLE"


def test_large_answers_do_not_hold_up_small_ones(http):
    """Vectors are written a slice at a time; both kinds of request are answered whole when they come together."""
    requests = {"requests": [{"content": {"parts": [{"text": f"text {number}"}]}} for number in range(100)]}
    sizes = []

    def ask():
        response = http.post("/v1/models/gemini-embedding-001:batchEmbedContents", json=requests)
        sizes.append([len(each["values"]) for each in response.json()["embeddings"]])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        assert http.get("/healthz").status_code == 200
    for each in threads:
        each.join()
    assert sizes == [[3072] * 100] * 3
