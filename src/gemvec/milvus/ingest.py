"""Documents into a collection, without doing work twice: `ingest`.

It can be killed at any moment, and the next run goes on where it stopped: passages that have no row are embedded, rows
are written, and stale rows of a document are deleted only when all its new ones are there (see `work.py`).

Some documents are read, cut and written while the model works on others, so that it stays busy.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from gemvec.documents.document import BadDocument, Note
from gemvec.documents.passages import Passage, Splitter
from gemvec.documents.scope import AnyScope
from gemvec.documents.sources import Sources
from gemvec.embedding.ahead import embed_ahead
from gemvec.embedding.embed import Float32Array, Priority
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.errors import FailedPrecondition, InvalidRequest
from gemvec.milvus.collection import Collection
from gemvec.milvus.embed import TEXTS_IN_FLIGHT, TEXTS_PER_GROUP, check_vector, make_document_request
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.indexing import Indexing
from gemvec.milvus.version import CollectionVersion
from gemvec.milvus.work import Found, Work, WorkFinder

if TYPE_CHECKING:
    from gemvec.milvus.bulk import BulkImport
    from gemvec.milvus.cluster_cutter import ClusterCutter

# Passages of the first group.
_FIRST_TEXTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an ingest is; given to `on_progress` after each write.

    Attributes:
        read_bytes: bytes of the sources that have been read.
        documents: documents done, unchanged ones included.
        embedded: passages that the embedder was asked for.
        tokens: their tokens.
    """

    read_bytes: int
    documents: int
    embedded: int
    tokens: int


@dataclass(slots=True, kw_only=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        documents: documents read, bad ones left out.
        unchanged, added, changed, removed: how many documents were each of these; removed ones only with `prune`.
        embedded: passages that the embedder was asked for, including those in its cache.
        reused: passages written again with the vector they had.
        deleted: rows deleted.
        tokens: tokens of the embedded passages, as the model counted them.
        bad: documents left out, each with the reason.
        notes: what was guessed, repaired or left out in documents that were indexed.
        held_back: documents that are gone but are kept, because a bad record of the same file may be one of them.
        has_words: whether the collection can also be searched by words; not where Milvus has no BM25.
        seconds: how long it took, until everything was searchable.
    """

    documents: int = 0
    unchanged: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    embedded: int = 0
    reused: int = 0
    deleted: int = 0
    tokens: int = 0
    bad: list[BadDocument] = field(default_factory=list[BadDocument])
    notes: list[Note] = field(default_factory=list[Note])
    held_back: list[str] = field(default_factory=list[str])
    has_words: bool = True
    seconds: float = 0.0

    @property
    def has_changed(self) -> bool:
        """Whether the collection was changed."""
        return bool(self.added or self.changed or self.removed)


@dataclass(slots=True, kw_only=True)
class _Group:
    """Passages that go through model and Milvus together; a long document may have several groups.

    Attributes:
        max_texts: how many missing ones make it full.
        missing: what to embed, with the document and the key of each passage.
        finished: documents whose last missing passage is in this group.
        outdated: how many of their rows are written again with the vector they have.
        documents, read_bytes: for `Progress`.
    """

    max_texts: int
    missing: list[tuple[Work, str, Passage]] = field(default_factory=list[tuple[Work, str, Passage]])
    finished: list[Work] = field(default_factory=list[Work])
    outdated: int = 0
    documents: int = 0
    read_bytes: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it is as much as the model, or Milvus, takes at once."""
        return len(self.missing) >= self.max_texts or self.outdated >= TEXTS_PER_GROUP

    def next(self) -> _Group:
        """Return the group that comes after this one: larger, up to what the model takes at once."""
        return _Group(max_texts=min(2 * self.max_texts, TEXTS_PER_GROUP))


async def ingest(
    collection: Collection,
    embedder: Embedder,
    documents: Iterable[Found],
    *,
    fingerprint: Fingerprint | None = None,
    splitter: Splitter | None = None,
    prune: Sequence[AnyScope] = (),
    on_progress: Callable[[Progress], None] | None = None,
    texts_in_flight: int = TEXTS_IN_FLIGHT,
    cutter: ClusterCutter | None = None,
    bulk: BulkImport | None = None,
) -> IngestReport:
    """Bring a collection up to date with documents; it is made if it does not exist.

    Args:
        collection: where to write. Nobody else may write to it meanwhile.
        embedder: computes the vectors; not used when there is nothing to embed.
        documents: what to index, such as `Sources(["docs"])`; a second document with the same id is left out.
        fingerprint: which vectors are wanted; None for the collection's own, or for the embedder's first model.
        splitter: cuts documents; the default sizes when None.
        prune: delete documents of these scopes that are not in `documents` (`Sources.scopes`).
        on_progress: called after each write, from a thread.
        texts_in_flight: how many passages to give to the embedder beside those that are written next.
        cutter: reads and cuts documents elsewhere; None to do it here.
        bulk: takes new rows, so that Milvus imports them from files; None to write them.

    Returns:
        What was done; everything in the collection is searchable and its indexes are built.

    Raises:
        FingerprintMismatch: the collection holds other vectors than `fingerprint`'s, or there is something to
            embed and `embedder` does not serve the collection's model.
        FailedPrecondition: the names in the collection are relative to another root than those of `documents`.
        StorageFailure: Milvus failed. Run again to go on from there.
    """
    started = time.monotonic()
    splitter = splitter or Splitter()
    sources = documents if isinstance(documents, Sources) else None
    version = await asyncio.to_thread(_open_version, collection, embedder, fingerprint, splitter, sources)
    if bulk is not None:
        await bulk.open(version)
    finder = WorkFinder(version, splitter, cutter)
    ahead = math.ceil(texts_in_flight / TEXTS_PER_GROUP)
    run = _Ingest(version, embedder, finder, collection.name, ahead=ahead, bulk=bulk)
    await run.go(finder.find(documents), on_progress or (lambda _: None))
    if bulk is not None:
        await bulk.finish()
        await asyncio.to_thread(run.delete_postponed)
    if prune:
        await asyncio.to_thread(run.prune, prune)
    await asyncio.to_thread(version.finish)
    run.report.documents, run.report.unchanged = finder.documents, finder.unchanged
    run.report.bad, run.report.notes = finder.bad, finder.notes
    run.report.has_words = version.indexing.has_words
    run.report.seconds = time.monotonic() - started
    return run.report


def _open_version(
    collection: Collection,
    embedder: Embedder,
    fingerprint: Fingerprint | None,
    splitter: Splitter,
    sources: Sources | None,
) -> CollectionVersion:
    """Return the version to write to, made if there is none; refuse other vectors, or other names, than it has."""
    code = sources.filters.code if sources else None
    if not collection.exists():
        how = Indexing().of_run(splitter.options, str(sources.root) if sources else "", code=code)
        return collection.create(fingerprint or Fingerprint.of(embedder.list_models()[0]), how)
    version = collection.resolve()
    if fingerprint is not None:
        version.fingerprint.check(fingerprint, collection=collection.name)
    root = version.indexing.root
    if sources and sources.is_root_given:
        root = str(sources.root)
    elif sources and root and str(sources.root) != root:
        raise FailedPrecondition(
            f"Document names in collection {collection.name!r} are relative to {root}, those to be indexed to "
            f"{sources.root}. Give the same root, so that no file gets a second name."
        )
    return collection.record(version, version.indexing.of_run(splitter.options, root, code=code))


class _Ingest:
    """One run of `ingest`."""

    def __init__(
        self,
        version: CollectionVersion,
        embedder: Embedder,
        finder: WorkFinder,
        name: str,
        *,
        ahead: int,
        bulk: BulkImport | None,
    ) -> None:
        self._version = version
        self._ahead = ahead
        self._embedder = embedder
        self._finder = finder
        self._name = name
        self._bulk = bulk
        self._postponed: list[str] = []  # keys of rows to delete once the new ones are imported
        self._refused: set[Work] = set()
        self.report = IngestReport()

    @cached_property
    def _served(self) -> ServedModel:
        """The model that makes the collection's vectors; looked up only when there is something to embed."""
        return self._version.fingerprint.find_served(self._embedder, collection=self._name)

    async def go(self, works: Iterator[Work], on_progress: Callable[[Progress], None]) -> None:
        def write(group: _Group, vectors: list[Float32Array]) -> None:
            self._write(group, vectors)
            on_progress(
                Progress(
                    read_bytes=group.read_bytes,
                    documents=group.documents,
                    embedded=self.report.embedded,
                    tokens=self.report.tokens,
                )
            )

        await embed_ahead(self._group(works), self._embed, write, ahead=self._ahead)

    def _group(self, works: Iterator[Work]) -> Iterator[_Group]:
        """Yield work in groups, first small ones so that the model starts soon; runs in a thread."""
        group = _Group(max_texts=_FIRST_TEXTS)
        for work in works:
            for key, passage in work.find_missing():
                if group.is_full:
                    yield group
                    group = group.next()
                group.missing.append((work, key, passage))
            group.finished.append(work)
            group.outdated += work.outdated
            group.documents, group.read_bytes = self._finder.documents, self._finder.read_bytes
            if group.is_full:
                yield group
                group = group.next()
        group.documents, group.read_bytes = self._finder.documents, self._finder.read_bytes
        yield group

    async def _embed(self, group: _Group) -> list[Float32Array]:
        """Return the vector of each missing passage; documents that the model refuses are taken out of the group."""
        fingerprint = self._version.fingerprint
        served = await asyncio.to_thread(lambda: self._served) if group.missing else None
        while served and group.missing:
            group.missing = [item for item in group.missing if item[0] not in self._refused]
            requests = [
                make_document_request(served, fingerprint, each.text, each.title) for _, _, each in group.missing
            ]
            try:
                embeddings = await self._embedder.embed(served, requests, priority=Priority.BATCH)
            except InvalidRequest as error:
                if error.index is None:
                    raise
                self._refuse(group.missing[error.index][0], error.message)
                continue
            self.report.tokens += sum(embedding.token_count for embedding in embeddings)
            self.report.embedded += len(embeddings)
            return [check_vector(embedding.vector, fingerprint) for embedding in embeddings]
        return []

    def _refuse(self, work: Work, reason: str) -> None:
        self._refused.add(work)
        self._finder.documents -= 1
        document = work.document
        self._finder.leave_out(BadDocument(source=document.source, place=document.place, reason=reason, id=document.id))

    def _write(self, group: _Group, vectors: list[Float32Array]) -> None:
        """Write rows, then delete stale ones of finished documents; runs in a thread."""
        rows = [
            work.to_row(key, passage, vector)
            for (work, key, passage), vector in zip(group.missing, vectors, strict=True)
            if work not in self._refused
        ]
        finished = [work for work in group.finished if work not in self._refused]
        if self._bulk is not None:
            self._bulk.add(rows)
            rows = []
        outdated = ((work, *each) for work in finished for each in work.find_outdated())
        while some := list(islice(outdated, TEXTS_PER_GROUP)):
            known = self._version.vectors_of([key for _, key, _ in some])
            rows.extend(work.to_row(key, passage, known[key]) for work, key, passage in some)
            self._version.upsert(rows)
            rows = []
        self._version.upsert(rows)
        stale = [key for work in finished for key in work.stale]
        partial = [key for work in group.finished if work in self._refused for key, _ in work.find_missing()]
        if self._bulk is not None:
            self._postponed += stale + partial
        else:
            self._version.delete(stale + partial)
        self.report.reused += sum(work.outdated for work in finished)
        self.report.deleted += len(stale)
        self.report.changed += sum(bool(work.states) for work in finished)
        self.report.added += sum(not work.states for work in finished)

    def delete_postponed(self) -> None:
        self._version.delete(self._postponed)

    def prune(self, scopes: Sequence[AnyScope]) -> None:
        """Delete the documents of `scopes` that were not seen."""
        gone: dict[str, str] = {}  # key -> document id
        held_back: set[str] = set()
        more = ["metadata"] if any(scope.needs_metadata for scope in scopes) else []
        for row in self._version.scan(["key", "document_id", "source", *more]):
            source, document_id, metadata = row["source"], row["document_id"], row.get("metadata")
            if document_id in self._finder.seen or not any(scope.holds(source, metadata) for scope in scopes):
                continue
            if self._finder.is_unreadable(source):
                held_back.add(document_id)
            else:
                gone[row["key"]] = document_id
        self._version.delete(list(gone))
        self.report.deleted += len(gone)
        self.report.removed = len(set(gone.values()))
        self.report.held_back = sorted(held_back)
