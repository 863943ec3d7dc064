"""A server of files in a process of its own that is killed, whose disk is full, or that moves much more than it holds.

The contract: what was acknowledged is there after any crash, an upload goes on where a query says, a full disk is a
clear error after which the service lives on, and memory does not grow with a file's size.
"""

import hashlib
import io
import os
import resource
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from google import genai

import disks
from file_server import FileServerProcess

MIB = 2**20
on_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells about other processes")
START = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}


def command(name, offset=0):
    return {"X-Goog-Upload-Command": name, "X-Goog-Upload-Offset": str(offset)}


def send_part_of_a_chunk(url, path, offset, announced, content):
    """Send the beginning of a request and leave the connection open."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {announced}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in command("upload, finalize", offset).items())
    connection.sendall(head.encode() + b"\r\n" + content)
    return connection


def test_an_upload_goes_on_after_the_server_was_killed_in_the_middle_of_a_chunk(tmp_path):
    content = os.urandom(20 * MIB)
    with FileServerProcess(tmp_path) as server, httpx.Client(base_url=server.url, timeout=120) as http:
        started = http.post("/upload/v1beta/files", headers=START, json={"file": {"name": "data"}})
        path = urlsplit(started.headers["x-goog-upload-url"]).path
        first = http.post(path, headers=command("upload"), content=content[: 8 * MIB])
        assert first.headers["x-goog-upload-status"] == "active"
        connection = send_part_of_a_chunk(server.url, path, 8 * MIB, 12 * MIB, content[8 * MIB : 13 * MIB])
        server.end(signal.SIGKILL)
        connection.close()
    with FileServerProcess(tmp_path) as server, httpx.Client(base_url=server.url, timeout=120) as http:
        asked = http.post(path, headers=command("query"))
        received = int(asked.headers["x-goog-upload-size-received"])
        assert asked.headers["x-goog-upload-status"] == "active"
        assert 8 * MIB <= received <= 13 * MIB
        rest = http.post(path, headers=command("upload, finalize", received), content=content[received:])
        assert rest.headers["x-goog-upload-status"] == "final"
        assert http.get("/v1beta/files/data:download").content == content
    assert len(list((tmp_path / "files").iterdir())) == 1


def test_a_file_that_was_acknowledged_survives_a_kill(tmp_path):
    with FileServerProcess(tmp_path) as server:
        sdk = genai.Client(api_key="any", http_options={"base_url": server.url})
        file = sdk.files.upload(file=io.BytesIO(b"x" * 9 * MIB), config={"mime_type": "text/plain"})
        server.end(signal.SIGKILL)
    with FileServerProcess(tmp_path) as server:
        sdk = genai.Client(api_key="any", http_options={"base_url": server.url})
        again = sdk.files.get(name=file.name)
        assert (again.sha256_hash, again.size_bytes) == (file.sha256_hash, 9 * MIB)
        assert sdk.files.download(file=again.name) == b"x" * 9 * MIB


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MiB."""
    with disks.small_disk(tmp_path / "small disk", 16) as folder:
        yield folder


def test_a_full_disk_is_a_clear_error_and_the_upload_goes_on_when_there_is_room(small_disk):
    content = os.urandom(12 * MIB)
    with FileServerProcess(small_disk) as server, httpx.Client(base_url=server.url, timeout=120) as http:
        too_large = http.post(
            "/upload/v1beta/files", headers=START | {"X-Goog-Upload-Header-Content-Length": str(64 * MIB)}
        )
        assert (too_large.status_code, too_large.json()["error"]["status"]) == (503, "UNAVAILABLE")
        small = http.post("/upload/v1beta/files?uploadType=media", content=b"small").json()["file"]["name"]
        started = http.post("/upload/v1beta/files", headers=START, json={"file": {"name": "data"}})
        path = urlsplit(started.headers["x-goog-upload-url"]).path
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 10 * MIB)
        refused = http.post(path, headers=command("upload, finalize"), content=content)
        assert refused.status_code == 503
        assert refused.json()["error"]["message"] == "There is no room left to store data."
        assert "x-goog-upload-status" not in refused.headers
        assert http.get(f"/v1beta/{small}:download").content == b"small"
        assert http.get("/v1beta/files/data").status_code == 404
        assert http.delete(f"/v1beta/{small}").status_code in {200, 503}
        ballast.unlink()
        received = int(http.post(path, headers=command("query")).headers["x-goog-upload-size-received"])
        done = http.post(path, headers=command("upload, finalize", received), content=content[received:])
        assert done.headers["x-goog-upload-status"] == "final"
        assert http.get("/v1beta/files/data:download").content == content
        assert http.get("/healthz").status_code == 200


@on_linux
def test_memory_does_not_grow_with_a_files_size(tmp_path):
    size, block = 192 * MIB, os.urandom(MIB)
    digest = hashlib.sha256()

    def blocks():
        for _ in range(size // MIB):
            digest.update(block)
            yield block

    with FileServerProcess(tmp_path) as server, httpx.Client(base_url=server.url, timeout=120) as http:
        http.post("/upload/v1beta/files?uploadType=media", content=block * 8)
        before = server.peak_memory_bytes()
        file = http.post("/upload/v1beta/files?uploadType=media", content=blocks()).json()["file"]
        received = hashlib.sha256()
        with http.stream("GET", f"/v1beta/{file['name']}:download") as answered:
            for piece in answered.iter_bytes():
                received.update(piece)
        assert received.digest() == digest.digest()
        assert server.peak_memory_bytes() - before < 48 * MIB
    shutil.rmtree(tmp_path / "files")


@on_linux
def test_a_reader_that_leaves_in_the_middle_does_no_harm(tmp_path):
    with FileServerProcess(tmp_path) as server, httpx.Client(base_url=server.url, timeout=120) as http:
        file = http.post("/upload/v1beta/files?uploadType=media", content=b"x" * 32 * MIB).json()["file"]
        for _ in range(20):
            with http.stream("GET", f"/v1beta/{file['name']}:download") as answered:
                next(answered.iter_raw())
        assert len(http.get(f"/v1beta/{file['name']}:download").content) == 32 * MIB
        assert len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) < 40
        logged = server.end(signal.SIGTERM)
        assert "Traceback" not in logged, logged


@on_linux
def test_a_server_out_of_file_descriptors_recovers(tmp_path):
    with FileServerProcess(tmp_path) as server, httpx.Client(base_url=server.url, timeout=120) as http:
        file = http.post("/upload/v1beta/files?uploadType=media", content=b"x").json()["file"]
        started = [http.post("/upload/v1beta/files", headers=START) for _ in range(9)]
        used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 10, limits[1]))
        paths = [urlsplit(each.headers["x-goog-upload-url"]).path for each in started]
        # Each holds a connection and, once bytes have come, a file.
        uploading = [send_part_of_a_chunk(server.url, path, 0, 8 * MIB, b"x" * 2 * MIB) for path in paths[:7]]
        refused = [send_part_of_a_chunk(server.url, path, 0, 8 * MIB, b"x" * 1000) for path in paths[7:]]
        for connection in [*uploading, *refused]:
            connection.close()
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        for path in paths:
            received = int(http.post(path, headers=command("query")).headers["x-goog-upload-size-received"])
            done = http.post(path, headers=command("upload, finalize", received), content=b"x" * (4 * MIB - received))
            assert done.json()["file"]["sizeBytes"] == str(4 * MIB)
        assert http.get(f"/v1beta/{file['name']}:download").content == b"x"
        assert "Traceback" not in server.end(signal.SIGTERM)


def test_neither_keys_nor_upload_urls_nor_names_reach_the_log_or_an_error(tmp_path):
    key, canary = {"x-goog-api-key": "canary-key"}, "canary-text"
    with (
        FileServerProcess(tmp_path, api_key="canary-key") as server,
        httpx.Client(base_url=server.url, timeout=120) as http,
    ):
        body = {"file": {"displayName": canary, "mimeType": canary}}
        started = http.post("/upload/v1beta/files", headers=START | key, json=body)
        path = urlsplit(started.headers["x-goog-upload-url"]).path
        http.post(path, headers=command("upload", 5), content=canary.encode())
        done = http.post(path, headers=command("upload, finalize"), content=canary.encode()).json()["file"]
        (tmp_path / "files").chmod(0o700)
        for each in (tmp_path / "files").iterdir():
            each.unlink()
        answers = [http.post(path, headers=command("upload", 99), content=canary.encode())]
        answers.append(http.post(path + "x", headers=command("cancel")))
        answers.append(http.get(f"/v1beta/{done['name']}:download", headers=key))
        assert answers[-1].status_code == 500
        logged = server.end(signal.SIGTERM)
    assert "DataLost" in logged
    for text in [logged, *(answer.text for answer in answers)]:
        assert "canary" not in text
        assert path.rpartition("/")[2] not in text
