"""A real server process for the clients, or several behind a balancer, and where their results are collected."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import balancer
from clients.environments import begin
from databases import running_postgresql
from object_stores import running_s3


@pytest.fixture(scope="session")
def server(request, tiny_model, tmp_path_factory):
    """Start `gemvec serve` with the tiny model; with `--servers 3`, three behind a balancer. Return the address."""
    count = request.config.getoption("--servers")
    reranker = Path(__file__).parents[1] / "models" / "golden" / "cross-encoders" / "bert"
    options = ["--model", str(tiny_model), "--rerank-model", str(reranker)]
    options += ["--alias", "text-embedding-3-small=gemini-embedding-001"]  # what some clients ask for by default
    with ExitStack() as running:
        environment = {}
        if count > 1:
            environment, shared = _what_servers_share(running)
            options += shared
        folders = [tmp_path_factory.mktemp("server") for _ in range(count)]
        started = [running.enter_context(_running_server(options, folder, environment)) for folder in folders]
        urls = [_ready(*each) for each in started]
        if count > 1:
            urls = [running.enter_context(balancer.running_balancer(urls, tmp_path_factory.mktemp("balancer")))]
        yield urls[0]


def _what_servers_share(running):
    """Start a PostgreSQL and an S3 server; return the variables and the options of the servers that share them."""
    if not balancer.is_installed():
        pytest.skip(balancer.ABSENT)
    try:
        postgresql = running.enter_context(running_postgresql())
    except LookupError as error:
        pytest.skip(f"PostgreSQL cannot be started: {error}")
    s3 = running.enter_context(running_s3())
    s3.make_bucket()
    return s3.environment(), ["--database-url", postgresql.url, "--storage", "s3://bucket/clients"]


@contextmanager
def _running_server(options, folder, environment):
    """Run `gemvec serve` on a free port for the length of a block; gives its address, process and log at once."""
    port, log = balancer.free_port(), folder / "log.txt"
    command = [sys.executable, "-m", "gemvec", "serve", "--port", str(port), "--data-dir", str(folder / "data")]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, *options], stdout=out, stderr=subprocess.STDOUT, env=os.environ | environment
        )
    try:
        yield f"http://127.0.0.1:{port}", process, log
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
