"""A real server process for the clients, and where their results are collected."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from clients.environments import begin


@pytest.fixture(scope="session")
def server(tiny_model, tmp_path_factory):
    """Start `gemvec serve` on a free port with the tiny model; return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    reranker = Path(__file__).parents[1] / "models" / "golden" / "cross-encoders" / "bert"
    models = ["--model", str(tiny_model), "--rerank-model", str(reranker)]
    command = [sys.executable, "-m", "gemvec", "serve", "--port", str(port), *models]
    command += ["--alias", "text-embedding-3-small=gemini-embedding-001"]  # what some clients ask for by default
    data = tmp_path_factory.mktemp("data")
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--data-dir", str(data)], stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ)
        )
    try:
        yield _ready(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _ready(address, process, log):
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{address}/readyz"):
                return address
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"the server did not become ready: {log.read_text()}")


@pytest.fixture(scope="session", autouse=True)
def environments_begun(request):
    """Begin to make the environments that the selected clients need."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    clients = [each["client"] for each in parameters if "client" in each]
    begin([each.requirements for each in clients if each.requirements])


@pytest.fixture(scope="session")
def results(request):
    """Collect what each client did; written as JSON where --client-results says."""
    collected = []
    yield collected
    target = request.config.getoption("--client-results")
    if target:
        Path(target).write_text(json.dumps(collected, indent=1) + "\n")
