"""A cache around any embedder: a text that was embedded before is not embedded again.

`CachedEmbedder` is itself an `Embedder` and wraps another one. An embedding is found again only if everything that made
it is the same: source, model, weights, task type, title, dimensionality, truncation and text.
"""

from __future__ import annotations

import asyncio
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import structs

from gemvec.cache.file import EmbeddingCache
from gemvec.cache.key import make_keys
from gemvec.cache.table import keep_private
from gemvec.embedding.embed import Embedding, EmbedRequest, Priority
from gemvec.embedding.embedder import Embedder, OnDone, WrapperEmbedder
from gemvec.embedding.models import ServedModel
from gemvec.embedding.positions import at_positions
from gemvec.errors import ApiError, InvalidRequest
from gemvec.figures import Figure
from gemvec.settings import Settings

# What is computed is kept after this many texts at the latest: an interrupted or failing call repeats no more of them.
# Few enough that a model in this process takes them at once, even if each is long.
_TEXTS_AT_ONCE = 1024
# How often a call is tried again when the server changes its weights meanwhile; after that, the cache is not used.
_TRIES = 3
# Looking up more texts than this would hold up the event loop, so a thread does it.
_INLINE_LOOKUPS = 32


def cache_path(settings: Settings) -> Path:
    """Return where the cache of embeddings is."""
    return settings.cache_dir / "embeddings.sqlite3"


def open_cache(settings: Settings) -> EmbeddingCache:
    """Return the cache of embeddings; its file is made when it is first used.

    Its folder is for its owner alone, also if it existed before.
    """
    with suppress(OSError):  # it is not there yet, or cannot be used; then the cache says so
        if not settings.cache_dir.stat().st_mode & stat.S_ISVTX:  # everybody may write there by design, as in /tmp
            keep_private(settings.cache_dir, 0o700)
    return EmbeddingCache(cache_path(settings), max_bytes=settings.embedding_cache_bytes)


def with_own_cache(
    embedder: Embedder, cache: Literal[True] | str | Path | EmbeddingCache, *, base_url: str | None
) -> Embedder:
    """Return `embedder` with the cache that a caller names.

    Args:
        embedder: computes what is not in the cache.
        cache: True for the one that the command line uses, a path for another file.
        base_url: where the embedder asks; None when it computes in this process.
    """
    settings = Settings.load()
    if cache is True:
        cache = open_cache(settings)
    elif not isinstance(cache, EmbeddingCache):
        cache = EmbeddingCache(Path(cache), max_bytes=settings.embedding_cache_bytes)
    return CachedEmbedder(embedder, cache, source=base_url or local_source(settings))


def local_source(settings: Settings) -> str:
    """Return what decides the vectors of the model in this process, besides its weights."""
    return f"local precision={settings.precision} long_text={settings.long_text}"


def with_cache(embedder: Embedder, settings: Settings, *, source: str) -> Embedder:
    """Return `embedder` with the cache of `settings`, or without one when `embedding_cache_bytes` is 0.

    Args:
        embedder: computes what is not in the cache.
        settings: say where the cache is and how large it may grow.
        source: see `CachedEmbedder`.
    """
    if not settings.embedding_cache_bytes:
        return embedder
    return CachedEmbedder(embedder, open_cache(settings), source=source)


@dataclass(frozen=True, slots=True)
class _Flight:
    """An embedding that some call is waiting for: its result, or None when that call failed."""

    result: asyncio.Future[Embedding | None]
    priority: Priority


@dataclass(frozen=True, slots=True)
class _Call:
    """What one call asks for, and how often it contains each key."""

    model: ServedModel
    requests: Sequence[EmbedRequest]
    priority: Priority
    on_done: OnDone | None
    times: Mapping[bytes, int]

    def tell(self, some: Mapping[bytes, Embedding]) -> None:
        if some and self.on_done is not None:
            self.on_done([embedding for key, embedding in some.items() for _ in range(self.times[key])])


class _WeightsChanged(Exception):  # caught here, an event and no error
    """The server answered with weights that differ from those of the keys."""


class CachedEmbedder(WrapperEmbedder):
    """An embedder that computes only what is not in its cache.

    Equal texts are computed once, within a call and among calls at the same time; an interactive call does not wait for
    a computation of lower priority. Like every embedder it belongs to one event loop.

    Args:
        embedder: computes what is missing; closed with this one.
        cache: keeps what was computed; closed with this one, and opens again if it is shared.
        source: where the vectors come from: the base URL of a remote service, or `local_source(settings)`.
    """

    def __init__(self, embedder: Embedder, cache: EmbeddingCache, *, source: str) -> None:
        super().__init__(embedder)
        self.cache = cache
        self._source = source.encode()
        self._flights: dict[bytes, _Flight] = {}

    def figures(self) -> Iterable[Figure]:
        """Return the figures of the embedder and the cache."""
        yield from self.embedder.figures()
        stats = self.cache.stats()
        yield Figure(name="cache_hits", summary="Texts answered from the cache.", value=stats.hits, is_total=True)
        yield Figure(name="cache_misses", summary="Texts that had to be computed.", value=stats.misses, is_total=True)
        yield Figure(name="cache_entries", summary="Embeddings in the cache.", value=stats.entries)
        yield Figure(name="cache_bytes", summary="Their size on disk.", value=stats.used_bytes)

    async def close(self) -> None:
        """Write what waits to be written, and close embedder and cache."""
        try:
            await self.embedder.close()
        finally:
            await asyncio.to_thread(self.cache.close)

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """Embed texts, those in the cache without computing.

        Args:
            model: what `get_model` returned.
            requests: what to embed; any number, each with its own options.
            priority: whether somebody waits for the answer.
            on_done: called with embeddings as they are found or computed, in any order.

        Returns:
            One embedding per request, in the same order.

        Raises:
            InvalidRequest: a request cannot be embedded as asked; `index` says which.
            GemvecError: other errors of the embedder.
        """
        for _ in range(_TRIES):
            try:
                return await self._embed(model, requests, priority, on_done)
            except _WeightsChanged:
                model = await self._describe(model)
        return await self.embedder.embed(model, requests, priority=priority, on_done=on_done)

    async def _describe(self, model: ServedModel) -> ServedModel:
        """Return what serves the model's name now; a remote embedder may ask its server, which takes a thread."""
        return await asyncio.to_thread(self.embedder.get_model, model.name)

    async def _embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        priority: Priority,
        on_done: OnDone | None,
    ) -> list[Embedding]:
        keys = make_keys(self._source, model, requests)
        call = _Call(model, requests, priority, on_done, Counter(keys))
        missing: dict[bytes, int] = {}  # key -> position of the first request that has it
        for position, key in enumerate(keys):
            missing.setdefault(key, position)
        found = await self._look_up(model, list(missing))
        self._count(keys, found)
        call.tell(found)
        for key in found:
            del missing[key]
        while missing:
            flights = self._find_flights(missing, priority)
            own = {key: position for key, position in missing.items() if key not in flights}
            found |= await self._compute(call, own)
            waited_for = await _wait_for(flights)
            call.tell(waited_for)
            found |= waited_for
            # What another call failed to compute, this call computes.
            missing = {key: position for key, position in missing.items() if key not in found}
        return _spread(keys, found)

    async def _look_up(self, model: ServedModel, keys: Sequence[bytes]) -> dict[bytes, Embedding]:
        is_quick = len(keys) <= _INLINE_LOOKUPS
        found = self.cache.get(keys) if is_quick else await asyncio.to_thread(self.cache.get, keys)
        # A row has the tokens that its text had before any cut.
        return {
            key: Embedding.of(each.vector, each.token_count, model.input_token_limit) for key, each in found.items()
        }

    def _count(self, keys: Sequence[bytes], found: Mapping[bytes, Embedding]) -> None:
        hits = [key for key in keys if key in found]
        tokens = sum(found[key].token_count for key in hits)
        self.cache.count(hits=len(hits), misses=len(keys) - len(hits), tokens_saved=tokens)

    def _find_flights(self, keys: Iterable[bytes], priority: Priority) -> dict[bytes, _Flight]:
        flights = {key: flight for key in keys if (flight := self._flights.get(key))}
        return {key: flight for key, flight in flights.items() if flight.priority <= priority}

    async def _compute(self, call: _Call, missing: Mapping[bytes, int]) -> dict[bytes, Embedding]:
        """Embed the requests at the positions `missing`, keep the embeddings, and tell the calls that wait for them."""
        loop = asyncio.get_running_loop()
        flights = {key: _Flight(loop.create_future(), call.priority) for key in missing}
        self._flights.update(flights)
        computed: dict[bytes, Embedding] = {}
        keys = list(missing)
        try:
            for start in range(0, len(keys), _TEXTS_AT_ONCE):
                some = keys[start : start + _TEXTS_AT_ONCE]
                positions = [missing[key] for key in some]
                embeddings = await self._compute_some(call, positions)
                if (await self._describe(call.model)).weights != call.model.weights:
                    raise _WeightsChanged
                embedded = dict(zip(some, embeddings, strict=True))
                self.cache.put(embedded)
                computed |= embedded
                call.tell(embedded)
        finally:
            for key, flight in flights.items():
                flight.result.set_result(computed.get(key))
                if self._flights.get(key) is flight:
                    del self._flights[key]
        return computed

    async def _compute_some(self, call: _Call, positions: Sequence[int]) -> list[Embedding]:
        some = [call.requests[each] for each in positions]
        try:
            return await self.embedder.embed(call.model, some, priority=call.priority)
        except (InvalidRequest, ApiError) as error:
            raise at_positions(error, positions) from error


async def _wait_for(flights: Mapping[bytes, _Flight]) -> dict[bytes, Embedding]:
    if flights:
        # `wait`, because a cancelled waiter must not cancel the result that others wait for.
        await asyncio.wait({flight.result for flight in flights.values()})
    results = {key: flight.result.result() for key, flight in flights.items()}
    return {key: _copy(embedding) for key, embedding in results.items() if embedding is not None}


def _spread(keys: Sequence[bytes], found: Mapping[bytes, Embedding]) -> list[Embedding]:
    """Return the embedding of each key; equal texts get separate vectors, which a caller may change."""
    seen: set[bytes] = set()
    embeddings: list[Embedding] = []
    for key in keys:
        each = found[key]
        embeddings.append(_copy(each) if key in seen else each)
        seen.add(key)
    return embeddings


def _copy(embedding: Embedding) -> Embedding:
    return structs.replace(embedding, vector=embedding.vector.copy())
