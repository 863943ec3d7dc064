"""Requests nobody should send get no 5xx, no silence and no memory: a short run of `tools/fuzz_server.py`."""

import json
import random

import pytest
from fuzz_server import Findings, is_whole, run
from http_mutations import Request, mutate


@pytest.mark.slow
def test_a_few_hundred_requests_nobody_should_send_do_no_harm():
    result, faults = run(count=600, seed=1)  # always the same, so that a failure is about what has changed
    assert not faults, json.dumps(result, indent=1)
    assert result["requests"] == 600
    assert {"200", "400", "404"} <= set(result["answers"]), "what was sent reached the handlers"


def test_broken_requests_are_repeatable():
    request = Request("POST", "/x", {"a": "b"}, b'{"requests": [{"content": {"parts": [{"text": "a"}]}}]}')
    made = [[mutate(request, draw) for _ in range(200)] for draw in (random.Random(7), random.Random(7))]
    assert made[0] == made[1]
    assert len(set(made[0])) > 150


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_is_whole_when_its_body_is(answer, whole):
    assert is_whole(answer, has_body=True) == whole


def test_server_errors_and_hangs_are_found():
    findings = Findings()
    findings.note(b"sent", b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    findings.note(b"sent", None)
    findings.note(b"sent", b"")
    assert dict(findings.answers) == {"503": 1, "hang": 1, "closed": 1}
    assert (len(findings.server_errors), len(findings.hangs)) == (1, 1)
