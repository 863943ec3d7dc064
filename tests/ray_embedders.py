"""Embedders that actors open, with what goes wrong on nodes."""

import asyncio
import errno
import os
import signal

from counting_embedder import CountingEmbedder
from gemvec.embedding.embedder import WrapperEmbedder
from gemvec.ray.node import open_models
from hash_embedder import HashEmbedder


class MortalEmbedder(HashEmbedder):
    """Dies as by the kernel's hand when it meets the text "poison"."""

    async def embed(self, model, requests, **options):
        if any(request.text == "poison" for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().embed(model, requests, **options)


class StuckEmbedder(HashEmbedder):
    """Never answers for texts that begin with "stuck"."""

    async def embed(self, model, requests, **options):
        if any(request.text.startswith("stuck") for request in requests):
            await asyncio.Event().wait()
        return await super().embed(model, requests, **options)


def open_after(path):
    """Fail until there is a file."""
    if not path.exists():
        raise ModuleNotFoundError(name="engine")
    return HashEmbedder()


def open_unless_first(path):
    """Fail where it is opened for the first time."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return CountingEmbedder()
    raise ModuleNotFoundError(name="engine")


def open_none():
    """Fail as a node without the model's packages does."""
    raise ModuleNotFoundError(name="engine")


class SlowEmbedder(CountingEmbedder):
    """Takes a while for each call."""

    def __init__(self, delay_seconds):
        super().__init__()
        self.delay_seconds = delay_seconds

    async def embed(self, model, requests, **options):
        await asyncio.sleep(self.delay_seconds)
        return await super().embed(model, requests, **options)


class FaultyEmbedder(WrapperEmbedder):
    """Dies of texts with "poison", always fails on those with "broken", and once on those with "hiccup"."""

    def __init__(self, embedder, folder):
        super().__init__(embedder)
        self.folder = folder

    async def embed(self, model, requests, **options):
        texts = " ".join(request.text for request in requests)
        if "poison" in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        if "broken" in texts:
            raise ValueError
        if "hiccup" in texts and not (self.folder / "hiccup").exists():
            (self.folder / "hiccup").touch()
            raise OSError(errno.EIO, "Input/output error")
        return await super().embed(model, requests, **options)


def open_faulty(folder, settings):
    """Open what `settings` name, with faults."""
    return FaultyEmbedder(open_models(settings), folder)
