"""A real server in a thread: uvicorn on a real socket, in front of the tiny model."""

import asyncio
import contextlib
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gemvec.embedding.embedder import WrapperEmbedder
from gemvec.models.local import open_embedder
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings

RERANKER = Path(__file__).parents[1] / "models" / "golden" / "cross-encoders" / "bert"


class HeldEmbedder(WrapperEmbedder):
    """Holds every call until it is released."""

    def __init__(self, embedder):
        super().__init__(embedder)
        self.released = threading.Event()
        self.held = 0
        self.cancelled = 0

    async def embed(self, model, requests, **options):
        self.held += 1
        try:
            while not self.released.is_set():  # noqa: ASYNC110 - set from the test's thread
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.held -= 1
        return await super().embed(model, requests, **options)


@pytest.fixture(scope="session")
def tiny_folder(tiny_model, tmp_path_factory):
    """The tiny model in a folder by whose name it is served: `tiny`."""
    return shutil.copytree(tiny_model, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def open_tiny(tiny_folder):
    """Return a function that opens the tiny model."""
    return lambda: open_embedder(Settings(model=(str(tiny_folder),), streams=1))


@pytest.fixture(scope="session")
def running_whole(tiny_folder):
    """Return a context manager that serves as `gemvec serve` does, with a data folder, and gives an HTTP client."""

    @contextlib.contextmanager
    def running_whole(data_dir, *, limits=None, **settings):
        loaded = Settings.load({}, model=str(tiny_folder), streams=1, data_dir=data_dir, **settings)
        services = open_services(loaded)
        with (
            serving(replace(services, limits=limits) if limits else services) as url,
            httpx.Client(base_url=url, timeout=30) as client,
        ):
            yield client

    return running_whole


@pytest.fixture(scope="session")
def running(open_tiny, tmp_path_factory):
    """Return a context manager that serves with other settings (or another embedder) and gives an HTTP client."""

    @contextlib.contextmanager
    def running(embedder=None, **settings):
        loaded = Settings(**{"data_dir": tmp_path_factory.mktemp("data"), **settings})
        with (
            serving(open_services(loaded, embedder=embedder or open_tiny())) as url,
            httpx.Client(base_url=url, timeout=30) as client,
        ):
            yield client

    return running


@pytest.fixture(scope="session")
def http(running_whole, tmp_path_factory):
    """An HTTP client of all that `gemvec serve` serves."""
    with running_whole(tmp_path_factory.mktemp("data"), rerank_model=str(RERANKER)) as client:
        yield client


@pytest.fixture(scope="session")
def server_url(http):
    """The address of that server."""
    return str(http.base_url).rstrip("/")


@pytest.fixture
def held(open_tiny):
    """An embedder that holds every call until `held.released` is set."""
    return HeldEmbedder(open_tiny())
