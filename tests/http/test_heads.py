"""Heads, framing and trailers: what the standard forbids is refused, and no byte costs more than its share."""

import contextlib
import json
import socket
import threading
import time

import pytest

EMBED = "/v1beta/models/tiny:embedContent"
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"  # never to be answered
BODY = json.dumps({"content": {"parts": [{"text": "hello"}]}}).encode()


def connect(http):
    return socket.create_connection((http.base_url.host, http.base_url.port), timeout=20)


def first_answer(http, sent):
    """Return status and body of the first answer, and whether the server then closed."""
    with connect(http) as connection:
        connection.sendall(sent)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            connection.settimeout(3)
            while block := connection.recv(65536):
                answer += block
            head, _, body = answer.partition(b"\r\n\r\n")
            return int(head.split(b" ")[1]), json.loads(body)
    raise AssertionError(f"the server did not close: {answer!r}")


@pytest.mark.parametrize(
    ("head", "code", "words"),
    [
        ("POST {} HTTP/1.1\r\nContent-Length: 2\r\n", 400, "Host"),
        ("POST {} HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 2\r\n", 400, "Host"),
        ("POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501, "Transfer-Encoding"),
        ("POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n", 501, "Transfer-Encoding"),
        (
            "POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            501,
            "multiple",
        ),
        ("POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n", 400, "both"),
        ("POST {} HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n", 400, "HTTP/1.0"),
        ("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n", 400, "Content-Length"),
        ("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 3\r\n", 400, "Content-Length"),
        ("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n", 400, "HTTP/1.1"),
        ("POST {} HTTP/2.5\r\nHost: a\r\nContent-Length: 2\r\n", 400, "HTTP/2.5"),
    ],
)
def test_a_head_that_the_standard_forbids_is_refused_and_the_connection_closed(http, head, code, words):
    body = b"2\r\n{}\r\n0\r\n\r\n" if "chunked" in head else b"{}"
    status, answer = first_answer(http, head.format(EMBED).encode() + b"\r\n" + body + HIDDEN)
    assert (status, answer["error"]["code"]) == (code, code)
    assert words in answer["error"]["message"]


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/healthz",
        "HTTPS://a.example:8443/healthz?x=1",
        "http://[::1]:8000//healthz/",
        "http://a/h%65althz",
    ],
)
def test_an_address_with_scheme_and_host_is_answered(http, address):
    """As proxies send it; RFC 9112 section 3.2.2 has servers take it."""
    with connect(http) as connection:
        connection.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "address", ["http://", "http:///healthz", "http://a@b/healthz", "http://a:b/healthz", "http://a\\@b/"]
)
def test_an_address_without_a_valid_host_is_refused(http, address):
    status, answer = first_answer(http, f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert status == 400
    assert "host" in answer["error"]["message"]


def test_the_host_of_an_address_counts_and_the_host_header_does_not(http):
    """So that links in answers lead where the caller went, and no page of another site gets in by a second host."""
    head = "POST http://{}/upload/v1beta/files HTTP/1.1\r\nHost: {}\r\nOrigin: http://10.0.0.1\r\nContent-Length: 2\r\n"
    head += "X-Goog-Upload-Protocol: resumable\r\nX-Goog-Upload-Command: start\r\nConnection: close\r\n\r\n{{}}"
    with connect(http) as connection:
        connection.sendall(head.format("10.0.0.1", "other.example").encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"http://10.0.0.1/upload/v1beta/files/" in answer
    assert first_answer(http, head.format("other.example", "10.0.0.1").encode())[0] == 403


def test_header_values_are_trimmed(http):
    with connect(http) as connection:
        head = (
            f"POST {EMBED} HTTP/1.1\r\nHost: localhost\r\nContent-Length: \t {len(BODY)} \t\r\nConnection:\tclose \r\n"
        )
        connection.sendall(head.encode() + b"\r\n" + BODY)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("piece", [b"x: bbbb\r\n", b"b" * 1000], ids=["many", "one"])
def test_a_trailer_that_does_not_end_is_cut_off(http, piece):
    with connect(http) as connection:
        connection.sendall(f"POST {EMBED} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        connection.sendall(b"0\r\nx: y\r\n")
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            connection.sendall(piece * 1_000_000)


def test_an_endless_trailer_holds_up_nobody_else(http):
    """Its bytes are bounded, so that the honest callers' answers cannot take the seconds they once took."""
    ended = threading.Event()
    asked: list[float] = []

    def attack():
        while not ended.is_set():
            with contextlib.suppress(OSError), connect(http) as connection:
                connection.sendall(
                    f"POST {EMBED} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode()
                )
                while not ended.is_set():
                    connection.sendall(b"X: bbbb\r\n" * 5000)

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        for _ in range(20):
            started = time.monotonic()
            assert http.post(EMBED, content=BODY).status_code == 200
            asked.append(time.monotonic() - started)
    finally:
        ended.set()
        attacker.join()


def test_a_connection_too_many_is_refused_with_the_time_to_come_back(running):
    with running(max_connections=3) as http:
        kept = [connect(http) for _ in range(3)]
        status, answer = first_answer(http, b"")
        assert (status, answer["error"]["status"]) == (503, "UNAVAILABLE")
        for each in kept:
            each.close()
        assert http.post(EMBED, content=BODY).status_code == 200
