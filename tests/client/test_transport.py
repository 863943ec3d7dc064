import asyncio
import contextlib
import gzip
import os
import pickle
import resource
import socket
import threading
import types
import zlib
from dataclasses import replace

import pytest
import trustme
from starlette.applications import Starlette
from starlette.routing import Route

from gemvec.client import connections
from gemvec.client.connections import Hold, find_proxy
from gemvec.client.transport import Request, Transport
from gemvec.errors import BadAnswer, BadSetting, TransportFailure
from idle_connections import idle_connections
from scripted_server import Answer, ScriptedServer, serving

POST = Request(method="POST", path="/models/m:batchEmbedContents", body=b'{"requests": []}')


def send(transport, request=POST, *, timeout_seconds=10.0):
    return asyncio.run(transport.send(request, timeout_seconds=timeout_seconds))


@pytest.fixture
def transport(server):
    transport = Transport(server.url, api_key="secret-key", headers={"X-Team": "search"})
    yield transport
    asyncio.run(transport.close())


def test_request_and_answer_travel_whole(server, transport):
    server.script = [Answer(418, {"a": 1}, {"X-Gemvec-Model": "m@1"})]
    answer = send(transport)
    assert (answer.code, answer.body, answer.headers["x-gemvec-model"]) == (418, b'{"a": 1}', "m@1")
    [seen] = server.seen
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", POST.path, {"requests": []})
    assert seen["headers"]["x-goog-api-key"] == "secret-key"
    assert seen["headers"]["x-team"] == "search"
    assert seen["headers"]["accept-encoding"] == "identity"
    assert seen["headers"]["user-agent"].startswith("gemvec/")


def test_without_a_key_none_is_sent(server):
    transport = Transport(server.url)
    send(transport)
    asyncio.run(transport.close())
    assert "x-goog-api-key" not in server.seen[0]["headers"]


def test_the_key_is_masked_in_reprs(transport):
    assert "secret-key" not in repr(transport)
    assert "***" in repr(transport)


def test_one_connection_serves_many_requests_from_many_loops(server, transport):
    for _ in range(5):
        send(transport)
    assert len({seen["client_port"] for seen in server.seen}) == 1


def test_a_connection_that_the_server_closed_is_not_used_again(server, transport):
    server.script = [Answer(200, {}, {"Connection": "close"})]
    assert send(transport).code == send(transport).code == 200
    assert len({seen["client_port"] for seen in server.seen}) == 2


def test_a_connection_that_dies_while_idle_is_replaced_without_an_error(server, transport):
    send(transport)
    [connection] = idle_connections(transport)
    connection.sock.shutdown(socket.SHUT_RDWR)
    assert send(transport).code == 200


def test_an_idle_connection_is_dropped_before_the_server_would(server, transport, monkeypatch):
    send(transport)
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.0)
    send(transport)
    assert len({seen["client_port"] for seen in server.seen}) == 2


def test_nothing_listening_is_a_failure_to_connect():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(TransportFailure, match="Nothing answers at") as caught:
        send(Transport(f"http://127.0.0.1:{port}"))
    assert not caught.value.connected


def test_an_answer_that_breaks_off_is_a_failure_of_a_connection(server, transport):
    server.script = [Answer(200, {"embeddings": []}, cut=True)]
    with pytest.raises(TransportFailure, match="was lost") as caught:
        send(transport)
    assert caught.value.connected


def test_a_server_that_speaks_no_http_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble():
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)
                accepted.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(TransportFailure, match="was lost"):
            send(Transport(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join()


def test_a_connection_that_takes_too_long_is_said_to():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,  # it never answers the greeting of TLS
        pytest.raises(TransportFailure, match=r"Nothing answers at .*: no answer within 0\.05 s") as caught,
    ):
        send(Transport(f"https://127.0.0.1:{silent.getsockname()[1]}"), timeout_seconds=0.05)
    assert not caught.value.connected


def test_a_slow_answer_ends_at_the_timeout(server, transport):
    server.script = [Answer(200, {}, delay=30)]
    with pytest.raises(TransportFailure, match=r"within 0\.05 s"):
        send(transport, timeout_seconds=0.05)


def test_cancelling_closes_the_connection_at_once(server, transport):
    async def start_and_cancel():
        task = asyncio.create_task(transport.send(POST, timeout_seconds=60))
        await server.wait_for_request()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    server.script = [Answer(200, {}, delay=30)]
    asyncio.run(start_and_cancel())
    threads = [each for each in threading.enumerate() if each.name == "gemvec-http"]
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_connection_whose_answer_comes_after_closing_is_not_kept(server, transport):
    server.delay_of = lambda texts: 0.2

    async def close_meanwhile():
        sending = asyncio.create_task(transport.send(POST, timeout_seconds=10))
        await server.wait_for_request()
        await transport.close()
        assert (await sending).code == 200
        assert not idle_connections(transport)

    asyncio.run(close_meanwhile())
    assert send(transport).code == 200
    assert len(idle_connections(transport)) == 1


def test_a_connection_cancelled_just_when_its_answer_is_complete_serves_nobody_else(server, transport):
    send(transport)
    [connection] = idle_connections(transport)
    cancelled = Hold(10)
    cancelled.take(connection)
    cancelled.end()
    assert send(transport).code == 200
    assert len({seen["client_port"] for seen in server.seen}) == 2


def test_an_exchange_cancelled_before_it_has_a_connection_gets_none(transport):
    send(transport)
    [connection] = idle_connections(transport)
    cancelled = Hold(10)
    cancelled.end()
    with pytest.raises(ConnectionAbortedError):
        cancelled.take(connection)


@pytest.mark.parametrize("is_zipped", [True, False])
@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_an_answer_larger_than_was_allowed_is_refused_by_its_size(server, transport, is_zipped, headers):
    body = gzip.compress(bytes(10_000_001)) if is_zipped else bytes(10_000_001)
    encoding = {"Content-Encoding": "gzip"} if is_zipped else {}
    server.script = [Answer(200, body, encoding | headers)] * 2
    bounded = replace(POST, max_answer_bytes=10_000_000)
    with pytest.raises(BadAnswer, match="more than 10000000 bytes"):
        send(transport, bounded)
    assert len(send(transport, replace(POST, max_answer_bytes=10_000_001)).body) == 10_000_001


def test_of_a_long_error_answer_only_the_beginning_is_read(server, transport):
    server.script = [Answer(500, gzip.compress(b"x" * 10_000_000), {"Content-Encoding": "gzip"})]
    assert send(transport).body == b"x" * 2**20


def test_what_a_zip_bomb_takes_is_bounded_by_what_was_allowed(server, transport):
    """Two gigabytes in two megabytes; the process may not grow by a tenth of them."""
    server.script = [Answer(200, zip_bomb(2 * 2**30), {"Content-Encoding": "gzip"})]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadAnswer, match="more than"):
        send(transport, timeout_seconds=60)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


def zip_bomb(size):
    """Return so many zeros as gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(2**20)
    return b"".join([packer.compress(block) for _ in range(size // 2**20)]) + packer.flush()


def test_a_key_that_an_error_echoes_is_masked(server):
    transport = Transport(server.url, api_key="secret-key", headers={"Authorization": "Bearer other-secret"})
    server.script = [Answer(400, b"keys secret-key and other-secret are not valid")]
    assert send(transport).body == b"keys *** and *** are not valid"
    asyncio.run(transport.close())


def test_pickling_keeps_address_key_and_headers(server, transport):
    copy = pickle.loads(pickle.dumps(transport))
    send(copy)
    asyncio.run(copy.close())
    assert server.seen[0]["headers"]["x-goog-api-key"] == "secret-key"
    assert server.seen[0]["headers"]["x-team"] == "search"


def test_a_forked_child_opens_its_own_connections(server, transport):
    send(transport)
    child = os.fork()
    if child == 0:
        os._exit(0 if send(transport).code == 200 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    send(transport)
    ports = [seen["client_port"] for seen in server.seen]
    assert ports[0] == ports[2] != ports[1]


def test_a_proxy_is_taken_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://user:p%40ss@"))
    transport = Transport("http://embeddings.example:8000/v1beta")
    send(transport)
    asyncio.run(transport.close())
    assert server.seen[0]["path"] == "/v1beta" + POST.path
    assert server.seen[0]["headers"]["host"] == "embeddings.example:8000"
    assert server.seen[0]["headers"]["proxy-authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_without_the_proxy(server, monkeypatch, host):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    transport = Transport(server.url.replace("127.0.0.1", host))
    assert send(transport).code == 200
    asyncio.run(transport.close())


def test_no_proxy_is_obeyed(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "embeddings.example")
    assert find_proxy("http://embeddings.example:8000") is None
    assert find_proxy("http://other.example") == "http://127.0.0.1:1"


def test_a_proxy_of_an_unknown_kind_is_refused(monkeypatch):
    monkeypatch.setenv("http_proxy", "ftp://127.0.0.1:1080")
    with pytest.raises(BadSetting, match="ftp"):
        Transport("http://embeddings.example")


def test_a_socks_proxy_is_asked_for_the_server_by_name(server, monkeypatch):
    with socks_proxy(server.url) as proxy:
        monkeypatch.setenv("all_proxy", f"socks5h://user:p%40ss@127.0.0.1:{proxy.port}")
        transport = Transport("http://embeddings.example:8000/v1beta")
        assert send(transport).code == 200
        asyncio.run(transport.close())
    assert proxy.heard == [b"user", b"p@ss", b"embeddings.example", 8000]
    assert server.seen[0]["path"] == "/v1beta" + POST.path


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_server(authority):
    server = ScriptedServer()
    app = Starlette(routes=[Route("/{path:path}", server.answer, methods=["GET", "POST"])])
    certificate = authority.issue_cert("127.0.0.1", "embeddings.example")
    with (
        certificate.private_key_and_cert_chain_pem.tempfile() as path,
        serving(app, ssl_certfile=path) as server.url,
    ):
        yield server
    connections._tls_context.cache_clear()


@pytest.fixture
def trusted(authority, monkeypatch, tmp_path):
    """Trust the tests' own certificates."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    connections._tls_context.cache_clear()


def test_https_refuses_a_certificate_that_nobody_trusts(tls_server):
    with pytest.raises(TransportFailure, match="certificate"):
        send(Transport(tls_server.url))


def test_https_answers_may_be_zipped(tls_server, trusted):
    tls_server.script = [Answer(200, gzip.compress(b'{"embeddings": []}'), {"Content-Encoding": "gzip"})]
    transport = Transport(tls_server.url)
    assert send(transport).body == b'{"embeddings": []}'
    assert tls_server.seen[0]["headers"]["accept-encoding"] == "gzip"
    asyncio.run(transport.close())


def test_https_goes_through_a_proxy_as_a_tunnel(tls_server, trusted, monkeypatch):
    with tunnelling_proxy(tls_server.url) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:pass@127.0.0.1:{proxy.port}")
        transport = Transport("https://embeddings.example/v1beta")
        assert send(transport).code == 200
        asyncio.run(transport.close())
    assert proxy.heard.startswith(b"CONNECT embeddings.example:443 HTTP/1.")
    assert b"proxy-authorization: Basic dXNlcjpwYXNz" in proxy.heard
    assert "proxy-authorization" not in tls_server.seen[0]["headers"]


def test_a_proxy_that_breaks_off_leaves_no_connection_open(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up():
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
        transport = Transport("https://embeddings.example")
        with pytest.raises(TransportFailure, match="Nothing answers at"):
            send(transport)
        thread.join()
    assert not idle_connections(transport)


def pass_on(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def socks_proxy(url):
    """Accept one connection by SOCKS 5, with a name and a password, and connect it to the server at `url`."""
    proxy = types.SimpleNamespace(heard=[])
    target = ("127.0.0.1", int(url.rpartition(":")[2]))

    def read(client, size):
        data = b""
        while len(data) < size:
            data += client.recv(size - len(data))
        return data

    def read_counted(client):
        return read(client, read(client, 1)[0])

    def serve(listener):
        client, _ = listener.accept()
        with client, socket.create_connection(target) as server:
            assert read(client, 1) == b"\x05"
            assert 2 in read_counted(client)  # a name and a password can be had
            client.sendall(b"\x05\x02")
            read(client, 1)
            proxy.heard += [read_counted(client), read_counted(client)]
            client.sendall(b"\x01\x00")
            assert read(client, 4) == b"\x05\x01\x00\x03"  # connect, to a host by name
            proxy.heard += [read_counted(client), int.from_bytes(read(client, 2), "big")]
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=pass_on, args=(server, client))
            back.start()
            pass_on(client, server)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield proxy
        thread.join()


@contextlib.contextmanager
def tunnelling_proxy(url):
    """Accept one CONNECT to any host and connect it to the server at `url`."""
    proxy = types.SimpleNamespace(heard=b"")
    target = ("127.0.0.1", int(url.rpartition(":")[2]))

    def serve(listener):
        client, _ = listener.accept()
        with client, socket.create_connection(target) as server:
            proxy.heard = client.recv(65536)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pass_on, args=(server, client))
            back.start()
            pass_on(client, server)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield proxy
        thread.join()
