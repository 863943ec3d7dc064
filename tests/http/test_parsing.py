"""How bytes become requests: one after the other, in order, and never more of them than were sent."""

import json
import socket
import threading

import pytest

EMBED = "/v1beta/models/tiny:embedContent"
BODY = json.dumps({"content": {"parts": [{"text": "hello"}]}}).encode()
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = f"POST {EMBED} HTTP/1.1\r\nHost: a\r\n".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"


def connect(http):
    return socket.create_connection((http.base_url.host, http.base_url.port), timeout=20)


def exchange(http, sent):
    """Return the statuses of everything that comes back until the server closes."""
    with connect(http) as connection:
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()  # beside the answers, which neither side keeps without end
        answer = connection.makefile("rb").read()
        sender.join()
    return [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]]


def chunks(body, *, size, trailers=b""):
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize("count", [2, 5000])
def test_requests_sent_at_once_are_all_answered(http, count):
    assert exchange(http, HEALTH * (count - 1) + LAST) == [200] * count


def test_they_are_answered_in_their_order(http):
    embed = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    nowhere = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
    assert exchange(http, embed + nowhere + embed + CHUNKED + b"\r\n" + chunks(BODY, size=7) + nowhere + LAST) == [
        200, 404, 200, 200, 404, 200,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (POST + b"Content-Length: x\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (CHUNKED + b"\r\nno chunk", 400),
    ],
)
def test_what_is_refused_does_not_cost_the_answers_before_it(http, behind, status):
    embed = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    assert exchange(http, embed + HEALTH + behind + HEALTH) == [200, 200, status]


@pytest.mark.parametrize("behind", [HEALTH, b"garbage"])
def test_what_comes_behind_a_last_request_is_left_alone(http, behind):
    assert exchange(http, LAST + behind) == [200]


def test_a_chunked_body_is_taken_in_any_pieces(http):
    with connect(http) as connection:
        for byte in CHUNKED + b"Connection: close\r\n\r\n" + chunks(BODY, size=3, trailers=b"X: y\r\n"):
            connection.sendall(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_trailer_is_no_header(running):
    with running(api_key=("secret",)) as http:
        trailers = b"x-goog-api-key: secret\r\nHost: b\r\n"
        assert exchange(http, CHUNKED + b"\r\n" + chunks(BODY, size=100, trailers=trailers) + LAST) == [403, 200]


@pytest.mark.parametrize("endless", [b"1;" + b"a" * 100, b"0" * 100, b"0\r\nx: " + b"a" * 100])
def test_what_is_between_the_pieces_of_a_body_ends(running, endless):
    with running(max_header_bytes=4000) as http, connect(http) as connection:
        connection.sendall(CHUNKED + b"\r\n1\r\n{\r\n" + endless[:-100])
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            connection.sendall(endless[-100:] * 1_000_000)


def test_a_proxys_request_is_refused(http):
    assert exchange(http, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" + HEALTH) == [405]
