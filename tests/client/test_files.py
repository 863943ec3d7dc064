"""Files go up and down whole, over connections that break and servers that are killed, and errors are told at once."""

import contextlib
import errno
import gzip
import io
import os
import signal
import socket
import threading
from urllib.parse import urlsplit

import pytest

from file_server import FileServerProcess, file_server
from gemvec.client.files import FileClient
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.target import Target, find_target
from gemvec.errors import ApiError, BadAnswer, BadResourceName, BadSetting, TransportFailure
from scripted_server import Answer

MIB = 2**20
PATIENT = RetryPolicy(timeout_seconds=30, unreachable_seconds=30, first_delay_seconds=0.01, max_delay_seconds=0.2)
HURRIED = RetryPolicy(timeout_seconds=0.5, unreachable_seconds=0.1, first_delay_seconds=0.01)


class CuttingProxy:
    """Passes connections on to a server and cuts each one off after so many bytes of either direction."""

    def __init__(self, url, most_bytes):
        self._server = urlsplit(url)
        self._most_bytes = most_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._server.hostname, self._server.port))
            for source, sink in [(client, server), (server, client)]:
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source, sink):
        left = self._most_bytes
        with contextlib.suppress(OSError):
            while left and (block := source.recv(min(left, 65536))):
                sink.sendall(block)
                left -= len(block)
            self.cuts += not left
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with file_server(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def files(url):
    with FileClient(find_target(url)) as files:
        yield files


@pytest.fixture
def content(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(os.urandom(20 * MIB + 7))
    return tmp_path / "a.jsonl"


def download(files, name):
    target = io.BytesIO()
    assert files.download(name, target) == len(target.getvalue())
    return target.getvalue()


def test_a_file_goes_up_and_down_in_blocks(files, content):
    moved = []
    file = files.upload(
        content, display_name="dn", mime_type="jsonl", progress=lambda done, total: moved.append((done, total))
    )
    size = 20 * MIB + 7
    assert moved == [(8 * MIB, size), (16 * MIB, size), (size, size)]
    assert (file.display_name, file.mime_type, file.size_bytes, file.state) == ("dn", "jsonl", size, "ACTIVE")
    assert files.get(file.name) == file
    assert download(files, file.name) == content.read_bytes()


def test_an_empty_file_goes_up_and_down(files, tmp_path):
    (tmp_path / "empty").touch()
    file = files.upload(tmp_path / "empty")
    assert file.size_bytes == 0
    assert download(files, file.name) == b""


def test_the_list_goes_over_every_page(files, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    made = [files.upload(tmp_path / "a").name for _ in range(5)]
    assert [file.name for file in files.list(page_size=2)][:5] == made[::-1]


def test_a_deleted_file_is_not_found(files, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    name = files.upload(tmp_path / "a", file_id="to-delete").name
    assert name == "files/to-delete"
    files.delete(name)
    with pytest.raises(ApiError) as caught:
        files.get(name)
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("name", ["..", "a/b", "files/../x", "", "a?b"])
def test_a_name_that_is_no_id_never_leaves_this_process(files, name):
    with pytest.raises(BadResourceName):
        files.get(name)


def test_a_taken_name_is_refused_at_once(files, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    files.upload(tmp_path / "a", file_id="taken")
    with pytest.raises(ApiError, match="409 ALREADY_EXISTS"):
        files.upload(tmp_path / "a", file_id="taken")


def test_an_upload_over_a_connection_that_keeps_breaking_arrives_whole(url, content):
    proxy = CuttingProxy(url, 3 * MIB)
    with FileClient(find_target(proxy.url), retries=PATIENT) as files:
        file = files.upload(content)
    proxy.close()
    assert proxy.cuts >= 6
    with FileClient(find_target(url)) as files:
        assert download(files, file.name) == content.read_bytes()


def test_a_download_over_a_connection_that_keeps_breaking_arrives_whole(url, files, content):
    name = files.upload(content).name
    proxy = CuttingProxy(url, 3 * MIB)
    with FileClient(find_target(proxy.url), retries=PATIENT) as through_proxy:
        assert download(through_proxy, name) == content.read_bytes()
    proxy.close()
    assert proxy.cuts >= 6


def test_an_upload_outlives_a_killed_server(tmp_path, content):
    servers = [FileServerProcess(tmp_path / "data")]
    port = urlsplit(servers[0].url).port

    def kill_once(done, _total):
        if done == 8 * MIB and len(servers) == 1:
            servers[0].end(signal.SIGKILL)
            servers.append(FileServerProcess(tmp_path / "data", port=port))

    with FileClient(find_target(servers[0].url), retries=PATIENT) as files:
        file = files.upload(content, progress=kill_once)
        assert download(files, file.name) == content.read_bytes()
    servers[1].end(signal.SIGTERM)


def test_a_server_that_does_not_answer_is_given_up(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with FileClient(find_target(f"http://127.0.0.1:{port}"), retries=HURRIED) as files:
        with pytest.raises(TransportFailure, match="Nothing answers at") as caught:
            files.upload(tmp_path / "a")
        assert not caught.value.connected


def test_a_wrong_key_is_reported_at_once_and_chunks_have_no_key(tmp_path, content):
    with file_server(tmp_path / "data", api_key="right") as url:
        with FileClient(find_target(url, api_key="wrong")) as files, pytest.raises(ApiError, match="API key not valid"):
            files.upload(content)
        with FileClient(find_target(url, api_key="right")) as files:
            assert files.upload(content).size_bytes == content.stat().st_size


@pytest.mark.parametrize(("host", "key"), [("127.0.0.1", "k"), ("localhost", None)])
def test_a_download_is_followed_to_where_it_is_and_the_key_stays_at_home(server, host, key):
    """Google answers with a redirect."""
    elsewhere = server.url.replace("127.0.0.1", host)
    server.script = [Answer(302, b"moved", {"location": f"{elsewhere}/download/f"}), Answer(body=b"line\n")]
    with FileClient(find_target(server.url, api_key="k")) as files:
        assert download(files, "files/f") == b"line\n"
    assert [each["headers"].get("x-goog-api-key") for each in server.seen] == ["k", key]
    assert {each["headers"]["accept-encoding"] for each in server.seen} == {"identity"}


@pytest.mark.parametrize("there", ["file:///etc/passwd", "ftp://127.0.0.1/f"])
def test_a_redirect_out_of_http_is_refused(server, there):
    server.script = [Answer(302, b"moved", {"location": there})]
    with FileClient(find_target(server.url)) as files, pytest.raises(BadAnswer, match="redirects from http to"):
        files.download("files/f", io.BytesIO())


def test_a_part_that_was_not_asked_for_is_refused(server):
    """A server that answers a request for the rest with another part would leave a file of the wrong bytes."""
    whole = {"etag": '"a"', "content-length": "100"}
    server.script = [
        Answer(200, b"x" * 60, whole, cut=True),
        Answer(206, b"y" * 40, {"content-range": "bytes 50-89/100"}),
    ]
    with FileClient(find_target(server.url), retries=PATIENT) as files, pytest.raises(BadAnswer, match="from 60"):
        files.download("files/f", io.BytesIO())


def test_a_compressed_download_is_refused_for_its_offsets_are_others(server):
    server.script = [Answer(200, gzip.compress(b"line"), {"content-encoding": "gzip"})]
    with FileClient(find_target(server.url)) as files, pytest.raises(BadAnswer, match="compressed"):
        files.download("files/f", io.BytesIO())


class FullDisk(io.BytesIO):
    """A file on a disk without room."""

    def write(self, _):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_reported_and_nothing_is_sent_again(server):
    server.script = [Answer(200, b"line\n")] * 2
    with FileClient(find_target(server.url), retries=PATIENT) as files, pytest.raises(OSError, match="No space left"):
        files.download("files/f", FullDisk())
    assert len(server.seen) == 1


@pytest.mark.parametrize("received", ["-1", "1e3", "many", "9" * 5000, "100000000"])
def test_an_upload_of_which_the_server_says_nonsense_is_a_bad_answer(server, content, received):
    server.script = [
        Answer(200, {}, {"x-goog-upload-url": f"{server.url}/upload?id=1"}),
        Answer(503, {}),
        Answer(200, {}, {"x-goog-upload-size-received": received}),
    ]
    with FileClient(find_target(server.url), retries=PATIENT) as files, pytest.raises(BadAnswer, match="has received"):
        files.upload(content)


@pytest.mark.parametrize("headers", [{}, {"location": "/v1beta/files/f:download"}], ids=["nowhere", "endless"])
def test_a_redirect_that_leads_nowhere_is_no_content(server, headers):
    server.script = [Answer(302, b"moved", headers) for _ in range(1000)]
    with FileClient(find_target(server.url), retries=HURRIED) as files, pytest.raises((ApiError, TransportFailure)):
        files.download("files/f", io.BytesIO())


def test_this_process_keeps_no_files():
    with pytest.raises(BadSetting, match="base URL"):
        FileClient(Target(base_url="local"))


@pytest.mark.parametrize("there", ["http://127.0.0.1:99999/", "http://[::/f"])
def test_a_redirect_to_what_is_not_an_address_is_refused(server, there):
    server.script = [Answer(302, b"moved", {"location": there})]
    with FileClient(find_target(server.url)) as files, pytest.raises(BadAnswer, match="not an address"):
        files.download("files/f", io.BytesIO())


def test_an_upload_to_what_is_not_an_address_is_refused(server, content):
    server.script = [Answer(200, {}, {"x-goog-upload-url": "http://[::/upload?id=1"})]
    with FileClient(find_target(server.url)) as files, pytest.raises(BadAnswer, match="not an address"):
        files.upload(content)
