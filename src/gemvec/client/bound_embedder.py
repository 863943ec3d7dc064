"""An embedder bound to one model: `BoundEmbedder`. How to call it is decided once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gemvec.client.in_process import embed_in_process, open_in_process
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.target import Target, open_remote
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.embedder import Embedder, OnDone
from gemvec.models.progress import Progress
from gemvec.wire.names import parse_model_name

if TYPE_CHECKING:
    from gemvec.cache import EmbeddingCache


class EmbedAll(Protocol):
    """Embeds any number of texts with one model."""

    async def __call__(self, requests: Sequence[EmbedRequest], *, on_done: OnDone) -> list[Embedding]:
        """Return one embedding per request, in the same order; `on_done` is called with them as they arrive."""
        ...


@dataclass(frozen=True, slots=True)
class BoundEmbedder:
    """An open embedder, bound to one model.

    Attributes:
        embedder: computes the vectors.
        embed: embeds any number of texts with the model.
    """

    embedder: Embedder
    embed: EmbedAll

    async def close(self) -> None:
        """Close the embedder."""
        await self.embedder.close()


def open_bound_embedder(
    target: Target,
    model: str,
    *,
    cache: bool | str | Path | EmbeddingCache,
    retries: RetryPolicy,
    max_concurrency: int,
    progress: Progress | None = None,
) -> BoundEmbedder:
    """Open an embedder for `model` at `target`.

    Args:
        target: where to embed.
        model: the name, as the caller gave it.
        cache: which cache to use, as in `GeminiEmbeddingFunction`.
        retries: how long to keep trying.
        max_concurrency: most calls at the same time.
        progress: called with the progress of fetching an in-process model's weights.
    """
    if target.is_local:
        embedder = _with_cache(open_in_process(model, progress=progress), cache, base_url=None)
        return BoundEmbedder(embedder, partial(embed_in_process, embedder, model))
    remote = open_remote(target, retries=retries, max_concurrency=max_concurrency)
    if cache is False:
        return BoundEmbedder(remote, partial(remote.ask, model))
    embedder = _with_cache(remote, cache, base_url=target.base_url)
    return BoundEmbedder(embedder, partial(_embed_by_name, embedder, parse_model_name(model)))


def _with_cache(embedder: Embedder, cache: bool | str | Path | EmbeddingCache, *, base_url: str | None) -> Embedder:
    if cache is False:
        return embedder
    from gemvec.cache import with_own_cache  # sqlite3 loads only then

    return with_own_cache(embedder, cache, base_url=base_url)


async def _embed_by_name(
    embedder: Embedder, name: str, requests: Sequence[EmbedRequest], *, on_done: OnDone
) -> list[Embedding]:
    """Embed through a cache, whose keys contain the weights, so the server may have to be asked for them."""
    model = await asyncio.to_thread(embedder.get_model, name)  # may ask the server: not in the event loop
    return await embedder.embed(model, requests, on_done=on_done)
