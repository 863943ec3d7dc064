"""One budget of memory for all requests: what does not fit waits briefly, then is refused with the time to return."""

import contextlib
import json
import socket
import time

import pytest

from gemvec.memory import json_bytes
from gemvec.server.budget import ANSWER_VALUE_BYTES, TEXT_BYTES, available_bytes

MIB = 2**20
EMBED = "/v1beta/models/tiny:embedContent"
MANY = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
ONE = {"content": {"parts": [{"text": "hello"}]}}


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/system.slice/gemvec.service\n", {"system.slice/gemvec.service/memory.max": "1000"}, 1000),
        ("0::/a/b\n", {"a/memory.max": "500", "a/b/memory.max": "max"}, 500),
        ("5:cpu,memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": "700"}, 700),
        ("0::/\n", {"memory.max": "900"}, 900),
    ],
)
def test_the_limit_of_the_control_group_is_found(tmp_path, lines, files, expected):
    (tmp_path / "cgroup").write_text(lines)
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text + "\n")
    assert available_bytes(tmp_path / "cgroup", tmp_path / "fs") == expected


def test_without_a_control_group_the_machine_is_the_limit(tmp_path):
    assert available_bytes(tmp_path / "none", tmp_path) >= 2**28


def test_the_cost_of_json_is_not_underestimated():
    """Against what Python really takes, for the shapes that cost most."""
    import sys

    def size(value):
        if isinstance(value, dict):
            return sys.getsizeof(value) + sum(size(key) * 0 + size(each) for key, each in value.items())
        return sys.getsizeof(value) + (sum(map(size, value)) if isinstance(value, list) else 0)

    for body in (
        {"contents": {"parts": [{"text": ""}] * 1000}},
        [[]] * 1000,
        [{}] * 1000,
        [1.5] * 1000,
        [{"a": [{"b": [1, 2, 3]}]}] * 100,
        ["word"] * 1000,
    ):
        assert json_bytes(json.dumps(body, separators=(",", ":")).encode()) >= size(body)


# The server


@pytest.fixture(scope="module")
def small(running):
    """A server with 24 MiB for requests."""
    with running(memory_budget=24 * MIB) as http:
        yield http


def test_json_that_would_become_too_large_is_refused_before_it_does(small):
    body = b'{"content": {"parts": [' + b'{"text":""},' * 200_000 + b'{"text":"a"}]}}'
    refused = small.post(EMBED, content=body)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "JSON" in refused.json()["error"]["message"]


def test_an_answer_that_would_be_too_large_is_refused_with_its_size(small):
    body = {"requests": [ONE | {"outputDimensionality": 3072}] * 1000}
    refused = small.post(MANY, json=body)
    assert refused.status_code == 400
    assert "answer" in refused.json()["error"]["message"]
    assert str(1000 * (3072 * ANSWER_VALUE_BYTES + TEXT_BYTES)) in refused.json()["error"]["message"]


def test_many_texts_with_short_vectors_are_refused_with_what_they_would_take(small):
    refused = small.post(MANY, json={"requests": [ONE | {"outputDimensionality": 1}] * 7000})
    assert refused.status_code == 400
    assert str(7000 * (ANSWER_VALUE_BYTES + TEXT_BYTES)) in refused.json()["error"]["message"]
    assert small.post(MANY, json={"requests": [ONE] * 20}).status_code == 200


@pytest.mark.parametrize(("path", "field"), [("/v1/embeddings", "input"), ("/embed", "inputs")])
def test_an_answer_to_other_clients_that_would_be_too_large_is_refused_with_its_size(small, path, field):
    refused = small.post(path, json={field: ["a"] * 20_000})
    assert refused.status_code == 400
    assert str(20_000 * (32 * ANSWER_VALUE_BYTES + TEXT_BYTES)) in refused.text


def test_json_of_too_many_objects_is_refused_whatever_the_budget(running):
    body = b'{"content": {"parts": [' + b'{"text":""},' * 900_000 + b'{"text":"a"}]}}'
    with running(memory_budget=2**40) as http:
        refused = http.post(EMBED, content=body)
    assert refused.status_code == 400
    assert "that of one request may take 268435456" in refused.json()["error"]["message"]


def test_a_list_of_tokens_counts_before_it_is_made(small):
    """A token takes hundreds of times the memory of its character."""
    assert small.post("/tokenize", json={"inputs": "a " * 1000}).status_code == 200
    refused = small.post("/tokenize", json={"inputs": "a " * 10_000})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("The tokens of this request would take")


def test_bodies_that_are_not_finished_leave_room_for_small_calls_and_are_refused_beyond_the_budget(small):
    connections = []
    try:
        for _ in range(10):
            each = socket.create_connection((small.base_url.host, small.base_url.port), timeout=20)
            connections.append(each)
            head = f"POST {EMBED} HTTP/1.1\r\nHost: a\r\nContent-Length: {4 * MIB}\r\n\r\n"
            each.sendall(head.encode() + b'{"content": {"parts": [{"text": "')
            each.setblocking(False)
        until = time.monotonic() + 60
        answers = [b""] * len(connections)
        while not any(b" 429 " in each for each in answers) and time.monotonic() < until:
            for index, each in enumerate(connections):
                with contextlib.suppress(OSError):
                    each.send(b"a" * 65536)
                with contextlib.suppress(OSError):
                    answers[index] += each.recv(65536)
            assert small.post(EMBED, json=ONE).status_code == 200
        refused = next(each for each in answers if b" 429 " in each)
        assert b"RetryInfo" in refused
        assert b"retry-after: " in refused
    finally:
        for each in connections:
            each.close()


def test_metrics_show_the_budget(small):
    lines = small.get("/metrics").text.splitlines()
    figures = dict(each.rsplit(" ", 1) for each in lines if each.startswith("gemvec_memory"))
    assert float(figures["gemvec_memory_budget_bytes"]) == 24 * MIB
    assert float(figures["gemvec_memory_used_bytes"]) >= 0
    assert float(figures["gemvec_memory_refusals_total"]) > 0
