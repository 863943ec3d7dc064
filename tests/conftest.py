"""Fixtures that every suite shares: a clean environment, and no network beyond this machine."""

import os
import shutil
import signal
import socket

import pytest
from hypothesis import HealthCheck, settings
from make_tiny_model import write_tiny_model

from databases import database, database_url, postgresql_folder, postgresql_url  # noqa: F401 - fixtures for all
from object_stores import (  # noqa: F401 - as above
    RUNNING,
    far_store,
    far_url,
    object_store,
    s3_url,
    start_object_store,
    store_url,
)
from ray_cluster import cluster  # noqa: F401 - as above
from site_server import site  # noqa: F401 - as above

# A law holds on a busy machine too, where hypothesis' limits of time would fail it.
settings.register_profile("gemvec", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gemvec")

_LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0"}


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch):
    """Keep variables of the developer's shell out of every test."""
    for name in list(os.environ):
        if name.startswith(("GEMVEC_", "GEMINI_", "GOOGLE_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GEMVEC_PORT", "0")  # commands ask no server that happens to run here


@pytest.fixture(autouse=True)
def network_refused(request, monkeypatch):
    """Refuse connections that leave this machine, except in tests that fetch real weights."""
    if request.node.get_closest_marker("weights"):
        return
    connect = socket.socket.connect

    def connect_locally(self, address):
        if isinstance(address, tuple) and address[0] not in _LOCAL:
            raise AssertionError(f"a test tried to reach {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Return the folder of a real BERT of 32 dimensions and a window of 64 tokens; do not write into it."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny_model"))


@pytest.fixture(scope="session")
def curl():
    """Skip what a shell does with curl where that is not installed; CI has it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")


def pytest_configure():
    """Let Ctrl-C reach the processes that tests start, even where the suite itself runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    """Let suites run against several servers or another object store, and keep what each client did."""
    parser.addoption("--object-store", choices=sorted(RUNNING), default="s3", help="what slow suites keep bytes in")
    parser.addoption("--servers", type=int, default=1, help="how many servers behind a balancer the clients use")
    parser.addoption("--client-results", default="", help="write what each client did to this JSON file")
