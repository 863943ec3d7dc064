"""A real Chromium in front of real servers; each test fails on any error that the browser notes."""

import asyncio
import contextlib
import shutil
import threading

import pytest
from playwright.sync_api import sync_playwright

from gemvec.embedding.embed import Priority
from gemvec.embedding.embedder import WrapperEmbedder
from gemvec.models.fake import FakeEmbedder
from gemvec.server.keys import KeyStore
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings
from gemvec.storage.database import database_of, open_database

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What the browser notes of every answer that is an error, and of a server that is gone; the console shows both.
_USUAL = "Failed to load resource"


class HeldBatches(WrapperEmbedder):
    """Holds batches, not calls, until it is released."""

    def __init__(self):
        super().__init__(FakeEmbedder())
        self.released = threading.Event()

    async def embed(self, model, requests, *, priority=Priority.INTERACTIVE, on_done=None):
        while priority is Priority.BATCH and not self.released.is_set():  # noqa: ASYNC110 - set from the test's thread
            await asyncio.sleep(0.01)
        return await super().embed(model, requests, priority=priority, on_done=on_done)


# For each module and not for the session: while it is open, asyncio cannot be run beside it.
@pytest.fixture(scope="module")
def chromium():
    """The browser that is installed, started once for each module."""
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip("there is no Chromium on this machine; Debian's is installed by apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Return a function that opens a tab of its own; its keywords are those of a context, such as `viewport`."""
    faults, contexts = [], []

    def note(message):
        if message.type in {"error", "warning"} and _USUAL not in message.text:
            faults.append(message.text)

    def open_page(address, **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def serve(tmp_path):
    """Return a context manager that serves the model without weights, or another embedder, and gives the address."""

    @contextlib.contextmanager
    def serve(embedder=None, **settings):
        loaded = Settings.load({}, **{"model": ("fake",), "data_dir": tmp_path / "data"} | settings)
        with serving(open_services(loaded, embedder=embedder), port=settings.get("port", 0)) as url:
            yield url

    return serve


@pytest.fixture
def make_key(tmp_path):
    """Return a function that makes a named key for the server of `serve`, and returns the key itself."""

    def make_key(name, **options):
        (tmp_path / "data").mkdir(exist_ok=True)
        database = open_database(database_of(Settings(data_dir=tmp_path / "data")))
        with contextlib.closing(database):
            _, key = KeyStore(database).create(name, **options)
        return key

    return make_key


@pytest.fixture
def held():
    """An embedder that holds batches until `held.released` is set."""
    embedder = HeldBatches()
    yield embedder
    embedder.released.set()
