"""What one connection may cost: the size of a head, the patience with a slow client, what is read after an answer."""

import io
import json
import logging
import select
import socket
import threading
import time

import pytest

from gemvec.embedding.embedder import WrapperEmbedder
from gemvec.logs import configure_logs

EMBED = "/v1beta/models/tiny:embedContent"
BODY = json.dumps({"content": {"parts": [{"text": "hello"}]}}).encode()
HEAD = f"POST {EMBED} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(BODY)}\r\n".encode()
PATIENCE = 0.3


def connect(http):
    return socket.create_connection((http.base_url.host, http.base_url.port), timeout=20)


def read_all(connection):
    """Return what comes until the server closes."""
    answer = b""
    try:
        while block := connection.recv(65536):
            answer += block
    except ConnectionResetError:
        pass
    return answer


def keep_sending(connection, data, *, times, pause_seconds=0.0):
    for _ in range(times):
        time.sleep(pause_seconds)
        connection.sendall(data)


def parsed(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]


class HaltingEmbedder(WrapperEmbedder):
    """Brings the whole event loop to a halt until it `goes_on`."""

    def __init__(self, embedder):
        super().__init__(embedder)
        self.halts, self.goes_on = threading.Event(), threading.Event()

    async def embed(self, model, requests, **options):
        self.halts.set()
        self.goes_on.wait(20)
        return await super().embed(model, requests, **options)


@pytest.fixture(scope="module")
def small(running):
    """A server that takes heads of 4,000 bytes."""
    with running(max_header_bytes=4000) as http:
        yield http


@pytest.fixture(scope="module")
def hasty(running):
    """A server that waits for nobody."""
    with running(client_timeout_seconds=PATIENCE) as http:
        yield http


# Heads


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 5000,  # and it never ends
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x%d: a\r\n" % number for number in range(101)) + b"\r\n",
    ],
    ids=["header", "endless header", "address", "many headers"],
)
def test_a_head_that_is_too_large_is_refused(small, head):
    with connect(small) as connection:
        connection.sendall(head)
        code, error = parsed(read_all(connection))
    assert (code, error["code"], error["status"]) == (431, 431, "INVALID_ARGUMENT")


def test_a_head_within_the_bounds_is_taken_in_any_pieces(small):
    with connect(small) as connection:
        for byte in HEAD + b"x: " + b"a" * 3000 + b"\r\nconnection: close\r\n\r\n" + BODY:
            connection.sendall(bytes([byte]))
        assert b" 200 " in read_all(connection).partition(b"\r\n")[0]


def test_a_long_query_is_taken_by_default(http):
    assert http.get("/healthz?x=" + "a" * 60_000).status_code == 200


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00", b"no http\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_refused_in_googles_shape(http, sent):
    with connect(http) as connection:
        connection.sendall(sent)
        code, error = parsed(read_all(connection))
    assert (code, error["status"]) == (400, "INVALID_ARGUMENT")


def test_two_lengths_are_refused(http):
    with connect(http) as connection:
        connection.sendall(
            f"POST {EMBED} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{{}} ".encode()
        )
        assert parsed(read_all(connection))[0] == 400


# Patience


@pytest.mark.parametrize("sent", [b"GET / HT", HEAD, HEAD + b"\r\n", HEAD + b"\r\n" + BODY[:-1]])
def test_a_request_that_does_not_go_on_is_timed_out(hasty, sent):
    with connect(hasty) as connection:
        connection.sendall(sent)
        code, error = parsed(read_all(connection))
    assert (code, error["status"]) == (408, "DEADLINE_EXCEEDED")


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_without_a_request_is_closed_without_a_word(hasty, sent):
    with connect(hasty) as connection:
        connection.sendall(sent)
        assert read_all(connection) == b""


def test_a_trickle_is_not_enough(hasty):
    started = time.monotonic()
    with connect(hasty) as connection:
        try:
            for byte in HEAD * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass
        else:
            raise AssertionError("it was allowed to go on")
    assert time.monotonic() - started < 60


def test_a_slow_but_steady_client_is_served(running):
    text = "word " * 4000
    body = json.dumps({"content": {"parts": [{"text": text}]}}).encode()
    with running(client_timeout_seconds=5 * PATIENCE) as http, connect(http) as connection:
        connection.sendall(
            f"POST {EMBED} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        )
        for start in range(0, len(body), 500):  # 5,000 bytes a second, for longer than the server's patience lasts
            connection.sendall(body[start : start + 500])
            time.sleep(0.1)
        assert b" 200 " in read_all(connection).partition(b"\r\n")[0]


def test_waiting_for_the_model_is_not_the_clients_fault(running, held):
    with running(embedder=held, client_timeout_seconds=PATIENCE) as http, connect(http) as connection:
        connection.sendall(HEAD + b"connection: close\r\n\r\n" + BODY)
        time.sleep(4 * PATIENCE)
        held.released.set()
        assert b" 200 " in read_all(connection).partition(b"\r\n")[0]


def test_what_came_while_the_server_itself_halted_came_in_time(running, open_tiny):
    halting = HaltingEmbedder(open_tiny())
    with running(embedder=halting, client_timeout_seconds=4 * PATIENCE) as http, connect(http) as connection:
        connection.sendall(HEAD)
        with connect(http) as other:
            other.sendall(HEAD + b"\r\n" + BODY)
            assert halting.halts.wait(20)
        connection.sendall(b"connection: close\r\n\r\n" + BODY)
        time.sleep(8 * PATIENCE)
        halting.goes_on.set()
        assert b" 200 " in read_all(connection).partition(b"\r\n")[0]


@pytest.mark.parametrize("header", ["", "connection: close\r\n"])
def test_a_client_that_does_not_take_its_answer_is_cut_off(hasty, header):
    requests = {"requests": [json.loads(BODY) | {"outputDimensionality": 3072}] * 1000}
    body = json.dumps(requests).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((hasty.base_url.host, hasty.base_url.port))
        path = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nhost: x\r\n{header}content-length: {len(body)}\r\n\r\n".encode() + body
        )
        answer = connection.recv(1000)
        whole = int(answer.partition(b"content-length: ")[2].split(b"\r\n")[0])
        time.sleep(5 * PATIENCE)
        assert len(answer + read_all(connection)) < whole


def test_a_kept_connection_is_not_timed_out_between_requests(hasty):
    with connect(hasty) as connection:
        for _ in range(2):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 " in connection.recv(65536).partition(b"\r\n")[0]
            time.sleep(3 * PATIENCE)


def test_what_follows_an_answer_is_read_only_so_far(running):
    with running(max_request_bytes=1000) as http, connect(http) as connection:
        connection.sendall(f"POST {EMBED} HTTP/1.1\r\nhost: x\r\ncontent-length: {2**40}\r\n\r\n".encode())
        assert b" 400 " in connection.recv(65536).partition(b"\r\n")[0]
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            keep_sending(connection, bytes(2**20), times=600)


@pytest.fixture(scope="module")
def guarded(running):
    """A server that takes bodies of 1,000 bytes from callers with a key."""
    with running(max_request_bytes=1000, api_key=("secret",)) as http:
        yield http


@pytest.mark.parametrize("ends", ["HTTP/1.1\r\nconnection: close", "HTTP/1.0"])
@pytest.mark.parametrize(
    ("request_line", "rest", "status"),
    [
        (f"POST {EMBED}", "x-goog-api-key: secret\r\ncontent-length: 8388608\r\n", 400),
        (f"POST {EMBED}", "content-length: 8388608\r\n", 403),
        ("POST /nowhere", "x-goog-api-key: secret\r\ncontent-length: 8388608\r\n", 404),
        ("PUT /healthz", "content-length: 8388608\r\n", 405),
        (f"POST {EMBED}", "x-goog-api-key: secret\r\ncontent-encoding: br\r\ncontent-length: 8388608\r\n", 400),
    ],
)
def test_a_client_that_sends_all_before_it_reads_learns_why_it_was_refused(guarded, request_line, rest, status, ends):
    """So does Python's urllib, which asks for the connection to be closed."""
    with connect(guarded) as connection:
        connection.sendall(f"{request_line} {ends}\r\nhost: x\r\n{rest}\r\n".encode())
        select.select([connection], [], [], 20)
        connection.sendall(bytes(8 * 2**20))
        connection.shutdown(socket.SHUT_WR)
        assert parsed(read_all(connection))[0] == status


def test_a_client_that_stops_after_its_answer_is_closed(hasty):
    with connect(hasty) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n")
        assert parsed(read_all(connection))[0] == 404
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            keep_sending(connection, b"x", times=60, pause_seconds=PATIENCE)


@pytest.mark.parametrize(
    "behind",
    [
        b"garbage",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 200,
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 5,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_comes_behind_a_request_is_no_fault_of_the_server(running, behind):
    log = io.StringIO()
    configure_logs("json", "debug", log)
    with running() as http:
        for _ in range(20):
            with connect(http) as connection:
                connection.sendall(HEAD + b"\r\n" + BODY + behind)
        assert http.post(EMBED, content=BODY).status_code == 200
    logging.getLogger("gemvec").handlers.clear()
    logging.getLogger("gemvec").setLevel(logging.NOTSET)
    assert "Traceback" not in log.getvalue()
    assert '"level": "error"' not in log.getvalue()


# Bombs


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
def test_compressed_bodies_are_refused_before_they_are_opened(http, encoding):
    answer = http.post(EMBED, content=b"\x1f\x8b" * 10, headers={"content-encoding": encoding})
    assert answer.status_code == 400
    assert "Compressed" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"content":' * 50_000, b'{"content":{"parts":' + b"[" * 99_999])
def test_json_that_is_nested_too_deeply_is_refused(http, body):
    answer = http.post(EMBED, content=body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_waiting_tokens_beyond_the_limit_are_429_with_the_time_to_come_back(tiny_folder, running_whole, tmp_path):
    text = {"content": {"parts": [{"text": "word " * 60}]}}
    with running_whole(tmp_path, max_waiting_tokens=100) as http:
        codes = set()
        connections = [connect(http) for _ in range(20)]
        body = json.dumps({"requests": [text] * 200}).encode()
        path = "/v1beta/models/tiny:batchEmbedContents"
        for each in connections:
            each.sendall(
                f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                + body
            )
        for each in connections:
            answer = read_all(each)
            each.close()
            codes.add(int(answer.split(b" ")[1]))
            if b" 429 " in answer[:20]:
                assert b"RetryInfo" in answer
                assert b"retry-after: " in answer
        assert codes == {200, 429}
        assert http.post(EMBED, json=text).status_code == 200


def test_a_thousand_callers_that_leave_do_no_harm(http):
    for _ in range(1000):
        with connect(http) as connection:
            connection.sendall(HEAD + b"\r\n" + BODY[:10])
    assert http.post(EMBED, content=BODY).status_code == 200
