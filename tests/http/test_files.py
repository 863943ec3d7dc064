"""files.get, list, delete and download; media.upload in every protocol, as Google's SDK and as plain requests."""

import base64
import hashlib
import io
import json
import os
import socket
import subprocess
import time
from urllib.parse import urlsplit

import httpx
import pytest
from google import genai
from google.genai import errors

from file_server import file_server
from gemvec.files.content import FileContent
from gemvec.server.keys import KeyStore
from gemvec.storage.database import open_database

MIB = 2**20

# From Google's documentation of the batch API; only the address is another.
GOOGLES_CURL = r"""
tmp_header_file=upload-header.tmp
echo '{"key": "request_1", "request": {"content": {"parts": [{"text": "hi"}]}}}' > batch_requests.json
NUM_BYTES=$(wc -c < batch_requests.json)
curl "https://generativelanguage.googleapis.com/upload/v1beta/files" \
  -D "${tmp_header_file}" \
  -H "x-goog-api-key: $GEMINI_API_KEY" \
  -H "X-Goog-Upload-Protocol: resumable" \
  -H "X-Goog-Upload-Command: start" \
  -H "X-Goog-Upload-Header-Content-Length: ${NUM_BYTES}" \
  -H "X-Goog-Upload-Header-Content-Type: jsonl" \
  -H "Content-Type: application/jsonl" \
  -d '{"file": {"display_name": "batch_requests"}}' 2> /dev/null
upload_url=$(grep -i "x-goog-upload-url: " "${tmp_header_file}" | cut -d" " -f2 | tr -d "\r")
curl "${upload_url}" \
  -H "Content-Length: ${NUM_BYTES}" \
  -H "X-Goog-Upload-Offset: 0" \
  -H "X-Goog-Upload-Command: upload, finalize" \
  --data-binary "@batch_requests.json" 2> /dev/null > file_info.json
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with file_server(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=120) as client:
        yield client


@pytest.fixture
def sdk(url):
    return genai.Client(api_key="any", http_options={"base_url": url})


def begin(http, body=None, path="/upload/v1beta/files", **headers):
    headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"} | headers
    return http.post(path, json=body or {}, headers=headers)


def send(http, url, command, content=b"", offset=0, **headers):
    headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)} | headers
    return http.post(urlsplit(url).path, content=content, headers=headers)


def upload(http, content, body=None):
    started = begin(http, body)
    assert started.status_code == 200, started.text
    done = send(http, started.headers["x-goog-upload-url"], "upload, finalize", content)
    assert done.status_code == 200, done.text
    return done.json()["file"]


# The SDK of this environment


def test_the_sdk_uploads_describes_lists_downloads_and_deletes(sdk, tmp_path):
    (tmp_path / "a.jsonl").write_text("{}\n")
    file = sdk.files.upload(file=tmp_path / "a.jsonl", config={"display_name": "dn", "mime_type": "jsonl"})
    assert (file.display_name, file.mime_type, file.size_bytes, file.state) == ("dn", "jsonl", 3, "ACTIVE")
    assert sdk.files.get(name=file.name) == file
    assert file.name in [each.name for each in sdk.files.list(config={"page_size": 2})]
    assert sdk.files.download(file=file) == b"{}\n"
    assert sdk.files.download(file=file.name) == b"{}\n"
    sdk.files.delete(name=file.name)
    with pytest.raises(errors.ClientError, match="404 NOT_FOUND"):
        sdk.files.get(name=file.name)


def test_the_sdk_sends_a_file_above_8_mib_in_chunks(sdk, tmp_path):
    content = os.urandom(17 * MIB + 5)
    (tmp_path / "big").write_bytes(content)
    file = sdk.files.upload(file=tmp_path / "big", config={"mime_type": "application/octet-stream"})
    assert file.size_bytes == len(content)
    assert base64.b64decode(file.sha256_hash).decode() == hashlib.sha256(content).hexdigest()
    assert sdk.files.download(file=file) == content


@pytest.mark.parametrize("size", [0, 1, 8 * MIB])
def test_the_sdk_uploads_from_memory(sdk, size):
    file = sdk.files.upload(file=io.BytesIO(b"x" * size), config={"mime_type": "text/plain"})
    assert (file.size_bytes or 0) == size
    assert sdk.files.download(file=file) == b"x" * size


def test_the_sdk_chooses_a_name_and_a_taken_one_is_an_error(sdk):
    config = {"mime_type": "text/plain", "name": "my-name"}
    assert sdk.files.upload(file=io.BytesIO(b"x"), config=config).name == "files/my-name"
    with pytest.raises(errors.ClientError, match="409 ALREADY_EXISTS"):
        sdk.files.upload(file=io.BytesIO(b"x"), config=config)


def test_the_sdk_downloads_to_a_path(sdk, tmp_path):
    file = sdk.files.upload(file=io.BytesIO(b"x" * 3 * MIB), config={"mime_type": "text/plain"})
    sdk.files.download(file=file, destination=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"x" * 3 * MIB


async def _roundtrip(sdk):
    file = await sdk.aio.files.upload(file=io.BytesIO(b"x" * 9 * MIB), config={"mime_type": "text/plain"})
    assert await sdk.aio.files.get(name=file.name) == file
    content = await sdk.aio.files.download(file=file)
    await sdk.aio.files.delete(name=file.name)
    await sdk.aio.aclose()
    return content


def test_the_sdk_does_the_same_asynchronously(sdk):
    import asyncio

    assert asyncio.run(_roundtrip(sdk)) == b"x" * 9 * MIB


@pytest.mark.usefixtures("curl")
def test_googles_curl_commands_upload_a_file(url, tmp_path):
    command = GOOGLES_CURL.replace("https://generativelanguage.googleapis.com", url)
    environ = {"GEMINI_API_KEY": "any-key", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    subprocess.run(["bash", "-c", command], env=environ, cwd=tmp_path, capture_output=True, check=True)
    file = json.loads((tmp_path / "file_info.json").read_text())["file"]
    assert (file["displayName"], file["mimeType"], file["sizeBytes"]) == ("batch_requests", "jsonl", "74")


# Starting


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
def test_a_start_is_answered_with_the_url_under_every_version(http, url, version):
    started = begin(http, path=f"/upload/{version}/files")
    assert started.headers["x-goog-upload-status"] == "active"
    assert started.headers["x-goog-upload-url"].startswith(f"{url}/upload/{version}/files/")
    file = send(http, started.headers["x-goog-upload-url"], "upload, finalize", b"x").json()["file"]
    assert file["uri"] == f"{url}/{version}/{file['name']}"
    assert http.get(urlsplit(file["uri"]).path).json() == file


@pytest.mark.parametrize(
    "body",
    [
        {"file": {"display_name": "dn", "mime_type": "text/plain", "size_bytes": 1}},
        {"file": {"displayName": "dn", "mimeType": "text/plain", "sizeBytes": "1"}},
    ],
)
def test_both_spellings_are_understood(http, body):
    file = upload(http, b"x", body)
    assert (file["displayName"], file["mimeType"], file["sizeBytes"]) == ("dn", "text/plain", "1")


def test_what_the_service_alone_says_is_ignored_in_a_start(http):
    assert upload(http, b"x", {"file": upload(http, b"x") | {"name": ""}})["sizeBytes"] == "1"


@pytest.mark.parametrize(
    ("headers", "body", "field"),
    [
        ({"X-Goog-Upload-Protocol": "carrier-pigeon"}, {}, "X-Goog-Upload-Protocol"),
        ({"X-Goog-Upload-Command": "upload"}, {}, "X-Goog-Upload-Command"),
        ({"X-Goog-Upload-Header-Content-Length": "many"}, {}, "X-Goog-Upload-Header-Content-Length"),
        ({"X-Goog-Upload-Header-Content-Length": "-1"}, {}, "file.size_bytes"),
        ({"X-Goog-Upload-Header-Content-Length": str(2**62)}, {}, "file.size_bytes"),
        ({"X-Goog-Upload-Header-Content-Length": str(10**30)}, {}, "X-Goog-Upload-Header-Content-Length"),
        ({"X-Goog-Upload-Header-Content-Length": "6"}, {"file": {"sizeBytes": 5}}, "file.size_bytes"),
        ({}, {"file": {"sizeBytes": "x"}}, "file.size_bytes"),
        ({}, {"file": {"colour": "red"}}, "file"),
        ({}, {"file": []}, "file"),
        ({}, {"file": {"displayName": "x" * 513}}, "file.display_name"),
        ({}, {"file": {"displayName": "a\0b"}}, "file.display_name"),
        ({}, {"file": {"mimeType": "a\0b"}}, "file.mime_type"),
    ],
)
def test_a_start_that_cannot_be_is_refused_with_its_field(http, headers, body, field):
    refused = begin(http, body, **headers)
    assert refused.status_code == 400
    assert refused.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert refused.json()["error"]["details"][0]["fieldViolations"][0]["field"] == field


@pytest.mark.parametrize("name", ["..", "files/..", "../x", "/etc/passwd", "a/b", "%2e%2e", "A", "a" * 41, "x\0"])
def test_a_name_that_is_no_plain_id_is_refused(http, name):
    refused = begin(http, {"file": {"name": name}})
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_the_json_of_a_start_may_not_be_huge(http):
    assert begin(http, {"file": {"displayName": "x" * 100_000}}).status_code == 400


def test_an_upload_to_another_version_is_no_route(http):
    assert begin(http, path="/upload/v2/files").status_code == 404


# Chunks


def test_chunks_of_any_size_make_the_file(http):
    url = begin(http).headers["x-goog-upload-url"]
    for offset, chunk in [(0, b"ab"), (2, b""), (2, b"cdef")]:
        answered = send(http, url, "upload", chunk, offset)
        assert (answered.status_code, answered.headers["x-goog-upload-status"]) == (200, "active")
    done = send(http, url, "finalize")
    assert done.headers["x-goog-upload-status"] == "final"
    assert http.get(f"/v1beta/{done.json()['file']['name']}:download").content == b"abcdef"


def test_a_repeated_chunk_and_a_repeated_end_are_harmless(http):
    url = begin(http).headers["x-goog-upload-url"]
    for _ in range(3):
        assert send(http, url, "upload", b"abc").headers["x-goog-upload-size-received"] == "3"
    ends = [send(http, url, "upload, finalize", b"def", 3) for _ in range(3)]
    assert {each.headers["x-goog-upload-status"] for each in ends} == {"final"}
    assert len({each.text for each in ends}) == 1
    assert ends[0].json()["file"]["sizeBytes"] == "6"


@pytest.mark.parametrize("offset", ["4", "-1", "abc", "", "1.5", str(2**63 - 1), str(10**30), "0x1"])
def test_an_absurd_offset_is_refused_and_the_upload_goes_on(http, offset):
    url = begin(http).headers["x-goog-upload-url"]
    send(http, url, "upload", b"abc")
    refused = send(http, url, "upload", b"def", offset)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "x-goog-upload-status" not in refused.headers
    assert send(http, url, "upload, finalize", b"def", 3).json()["file"]["sizeBytes"] == "6"


@pytest.mark.parametrize("command", ["", "start", "upload, query", "delete", "UPLOAD,", "finalize, cancel"])
def test_an_unknown_command_is_refused(http, command):
    refused = send(http, begin(http).headers["x-goog-upload-url"], command, b"abc")
    assert refused.status_code == 400
    assert "X-Goog-Upload-Command" in refused.json()["error"]["message"]


@pytest.mark.parametrize(("declared", "content"), [(5, b"abc"), (2, b"abc"), (1, b""), (0, b"x")])
def test_another_length_than_declared_is_refused(http, declared, content):
    started = begin(http, **{"X-Goog-Upload-Header-Content-Length": str(declared)})
    refused = send(http, started.headers["x-goog-upload-url"], "upload, finalize", content)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert f"{declared} were declared" in refused.json()["error"]["message"]


def test_a_query_says_where_to_go_on(http):
    url = begin(http).headers["x-goog-upload-url"]
    send(http, url, "upload", b"abc")
    asked = send(http, url, "query")
    assert asked.headers["x-goog-upload-status"] == "active"
    assert asked.headers["x-goog-upload-size-received"] == "3"


def test_a_cancelled_upload_is_over(http):
    url = begin(http, {"file": {"name": "cancelled"}}).headers["x-goog-upload-url"]
    assert send(http, url, "cancel").headers["x-goog-upload-status"] == "cancelled"
    refused = send(http, url, "upload, finalize", b"abc")
    assert (refused.status_code, refused.headers["x-goog-upload-status"]) == (400, "cancelled")
    assert refused.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert http.get("/v1beta/files/cancelled").status_code == 404


@pytest.mark.parametrize("upload_id", ["x", "..", "%2e%2e", "a" * 2000])
def test_an_upload_that_was_never_started_is_not_found_and_over(http, upload_id):
    refused = send(http, f"/upload/v1beta/files/{upload_id}", "upload, finalize", b"abc")
    assert refused.status_code == 404


def test_the_content_type_of_a_chunk_means_nothing(http):
    url = begin(http).headers["x-goog-upload-url"]
    done = send(http, url, "upload, finalize", b"no json", **{"content-type": "application/json"})
    assert done.json()["file"]["sizeBytes"] == "7"


def test_a_chunk_that_breaks_off_is_kept_and_not_finalized(http):
    content = os.urandom(4 * MIB)
    upload_url = urlsplit(begin(http).headers["x-goog-upload-url"])
    head = (
        f"POST {upload_url.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
        "X-Goog-Upload-Command: upload, finalize\r\nX-Goog-Upload-Offset: 0\r\n\r\n"
    )
    with socket.create_connection((upload_url.hostname, upload_url.port)) as connection:
        connection.sendall(head.encode() + content[: 3 * MIB])
        while send(http, upload_url.geturl(), "query").headers["x-goog-upload-size-received"] == "0":
            time.sleep(0.01)  # until the first block has been written
    asked = send(http, upload_url.geturl(), "query")
    received = int(asked.headers["x-goog-upload-size-received"])
    assert asked.headers["x-goog-upload-status"] == "active"
    assert MIB <= received <= 3 * MIB
    done = send(http, upload_url.geturl(), "upload, finalize", content[received:], received)
    assert http.get(f"/v1beta/{done.json()['file']['name']}:download").content == content


# Whole files


def related(json_part, data, boundary="b0undary"):
    return (
        f"--{boundary}\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{json.dumps(json_part)}\r\n"
        f"--{boundary}\r\nContent-Type: text/csv\r\n\r\n".encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )


@pytest.mark.parametrize("data", [b"", b"a,b\n", b"\r\n", b"\r\n--b0undar", b"--b0undary--", b"x" * 3 * MIB])
@pytest.mark.parametrize("said", ["query", "header", "content type"])
def test_a_multipart_upload_makes_the_file(http, data, said):
    headers = {"content-type": "multipart/related; boundary=b0undary"}
    headers |= {"X-Goog-Upload-Protocol": "multipart"} if said == "header" else {}
    path = "/upload/v1beta/files" + ("?uploadType=multipart" if said == "query" else "")
    done = http.post(path, content=related({"file": {"displayName": "dn"}}, data), headers=headers)
    assert done.status_code == 200, done.text
    file = done.json()["file"]
    assert (file["displayName"], file["mimeType"], int(file["sizeBytes"])) == ("dn", "text/csv", len(data))
    assert http.get(f"/v1beta/{file['name']}:download").content == data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no delimiter at all",
        b"--b0undary--\r\n",
        b"--b0undary\r\nContent-Type: application/json\r\n\r\n{}\r\n--b0undary--\r\n",
        related({}, b"x")[:-30],
        b"--b0undary\r\n" + b"a: b\r\n" * 10_000,
        related({"file": {"name": ".."}}, b"x"),
        related({"file": {"sizeBytes": 3}}, b"x"),
    ],
)
def test_a_multipart_upload_that_is_not_well_formed_is_refused_and_leaves_nothing(http, body):
    before = http.get("/v1beta/files?pageSize=100").json()
    headers = {"content-type": "multipart/related; boundary=b0undary"}
    refused = http.post("/upload/v1beta/files?uploadType=multipart", content=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert http.get("/v1beta/files?pageSize=100").json() == before


def test_a_multipart_upload_without_boundary_is_refused(http):
    headers = {"content-type": "multipart/related"}
    assert http.post("/upload/v1beta/files", content=b"x", headers=headers).status_code == 400


@pytest.mark.parametrize("how", [{"params": {"uploadType": "media"}}, {"headers": {"X-Goog-Upload-Protocol": "raw"}}])
def test_a_raw_upload_makes_the_file(http, how):
    headers = how.pop("headers", {}) | {"content-type": "text/csv"}
    file = http.post("/upload/v1beta/files", content=b"a,b\n", headers=headers, **how).json()["file"]
    assert (file["mimeType"], file["sizeBytes"]) == ("text/csv", "4")


# Downloads


@pytest.mark.parametrize(
    ("asked", "expected", "content_range"),
    [
        ("bytes=0-0", b"a", "bytes 0-0/10"),
        ("bytes=2-4", b"cde", "bytes 2-4/10"),
        ("bytes=7-", b"hij", "bytes 7-9/10"),
        ("bytes=7-99999999999", b"hij", "bytes 7-9/10"),
        ("bytes=-3", b"hij", "bytes 7-9/10"),
        ("bytes=-99", b"abcdefghij", "bytes 0-9/10"),
    ],
)
def test_a_range_is_sent_alone(http, asked, expected, content_range):
    name = upload(http, b"abcdefghij")["name"]
    answered = http.get(f"/v1beta/{name}:download?alt=media", headers={"range": asked})
    assert (answered.status_code, answered.content) == (206, expected)
    assert answered.headers["content-range"] == content_range


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_beyond_the_end_is_416_with_the_size(http, asked):
    name = upload(http, b"abcdefghij")["name"]
    refused = http.get(f"/v1beta/{name}:download", headers={"range": asked})
    assert refused.status_code == 416
    assert refused.headers["content-range"] == "bytes */10"
    assert refused.json()["error"]["status"] == "OUT_OF_RANGE"


@pytest.mark.parametrize(
    "asked", ["bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=x-y", "bytes=" + "9" * 99 + "-"]
)
def test_a_range_that_cannot_be_read_is_ignored(http, asked):
    name = upload(http, b"abcdefghij")["name"]
    answered = http.get(f"/v1beta/{name}:download", headers={"range": asked})
    assert (answered.status_code, answered.content) == (200, b"abcdefghij")


def test_a_range_of_another_version_of_the_file_is_not_mixed_in(http):
    name = upload(http, b"abcdefghij")["name"]
    etag = http.head(f"/v1beta/{name}:download").headers["etag"]
    for if_range, code in [(etag, 206), ('"other"', 200)]:
        headers = {"range": "bytes=0-0", "if-range": if_range}
        assert http.get(f"/v1beta/{name}:download", headers=headers).status_code == code


def test_head_says_how_long_the_download_is(http):
    name = upload(http, b"abcdefghij")["name"]
    answered = http.head(f"/v1beta/{name}:download?alt=media")
    assert (answered.status_code, answered.headers["content-length"], answered.content) == (200, "10", b"")
    assert answered.headers["accept-ranges"] == "bytes"


def test_an_empty_file_is_downloaded(http):
    name = upload(http, b"")["name"]
    assert http.get(f"/v1beta/{name}:download").content == b""
    assert http.get(f"/v1beta/{name}:download", headers={"range": "bytes=0-"}).status_code == 416


@pytest.mark.parametrize("mime_type", ["jsonl", "a/b\r\nX-Evil: 1", "text/html\n", "ü/ü", ""])
def test_a_type_that_no_header_may_hold_is_sent_as_bytes(http, mime_type):
    name = upload(http, b"x", {"file": {"mimeType": mime_type}})["name"]
    headers = http.get(f"/v1beta/{name}:download").headers
    assert headers["content-type"] == "application/octet-stream"
    assert "x-evil" not in headers


def test_a_browser_is_told_to_save_a_download_and_not_to_show_it(http):
    name = upload(http, b"<script>", {"file": {"mimeType": "text/html"}})["name"]
    headers = http.get(f"/v1beta/{name}:download").headers
    assert headers["content-disposition"].startswith("attachment")
    assert headers["x-content-type-options"] == "nosniff"


# Descriptions


@pytest.mark.parametrize("file_id", ["..", "%2e%2e", ".", "A", "a_b", "-a", "x" * 65, "%00"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_id_that_is_no_id_is_refused(url, file_id, method):
    answered = raw_request(url, method, f"/v1beta/files/{file_id}")
    assert answered.split(b" ")[1] == b"400"
    assert b"INVALID_ARGUMENT" in answered


@pytest.mark.parametrize("path", ["/v1beta/files/..%2f..%2fetc%2fpasswd", "/v1beta/files/../../etc/passwd"])
def test_a_path_out_of_the_collection_is_no_route(url, path):
    assert raw_request(url, "GET", path).split(b" ")[1] == b"404"


def raw_request(url, method, path):
    """Send a path as it is, which HTTP clients would tidy up."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answered = b""
        while block := connection.recv(65536):
            answered += block
    return answered


def test_a_delete_may_carry_a_body(http):
    name = upload(http, b"x")["name"]
    answered = http.request("DELETE", f"/v1beta/{name}", json={})
    assert (answered.status_code, answered.json()) == (200, {})
    assert http.request("DELETE", f"/v1beta/{name}").status_code == 404


def test_the_last_page_has_no_token(http):
    names = {upload(http, b"x")["name"] for _ in range(3)}
    shown, token = [], ""
    while True:
        page = http.get("/v1beta/files", params={"pageSize": 2, "pageToken": token}).json()
        shown += [each["name"] for each in page["files"]]
        if "nextPageToken" not in page:
            break
        token = page["nextPageToken"]
        assert len(page["files"]) == 2
    assert len(shown) == len(set(shown))
    assert names <= set(shown)


@pytest.mark.parametrize("query", ["pageToken=x", "pageSize=-1", "pageSize=x", "page_token=!!", f"pageSize={2**40}"])
def test_a_page_that_cannot_be_is_refused(http, query):
    assert http.get(f"/v1beta/files?{query}").status_code == 400


# Keys, limits


def test_chunks_need_no_key_and_everything_else_does(tmp_path):
    with file_server(tmp_path, api_key="one,two") as url, httpx.Client(base_url=url, timeout=120) as http:
        assert begin(http).status_code == 403
        assert begin(http, **{"x-goog-api-key": "wrong"}).status_code == 400
        upload_url = begin(http, {"file": {"name": "data"}}, **{"x-goog-api-key": "one"}).headers["x-goog-upload-url"]
        assert send(http, upload_url, "upload, finalize", b"x").status_code == 200
        for method, path in [("GET", ""), ("GET", "/data"), ("GET", "/data:download"), ("DELETE", "/data")]:
            assert http.request(method, f"/v1beta/files{path}").status_code == 403


def test_another_keys_file_is_not_found(tmp_path):
    with file_server(tmp_path, api_key="one,two") as url, httpx.Client(base_url=url, timeout=120) as http:
        upload_url = begin(http, {"file": {"name": "data"}}, **{"x-goog-api-key": "one"}).headers["x-goog-upload-url"]
        send(http, upload_url, "upload, finalize", b"x")
        two = {"x-goog-api-key": "two"}
        for method, path in [("GET", "/data"), ("GET", "/data:download"), ("DELETE", "/data")]:
            refused = http.request(method, f"/v1beta/files{path}", headers=two)
            assert (refused.status_code, refused.json()["error"]["status"]) == (404, "NOT_FOUND")
        assert http.get("/v1beta/files", headers=two).json() == {}
        assert begin(http, {"file": {"name": "data"}}, **two).status_code == 200
        assert http.get("/v1beta/files/data:download", headers={"x-goog-api-key": "one"}).content == b"x"


def test_rows_may_be_in_postgresql(tmp_path, postgresql_url):
    with file_server(tmp_path, database_url=postgresql_url) as url, httpx.Client(base_url=url, timeout=120) as http:
        name = upload(http, b"x", {"file": {"displayName": "dn"}})["name"]
        assert http.get(f"/v1beta/{name}:download").content == b"x"
        assert [each["displayName"] for each in http.get("/v1beta/files").json()["files"]] == ["dn"]
        names = {each.name for each in tmp_path.iterdir()}
        assert "files" in names
        assert not any("sqlite" in each for each in names), "rows are nowhere else"


def test_the_limit_on_request_bodies_does_not_bound_uploads(tmp_path):
    with file_server(tmp_path, max_request_bytes="1000") as url, httpx.Client(base_url=url, timeout=120) as http:
        assert upload(http, b"x" * 5000)["sizeBytes"] == "5000"


def test_a_file_or_an_owner_beyond_the_limits_is_refused(tmp_path):
    with (
        file_server(tmp_path, max_file_bytes="10", max_owner_bytes="15") as url,
        httpx.Client(base_url=url, timeout=120) as http,
    ):
        refused = begin(http, **{"X-Goog-Upload-Header-Content-Length": "11"})
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        refused = send(http, begin(http).headers["x-goog-upload-url"], "upload, finalize", b"x" * 11)
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        refused = http.post("/upload/v1beta/files?uploadType=media", content=b"x" * 11)
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        upload(http, b"x" * 10)
        refused = begin(http, **{"X-Goog-Upload-Header-Content-Length": "6"})
        assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")


def test_an_upload_too_many_is_refused_with_the_limit_and_its_value(tmp_path):
    with file_server(tmp_path, max_open_uploads="1") as url, httpx.Client(base_url=url, timeout=120) as http:
        begin(http)
        refused = begin(http)
        assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        failure = refused.json()["error"]["details"][0]
        assert failure["@type"] == "type.googleapis.com/google.rpc.QuotaFailure"
        assert failure["violations"] == [
            {
                "quotaMetric": "gemvec/open_uploads",
                "quotaId": "OpenUploadsPerKey",
                "quotaDimensions": {"location": "global"},
                "quotaValue": "1",
            }
        ]


def test_an_upload_begun_with_a_key_that_is_revoked_since_cannot_be_finished(tmp_path):
    with file_server(tmp_path) as url, httpx.Client(base_url=url, timeout=120) as http:
        database = open_database(tmp_path / "gemvec.sqlite3")
        keys = KeyStore(database)
        _, secret = keys.create("laptop")
        headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start", "x-goog-api-key": secret}
        path = urlsplit(http.post("/upload/v1beta/files", headers=headers).headers["x-goog-upload-url"]).path
        chunk = {"X-Goog-Upload-Command": "upload", "X-Goog-Upload-Offset": "0"}
        assert http.post(path, headers=chunk, content=b"abc").status_code == 200
        keys.revoke("laptop")
        refused = http.post(path, headers={"X-Goog-Upload-Command": "finalize"})
        database.close()
    assert (refused.status_code, refused.headers["x-goog-upload-status"]) == (404, "cancelled")


def test_a_file_that_is_deleted_while_its_download_begins_is_not_lost_but_gone(http, monkeypatch):
    name = upload(http, b"some bytes")["name"]
    check = FileContent.check

    def delete_and_check(content):
        http.delete(f"/v1beta/{name}")
        check(content)

    monkeypatch.setattr(FileContent, "check", delete_and_check)
    assert http.get(f"/v1beta/{name}:download").status_code == http.get(f"/v1beta/{name}").status_code == 404
