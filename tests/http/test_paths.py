"""Paths as clients send them: slashes, encoded names, other ways to a file, and what is said of a path to nowhere."""

import io
import json
import logging
from http.client import HTTPConnection

import pytest

from gemvec.logs import configure_logs

ONE = {"content": {"parts": [{"text": "hello"}]}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "//v1beta/models/tiny:embedContent", ONE),
        ("POST", "/v1beta//models/tiny:embedContent", ONE),
        ("POST", "/v1beta/models/tiny:embedContent/", ONE),
        ("POST", "/v1beta/models%2Ftiny:embedContent", ONE),
        ("POST", "/v1beta/models/tiny%3AembedContent", ONE),
        ("POST", "/v1//embeddings", {"input": "a"}),
        ("POST", "/v1/embeddings/", {"input": "a"}),
        ("POST", "/v1beta/openai//embeddings", {"input": "a", "model": "tiny"}),
        ("POST", "//embed", {"inputs": "a"}),
        ("GET", "//", None),
        ("GET", "/v1beta/models/", None),
        ("GET", "/healthz/", None),
        ("GET", "//v1beta///files//", None),
    ],
)
def test_slashes_and_encoding_never_decide_whether_a_path_is_found(http, method, path, body):
    # The client would tidy the path up.
    url = http.base_url.copy_with(raw_path=path.encode())
    answer = http.request(method, url, json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1beta/nope", "gemini"),
        ("/v1/chat/completions", "openai"),
        ("/v1/v1/embeddings", "openai"),
        ("/v1beta/openai/chat/completions", "openai"),
        ("/predict", "tei"),
        ("/embed/x", "tei"),
        ("/v1/none", "gemini"),
        ("/v1/x/embeddings", "openai"),
        ("/openai/deployments/x/chat/completions", "openai"),
        ("/api/chat", "ollama"),
        ("/v2/rerank/x", "cohere"),
        ("/v1/embedings", "openai"),
        ("/embeds", "tei"),
        ("/tokenizer", "tei"),
        ("/v1beta/model", "gemini"),
        ("/v1/embeds", "cohere"),
        ("/v1/tokenize", "tei"),
        ("/v1/api/embed", "ollama"),
        ("/v1/v2/embed", "cohere"),
        ("/v1/openai/deployments/x/embeddings", "openai"),
        ("/v1/upload/v1beta/files", "gemini"),
    ],
)
def test_a_path_to_nowhere_is_named_in_the_shape_of_the_api_that_it_resembles(http, path, shape):
    answer = http.post(path, json={})
    assert answer.status_code == 404
    body = answer.json()
    error = body.get("error", body)
    if isinstance(error, str):
        found, message = "tei" if "error_type" in body else "ollama", error
    else:
        found, message = "cohere" if error is body else "openai" if "type" in error else "gemini", error["message"]
    assert found == shape
    assert f"There is no route POST {path} here." in message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/v1/embeddings", "The nearest is POST /v1/embeddings."),
        ("/v1beta/model/tiny:embedContent", "The nearest is POST /v1beta/models/{model}:embedContent."),
        ("/v1/embedding", "The nearest is POST /v1/embeddings."),
        ("/api/embedding", "The nearest is POST /api/embeddings."),
        ("/v1/tokenize", "The nearest is POST /tokenize."),
        ("/v1/api/embed", "The nearest is POST /api/embed."),
        ("/embed_sparse", "dense vectors only"),
    ],
)
def test_a_path_to_nowhere_names_the_nearest_route_or_why_there_is_none(http, path, words):
    answer = http.post(path, json={}).text
    assert words in answer
    assert f"POST {path}" in answer


def test_a_path_to_nowhere_is_not_like_every_route(http):
    for path in ("/x", "/admin.php", "/" + "v1/embeddings/" * 100):
        assert "nearest" not in http.get(path).text


def test_the_log_names_a_path_to_nowhere_but_not_what_a_caller_made_up(running):
    log = io.StringIO()
    configure_logs("json", "info", log)
    with running() as http:
        http.get("/v1/v1/chat/completions?key=secret-canary")
        http.get("/v1/secret-canary/embeddings")
        http.get("/v1/tokenize")
    logging.getLogger("gemvec").handlers.clear()
    logging.getLogger("gemvec").setLevel(logging.NOTSET)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [each["path"] for each in lines if each.get("status") == 404] == [
        "/v1/v1/chat/completions",
        "/v1/*/embeddings",
        "/v1/tokenize",
    ]
    assert "secret-canary" not in log.getvalue()


@pytest.mark.parametrize("header", ["x-goog-api-key", "x-api-key", "api-key", "authorization"])
def test_a_key_is_taken_from_the_headers_that_clients_use_and_trimmed(running, header):
    with running(api_key=("secret",)) as http:
        value = "Bearer  secret " if header == "authorization" else " secret\t"
        connection = HTTPConnection(http.base_url.host, http.base_url.port)  # it sends blanks as they are
        for sent, code in ((value, 200), (value.replace("secret", "other"), 400)):
            connection.request("GET", "/v1beta/files", headers={header: sent})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == code
        connection.close()


# Files as Google's pages and libraries reach them


def test_a_file_is_downloaded_where_googles_page_has_it(http):
    upload = http.post("/upload/v1beta/files?uploadType=media", content=b"some bytes").json()["file"]
    answer = http.get(f"/download/v1beta/{upload['name']}:download?alt=media")
    assert (answer.status_code, answer.content) == (200, b"some bytes")
    assert (
        http.get(f"/download/v1beta/{upload['name'].replace('/', '%2F')}:download?alt=media").content == b"some bytes"
    )
    assert http.get(f"/download/v7/{upload['name']}:download?alt=media").status_code == 404


def begin_media_upload(http, size, mime_type="text/plain"):
    headers = {"X-Upload-Content-Type": mime_type, "X-Upload-Content-Length": str(size)}
    begun = http.post("/upload/v1beta/files?uploadType=resumable", json={"file": {"displayName": "x"}}, headers=headers)
    assert begun.status_code == 200
    return begun.headers["location"]


def test_an_upload_is_resumed_as_googles_api_libraries_do_it(http):
    url = begin_media_upload(http, 10)
    first = http.put(url, content=b"0123", headers={"Content-Range": "bytes 0-3/10"})
    assert (first.status_code, first.headers["range"]) == (308, "bytes=0-3")
    asked = http.put(url, headers={"Content-Range": "bytes */10"})
    assert (asked.status_code, asked.headers["range"]) == (308, "bytes=0-3")
    last = http.put(url, content=b"456789", headers={"Content-Range": "bytes 4-9/10"})
    assert last.status_code == 200
    file = last.json()["file"]
    assert (file["mimeType"], file["sizeBytes"], file["displayName"]) == ("text/plain", "10", "x")
    assert http.get(f"/v1beta/{file['name']}:download").content == b"0123456789"
    again = http.put(url, headers={"Content-Range": "bytes */10"})
    assert again.json()["file"]["name"] == file["name"], "who missed the answer asks and gets it"


def test_an_upload_of_unknown_size_ends_when_its_size_is_said(http):
    begun = http.post("/upload/v1beta/files?uploadType=resumable", content=b"")
    url = begun.headers["location"]
    assert http.put(url, headers={"Content-Range": "bytes */*"}).status_code == 308
    assert http.put(url, content=b"01", headers={"Content-Range": "bytes 0-1/*"}).status_code == 308
    assert http.put(url, content=b"23", headers={"Content-Range": "bytes 2-3/4"}).json()["file"]["sizeBytes"] == "4"


def test_an_upload_may_come_in_one_put(http):
    assert http.put(begin_media_upload(http, 3), content=b"abc").json()["file"]["sizeBytes"] == "3"


def test_a_media_upload_can_be_given_up(http):
    url = begin_media_upload(http, 3)
    assert http.delete(url).status_code == 200
    assert http.put(url, content=b"abc").status_code == 400


@pytest.mark.parametrize("named", ["bytes 0-3", "bytes 5-2/x", "items 0-1/2", "bytes a-b/c"])
def test_a_content_range_that_cannot_be_read_is_refused_by_name(http, named):
    refused = http.put(begin_media_upload(http, 3), content=b"abc", headers={"Content-Range": named})
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "Content-Range" in refused.json()["error"]["message"]


def test_googles_multipart_and_media_uploads_are_taken(http):
    boundary, parts = "=====x==", ['Content-Type: application/json\r\n\r\n{"file": {"displayName": "m"}}']
    parts.append("Content-Type: text/csv\r\nContent-Transfer-Encoding: binary\r\n\r\na,b")
    body = "".join(f"--{boundary}\r\n{each}\r\n" for each in parts) + f"--{boundary}--"
    headers = {"Content-Type": f'multipart/related; boundary="{boundary}"'}
    sent = http.post("/upload/v1beta/files?uploadType=multipart", content=body.encode(), headers=headers)
    assert (sent.json()["file"]["mimeType"], sent.json()["file"]["sizeBytes"]) == ("text/csv", "3")


def test_the_parameters_of_a_content_type_are_bounded(http):
    """Reading them takes time that grows with the square of their length."""
    named = 'multipart/related; a="' + ";" * 60_000 + '"; boundary=x'
    refused = http.post("/upload/v1beta/files?uploadType=multipart", content=b"", headers={"Content-Type": named})
    assert refused.status_code == 400
    assert "Content-Type" in refused.json()["error"]["message"]
