"""`gemvec wait` and `gemvec serve --model fake`, as a pipeline uses them."""

import json
import subprocess
import sys
import urllib.request

import pytest

from batch_server import batch_server
from gemvec.cli.app import run


@pytest.fixture
def gemvec(monkeypatch, capfd):
    def gemvec(*arguments):
        monkeypatch.setattr(sys, "argv", ["gemvec", *arguments])
        return run(), capfd.readouterr().err

    return gemvec


def test_a_server_that_is_ready_ends_the_wait(gemvec, tmp_path):
    with batch_server(tmp_path) as url:
        assert gemvec("wait", url) == (0, "")


def test_a_server_that_never_comes_ends_it_with_a_status_and_the_reason(gemvec):
    status, err = gemvec("wait", "http://127.0.0.1:9", "--timeout", "0.2")
    assert status == 1
    assert "http://127.0.0.1:9 was not ready within 0.2 s: Connection refused." in " ".join(err.split())


def test_what_is_no_address_is_wrong_usage(gemvec):
    assert gemvec("wait", "localhost:8000")[0] == 2


@pytest.fixture
def serve(tmp_path):
    """Start `gemvec serve` with options; gives the process and its address."""
    processes = []

    def serve(*options):
        command = [sys.executable, "-m", "gemvec", "serve", "--port", "0", "--data-dir", str(tmp_path), *options]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1].stdout.readline().split(" at ")[-1].strip()

    yield serve
    for process in processes:
        process.terminate()
        process.communicate()


def test_the_fake_model_answers_under_every_name_and_says_that_it_is_fake(serve):
    url = serve("--model", "fake", "--alias", "text-embedding-3-small=fake")
    for path, body in (
        ("/v1beta/models/gemini-embedding-001:embedContent", {"content": {"parts": [{"text": "hello"}]}}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "hello"}),
    ):
        request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["x-gemvec-model"] == "fake@00000000"
    with urllib.request.urlopen(f"{url}/v1beta/models") as answer:
        assert "models/text-embedding-3-small" in [each["name"] for each in json.load(answer)["models"]]


def test_a_model_in_a_folder_has_aliases(serve, tiny_model):
    url = serve("--model", str(tiny_model), "--alias", f"short={tiny_model.name}")
    body = json.dumps({"model": "short", "input": "hello"}).encode()
    request = urllib.request.Request(f"{url}/v1/embeddings", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["x-gemvec-model"].startswith(f"{tiny_model.name}@")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "fake", "--model", "all-minilm-l6-v2"], "cannot be combined"),
        (["--model", "all-minilm-l6-v2", "--model", "sentence-transformers/all-MiniLM-L6-v2"], "same model twice"),
        (["--model", "fake", "--alias", "x"], "--alias has value 'x'"),
        (["--model", "fake", "--alias", "x=y"], "is not served"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_is_fetched(gemvec, tmp_path, options, said):
    command = [sys.executable, "-m", "gemvec", "serve", "--port", "0", "--data-dir", str(tmp_path), *options]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert said in outcome.stderr
