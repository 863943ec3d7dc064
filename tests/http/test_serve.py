"""`gemvec serve` as a process: what it prints, when it refuses to start, how it stops."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import traceback

import httpx
import pytest

from gemvec.cli.serve import clients
from gemvec.errors import BadSetting
from gemvec.server.run import open_socket

SERVE = [sys.executable, "-m", "gemvec", "serve", "--port", "0"]


class ServeProcess:
    """`gemvec serve` on a free port, and what it wrote."""

    def __init__(self, folder, *options):
        self._output, self._errors = folder / "output.txt", folder / "errors.txt"
        with self._output.open("w") as output, self._errors.open("w") as errors:
            command = [*SERVE, "--data-dir", str(folder / "data"), *options]
            self.process = subprocess.Popen(command, stdout=output, stderr=errors)
        while not (found := re.search(r"http://[\d.]+:\d+", self.output + self.errors)):
            assert self.process.poll() is None, self.errors
            time.sleep(0.02)
        self.url = found[0]

    @property
    def output(self):
        return self._output.read_text()

    @property
    def errors(self):
        return self._errors.read_text()

    def embed(self, **options):
        body = {"content": {"parts": [{"text": "Hello"}]}}
        address = f"{self.url}/v1beta/models/gemini-embedding-001:embedContent"
        return httpx.post(address, json=body, timeout=30, **options)

    def end(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def serving(folder, *options):
    server = ServeProcess(folder, *options)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="module")
def server(tiny_folder, tmp_path_factory):
    """One that several tests share."""
    with serving(tmp_path_factory.mktemp("serve"), "--model", str(tiny_folder)) as server:
        yield server


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_it_is_ready_when_it_says_where_it_serves(server):
    assert httpx.get(server.url + "/readyz").status_code == 200
    assert len(server.embed().json()["embedding"]["values"]) == 3072


def test_it_says_which_weights_serve_and_that_the_vectors_are_not_googles(server):
    assert server.embed().headers["x-gemvec-model"] in server.output
    assert "not Google's" in server.output
    assert "no prompts: task types change nothing" in server.output
    assert f"{server.url}/docs" in server.output


def test_with_json_logs_every_line_is_json_and_the_first_says_what_is_served(tiny_folder, tmp_path):
    with serving(tmp_path, "--model", str(tiny_folder), "--log-format", "json") as server:
        answer = server.embed()
        server.end()
    first, *others = [json.loads(line) for line in server.errors.splitlines()]
    assert first["message"] == "serving"
    assert (first["url"], first["weights"]) == (server.url, [answer.headers["x-gemvec-model"]])
    assert "gemini-embedding-001" in first["models"]
    assert first["prompts"]["tiny"]["RETRIEVAL_QUERY"] == ""
    assert first["asks_for_keys"] is False
    assert sorted(each["message"] for each in others) == ["request", "stopping"]
    request = next(each for each in others if each["message"] == "request")
    assert request["request_id"] == answer.headers["x-request-id"]
    assert server.output == ""


@pytest.mark.usefixtures("curl")
def test_the_lines_it_prints_work(server):
    lines = clients(server.url, "gemini-embedding-001", "any")
    while "Ctrl-C stops the server" not in server.output:  # the last of them; the address is in the first
        time.sleep(0.02)
    assert all(line in server.output for line in lines.values())
    assert '"values":[' in run(["bash", "-c", lines["curl"] + " -s"])
    ask = "client.models.embed_content(model='gemini-embedding-001', contents='hello').embeddings[0].values"
    sdk = run([sys.executable, "-c", f"from google import genai; client = {lines['google-genai']}; print(len({ask}))"])
    milvus = run([sys.executable, "-c", f"import gemvec; print({lines['Milvus']}.encode_queries(['hello'])[0].size)"])
    assert (sdk, milvus) == ("3072", "3072")


def test_a_request_in_progress_survives_a_stop(tiny_folder, tmp_path):
    with serving(tmp_path, "--model", str(tiny_folder)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        body = b'{"content": {"parts": [{"text": "Hello"}]}}'
        with socket.create_connection((host, int(port)), timeout=60) as caller:
            caller.sendall(
                b"POST /v1/models/gemini-embedding-001:embedContent HTTP/1.1\r\nhost: localhost\r\n"
                b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
            )
            assert caller.recv(100).startswith(b"HTTP/1.1 100")  # the server waits for the body
            server.process.terminate()
            while httpx.get(server.url + "/readyz").status_code == 200:
                pass
            assert server.embed().status_code == 503
            caller.sendall(body)
            assert caller.recv(100).startswith(b"HTTP/1.1 200")
        assert server.process.wait(timeout=60) == 0
        assert "Traceback" not in server.errors


def test_a_stopping_server_still_takes_requests_while_a_balancer_notices(tiny_folder, tmp_path):
    with serving(tmp_path, "--model", str(tiny_folder), "--drain-seconds", "3600") as server:
        server.process.terminate()
        while httpx.get(server.url + "/readyz").status_code == 200:
            pass
        assert server.embed().status_code == 200
        assert server.end(signal.SIGTERM) == 0


def test_a_second_ctrl_c_stops_at_once_and_without_a_traceback(tiny_folder, tmp_path):
    with serving(tmp_path, "--model", str(tiny_folder), "--shutdown-seconds", "3600") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as caller:
            caller.sendall(
                b"POST /v1/models/tiny:embedContent HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n"
                b"content-length: 9\r\n\r\n"
            )
            assert caller.recv(100).startswith(b"HTTP/1.1 100")
            server.process.send_signal(signal.SIGINT)
            while httpx.get(server.url + "/readyz").status_code == 200:
                pass
            assert server.end(signal.SIGINT) == 0
        assert "Traceback" not in server.errors
        assert " error " not in server.errors, "nor is a refusal while it stops an error of the server"


def test_keys_are_asked_for_and_never_printed(tiny_folder, tmp_path):
    with serving(tmp_path, "--model", str(tiny_folder), "--api-key", "canary-key") as server:
        assert server.embed().status_code == 403
        assert server.embed(headers={"x-goog-api-key": "canary-key"}).status_code == 200
        assert server.end(signal.SIGINT) == 0
        assert "canary" not in server.output + server.errors


def refused(*options):
    done = subprocess.run([*SERVE, *options], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, " ".join(done.stderr.split())


def test_it_does_not_start_for_others_without_keys(tmp_path):
    code, message = refused("--host", "0.0.0.0", "--data-dir", str(tmp_path))
    assert code == 2
    assert "--allow-anonymous" in message


def test_no_model_of_this_machine_is_served_beside_an_upstream_server_not_even_the_default(monkeypatch):
    both = (2, "error: Give either --model or --upstream, not both.")
    assert refused("--upstream", "http://127.0.0.1:9", "--model", "all-minilm-l6-v2") == both
    monkeypatch.setenv("GEMVEC_MODEL", "all-minilm-l6-v2")
    assert refused("--upstream", "http://127.0.0.1:9") == both


def test_an_empty_flag_is_not_given_and_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    _, said = refused("--upstream", "", "--data-dir", "", "--port", "-1")
    assert said.startswith("--upstream is empty and is ignored. --data-dir is empty and is ignored. error: --port")
    assert list(tmp_path.iterdir()) == [], "nothing is kept in the current folder"


def test_a_taken_port_is_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, message = refused("--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "in use" in message


def test_an_address_that_is_refused_leaves_no_socket_open():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadSetting, match="in use") as caught:
        open_socket(*taken.getsockname())
    *_, frame = (frame for frame, _ in traceback.walk_tb(caught.tb) if frame.f_code is open_socket.__code__)
    assert frame.f_locals["bound"].fileno() == -1
