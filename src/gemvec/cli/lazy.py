"""An embedder that loads its model when it is first needed: `LazyEmbedder`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence

from gemvec.embedding.embed import Embedding, EmbedRequest, Priority, TextToken
from gemvec.embedding.embedder import Embedder, OnDone, OnSized
from gemvec.embedding.models import ServedModel
from gemvec.figures import Figure


class LazyEmbedder:
    """Opens another embedder when it is first called, so that a command with nothing to embed loads no model."""

    def __init__(self, open_embedder: Callable[[], Embedder]) -> None:
        self._open = open_embedder
        self._lock = threading.Lock()
        self._opened: Embedder | None = None

    def open(self) -> Embedder:
        """Return the other embedder; open it at the first call."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def list_models(self) -> Sequence[ServedModel]:
        """See `Embedder`."""
        return self.open().list_models()

    def get_model(self, name: str) -> ServedModel:
        """See `Embedder`."""
        return self.open().get_model(name)

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """See `Embedder`."""
        opened = await asyncio.to_thread(self.open)
        return await opened.embed(model, requests, priority=priority, on_done=on_done)

    async def embed_tokens(
        self, model: ServedModel, requests: Sequence[EmbedRequest], *, on_sized: OnSized | None = None
    ) -> list[Embedding]:
        """See `Embedder`."""
        opened = await asyncio.to_thread(self.open)
        return await opened.embed_tokens(model, requests, on_sized=on_sized)

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """See `Embedder`."""
        opened = await asyncio.to_thread(self.open)
        return await opened.tokenize(model, requests)

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:
        """See `Embedder`."""
        opened = await asyncio.to_thread(self.open)
        return await opened.count_tokens(model, texts)

    async def list_tokens(
        self, model: ServedModel, texts: Sequence[str], *, special_tokens: bool = True
    ) -> list[list[TextToken]]:
        """See `Embedder`."""
        opened = await asyncio.to_thread(self.open)
        return await opened.list_tokens(model, texts, special_tokens=special_tokens)

    async def decode(self, model: ServedModel, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """See `Embedder`."""
        opened = await asyncio.to_thread(self.open)
        return await opened.decode(model, token_ids)

    def figures(self) -> Iterable[Figure]:
        """See `Embedder`."""
        return self._opened.figures() if self._opened is not None else ()

    async def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            await self._opened.close()
