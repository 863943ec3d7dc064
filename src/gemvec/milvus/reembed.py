"""A collection moved to another model while it is being searched: `reembed`.

Another version is built beside the one that readers use. The alias moves only when the new version is complete and its
indexes are built; Milvus moves it atomically. A reader resolves the alias once for each query, so no answer mixes two
models. After a run was killed, the next run goes on: rows that are already there are not embedded again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gemvec.documents.passages import join_title
from gemvec.embedding.ahead import embed_ahead
from gemvec.embedding.embed import Float32Array, Priority
from gemvec.embedding.embedder import Embedder
from gemvec.errors import FailedPrecondition, TextNotComputed
from gemvec.milvus.collection import Collection
from gemvec.milvus.embed import TEXTS_IN_FLIGHT, TEXTS_PER_GROUP, check_vector, make_document_request
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.schema import ROW_FIELDS, Row
from gemvec.milvus.version import CollectionVersion

_StoredRow = dict[str, Any]
# Every field but the vector, which is what changes.
_FIELDS = [name for name in ROW_FIELDS if name != "vector"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReembedReport:
    """What `reembed` did.

    Attributes:
        old, new: fingerprints before and after; equal when there was nothing to do.
        rows: rows of the collection.
        embedded: rows that the embedder was asked for, including those in its cache; fewer than `rows` when an earlier
            run had begun.
        kept: names of Milvus collections with other models' vectors that are still there.
        seconds: how long it took.
    """

    old: Fingerprint
    new: Fingerprint
    rows: int
    embedded: int
    kept: list[str]
    seconds: float


async def reembed(
    collection: Collection,
    embedder: Embedder,
    fingerprint: Fingerprint,
    *,
    drop_old: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    texts_in_flight: int = TEXTS_IN_FLIGHT,
) -> ReembedReport:
    """Move a collection to the vectors of `fingerprint`.

    The passages stay the same. Rows that are written while it runs are included if they come before the last
    comparison; it is better if nobody writes.

    Args:
        collection: what to move; readers go on using it throughout.
        embedder: serves the new model.
        fingerprint: the vectors wanted, `Fingerprint.of(embedder.get_model("..."))`.
        drop_old: delete versions of other models at the end; otherwise they are kept.
        on_progress: called from a thread with the rows done and the number of all rows.
        texts_in_flight: how many passages to give to the embedder beside those that are written next.

    Raises:
        CollectionNotFound: there is nothing to move.
        FingerprintMismatch: `embedder` does not serve the new model.
        FailedPrecondition: a passage cannot be embedded; readers go on with the old vectors.
    """
    started = time.monotonic()
    source = await asyncio.to_thread(collection.resolve)
    embedded = 0
    if source.fingerprint.digest != fingerprint.digest:
        target = await asyncio.to_thread(collection.create_beside, fingerprint, source.indexing)
        ahead = math.ceil(texts_in_flight / TEXTS_PER_GROUP)
        move = _Move(
            source, target, embedder, collection.name, on_progress or (lambda _done, _total: None), ahead=ahead
        )
        while await move.copy():
            embedded = move.embedded
        await asyncio.to_thread(target.finish)
        await asyncio.to_thread(collection.switch, target)
    kept = await asyncio.to_thread(_drop_others if drop_old else _list_others, collection)
    current = await asyncio.to_thread(collection.resolve)
    return ReembedReport(
        old=source.fingerprint,
        new=current.fingerprint,
        rows=await asyncio.to_thread(current.count),
        embedded=embedded,
        kept=kept,
        seconds=time.monotonic() - started,
    )


def _list_others(collection: Collection) -> list[str]:
    return [version.name for version in collection.list_others()]


def _drop_others(collection: Collection) -> list[str]:
    for version in collection.list_others():
        collection.drop(version)
    return []


class _Move:
    """Brings the rows of one version into another."""

    def __init__(
        self,
        source: CollectionVersion,
        target: CollectionVersion,
        embedder: Embedder,
        name: str,
        on_progress: Callable[[int, int], None],
        *,
        ahead: int,
    ) -> None:
        self._ahead = ahead
        self._source = source
        self._target = target
        self._embedder = embedder
        self._served = target.fingerprint.find_served(embedder, collection=name)
        self._on_progress = on_progress
        self._total = source.count()
        self._done = 0
        self.embedded = 0

    async def copy(self) -> bool:
        """Bring over what is missing or differs, delete what is gone; return whether there was anything."""
        before = self.embedded
        hashes = await asyncio.to_thread(self._read_hashes, self._target)
        await embed_ahead(self._group(hashes), self._embed, self._write, ahead=self._ahead)
        gone = hashes.keys() - (await asyncio.to_thread(self._read_hashes, self._source)).keys()
        await asyncio.to_thread(self._target.delete, sorted(gone))
        return self.embedded > before or bool(gone)

    def _read_hashes(self, version: CollectionVersion) -> dict[str, str]:
        return {row["key"]: row["document_hash"] for row in version.scan(["key", "document_hash"])}

    def _group(self, hashes: dict[str, str]) -> Iterator[list[_StoredRow]]:
        """Yield rows that the target does not have in groups; runs in a thread."""
        group = list[_StoredRow]()
        self._done = 0
        for row in self._source.scan(_FIELDS):
            if hashes.get(row["key"]) == row["document_hash"]:
                self._done += 1
                continue
            group.append({name: row[name] for name in _FIELDS})
            if len(group) == TEXTS_PER_GROUP:
                yield group
                group = []
        if group:
            yield group

    async def _embed(self, group: list[_StoredRow]) -> list[Float32Array]:
        fingerprint = self._target.fingerprint
        requests = [
            make_document_request(
                self._served, fingerprint, row["text"], join_title(row["title"], row["heading"], row["text"])
            )
            for row in group
        ]
        try:
            embeddings = await self._embedder.embed(self._served, requests, priority=Priority.BATCH)
        except TextNotComputed as error:
            where = f"A passage of {group[error.index]['source']}" if error.index is not None else "A passage"
            raise FailedPrecondition(f"{where} cannot be embedded: {error.reason}. Nothing was switched.") from error
        self.embedded += len(embeddings)
        return [check_vector(embedding.vector, fingerprint) for embedding in embeddings]

    def _write(self, group: list[_StoredRow], vectors: list[Float32Array]) -> None:
        self._target.upsert([Row(**row, vector=vector) for row, vector in zip(group, vectors, strict=True)])
        self._done += len(group)
        self._on_progress(self._done, self._total)
