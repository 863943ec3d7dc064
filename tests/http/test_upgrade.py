"""An offer to upgrade to another protocol is ignored (RFC 9110 section 7.8): the request is answered as it stands."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

BODY = json.dumps({"content": {"parts": [{"text": "hello"}]}}).encode()
# What the JDK's HttpClient (17) sends to a plain http address.
JDK_HEADERS = {
    "Connection": "Upgrade, HTTP2-Settings",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    "Upgrade": "h2c",
    "User-Agent": "Java-http-client/17.0.15",
}
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ROUTES = [
    ("/v1beta/models/tiny:embedContent", BODY, b'"embedding"'),
    ("/v1beta/models/tiny:batchEmbedContents", b'{"requests": [' + BODY + b"]}", b'"embeddings"'),
    ("/v1beta/models/tiny:countTokens", b'{"contents": [{"parts": [{"text": "hello"}]}]}', b'"totalTokens"'),
    ("/v1/embeddings", b'{"input": "hello"}', b'"data"'),
    ("/embed", b'{"inputs": "hello"}', b"[["),
    ("/upload/v1beta/files?uploadType=media", BODY, b'"sizeBytes":"%d"' % len(BODY)),
]


def post(path, body, headers):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items()) + b"\r\n" + body


def exchange(http, sent):
    """Return everything that comes back until the server closes, which the last request has asked it to."""
    with socket.create_connection((http.base_url.host, http.base_url.port), timeout=20) as connection:
        connection.sendall(sent)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


@pytest.mark.parametrize(("path", "body", "expected"), ROUTES, ids=[path for path, _, _ in ROUTES])
@pytest.mark.parametrize("offer", ["h2c", "foo", "websocket"])
def test_a_request_that_offers_an_upgrade_keeps_its_body(http, path, body, expected, offer):
    answer = exchange(http, post(path, body, JDK_HEADERS | {"Upgrade": offer}) + LAST)
    first, _, rest = answer.partition(b"HTTP/1.1 200 OK\r\n")[2].partition(b"HTTP/1.1 200 OK\r\n")
    assert expected in first, answer
    assert b'"alive"' in rest, "the next request on the connection has its answer, too"


def test_a_body_behind_an_upgrade_is_never_a_second_request(http):
    offer = {"Upgrade": "foo", "Connection": "upgrade, close"}
    answer = exchange(http, post("/v1beta/models/tiny:embedContent", LAST, offer))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"HTTP/1.1 400 " in answer


def test_an_upload_goes_on_though_each_request_offers_an_upgrade(http):
    start = JDK_HEADERS | {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    answer = exchange(http, post("/upload/v1beta/files", b'{"file": {}}', start) + LAST)
    url = next(line for line in answer.decode().split("\r\n") if line.lower().startswith("x-goog-upload-url"))
    path = "/upload/" + url.partition("/upload/")[2]
    rest = JDK_HEADERS | {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
    assert b'"sizeBytes":"%d"' % len(BODY) in exchange(http, post(path, BODY, rest) + LAST)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_curl_with_http2_is_answered(server_url):
    for path, body, expected in ROUTES:
        command = ["curl", "-sS", "--http2", "--data-binary", "@-", "-H", "content-type: application/json"]
        sent = subprocess.run([*command, server_url + path], input=body, capture_output=True, check=True)
        assert expected in sent.stdout, path


@pytest.mark.skipif(not shutil.which("javac"), reason="there is no JDK here")
def test_the_jdks_client_is_answered(server_url, tmp_path):
    (tmp_path / "body.json").write_bytes(BODY)
    source = Path(__file__).parent / "UpgradeOffer.java"
    addresses = [server_url + "/v1beta/models/tiny:embedContent", server_url + "/upload/v1beta/files?uploadType=media"]
    command = ["java", str(source), str(tmp_path / "body.json"), *addresses]
    answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [each[:4] for each in answers] == ["200 ", "200 "]
    assert '"embedding"' in answers[0]
    assert f'"sizeBytes":"{len(BODY)}"' in answers[1]
