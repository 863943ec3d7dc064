"""The rows of one collection in Milvus: read, written, deleted, made searchable."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Any, cast

from gemvec.embedding.embed import Float32Array
from gemvec.errors import StorageFailure
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.indexing import Indexing
from gemvec.milvus.lite import LiteClient
from gemvec.milvus.schema import ROW_FIELDS, Row, RowState
from gemvec.milvus.words import index_words

# A server takes at most 64 MB in a call; smaller calls keep an ingest steady.
MAX_CALL_BYTES = 8 * 2**20
# Rows that Milvus Lite has not put into a file yet are in memory; where its own engine writes them, each number becomes
# a Python object when it does so, about eight times the bytes of a vector. Its own limit of 128 MiB would make that a
# gigabyte. Half of this limit would save 35 MiB, and make more files, each of which weighs words by itself in BM25.
LITE_SEAL_BYTES = 32 * 2**20
# Ids named in one filter expression.
_IDS_PER_FILTER = 1_000
# Rows fetched at once by a scan, with texts and without. Milvus Lite goes through all rows for each fetch; a server
# answers with at most 16,384 rows.
_ROWS_PER_SCAN, _STATES_PER_SCAN = 4_000, 16_000
_INDEX_POLL_SECONDS = 0.02
_STATE_FIELDS = tuple(each.name for each in fields(RowState))


@dataclass(slots=True)
class _Unsealed:
    """Bytes of rows written since rows were last put into a file."""

    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionVersion:
    """One collection as Milvus knows it. All vectors of a version have one fingerprint.

    Methods wait for Milvus; call them in a thread from async code. One writer at a time.

    Attributes:
        client: the `pymilvus.MilvusClient`, or a `LiteClient`, which becomes one.
        name: the collection's own name, not its alias.
        fingerprint: what its vectors are.
        indexing: how its documents are named and cut.
        seal_bytes: put rows into a file after this many bytes of them; 0 to leave it to Milvus.
        flush_lock: held while rows are put into a file, and to be held by a search; see `flush_lock`.
    """

    client: Any
    name: str
    fingerprint: Fingerprint
    indexing: Indexing
    seal_bytes: int = 0
    flush_lock: AbstractContextManager[object] = field(default_factory=nullcontext, compare=False, repr=False)
    _unsealed: _Unsealed = field(default_factory=_Unsealed, compare=False, repr=False)

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write rows, in calls of bounded size; a row with a known key is replaced."""
        for group in _bounded(rows):
            call_milvus(self.client.upsert, self.name, [self.to_entity(row) for row in group])
            self._unsealed.size_bytes += sum(row.size_bytes for row in group)
            if 0 < self.seal_bytes <= self._unsealed.size_bytes:
                self._flush()

    @property
    def row_fields(self) -> tuple[str, ...]:
        """The fields of `Row` that are stored."""
        return tuple(name for name in ROW_FIELDS if name != "words" or self.indexing.has_words)

    def to_entity(self, row: Row) -> dict[str, Any]:
        """Return a row as it is stored."""
        entity = row.to_entity()
        return {name: entity[name] for name in self.row_fields}

    def delete(self, keys: Sequence[str]) -> None:
        """Delete rows by key."""
        for start in range(0, len(keys), _IDS_PER_FILTER):
            call_milvus(self.client.delete, self.name, ids=list(keys[start : start + _IDS_PER_FILTER]))

    def states_of(self, document_ids: Sequence[str]) -> Iterator[RowState]:
        """Yield the state of every row of the given documents."""
        if isinstance(self.client, LiteClient):
            yield from map(_to_state, self._select(_STATE_FIELDS, "document_id", document_ids))
            return
        for start in range(0, len(document_ids), _IDS_PER_FILTER):
            wanted = f"document_id in {format_list(document_ids[start : start + _IDS_PER_FILTER])}"
            rows = call_milvus(self.client.query, self.name, filter=wanted, output_fields=list(_STATE_FIELDS))
            yield from map(_to_state, rows)

    def states(self) -> Iterator[RowState]:
        """Yield the state of every row; for many documents, this is half the work of asking for each."""
        for group in self.scan_groups(_STATE_FIELDS, _STATES_PER_SCAN):
            yield from map(_to_state, group)

    def vectors_of(self, keys: Sequence[str]) -> dict[str, Float32Array]:
        """Return the stored vectors, float32[dimensionality] each, by key."""
        import numpy as np

        found: dict[str, Float32Array] = {}
        for start in range(0, len(keys), _IDS_PER_FILTER):
            some, fields = list(keys[start : start + _IDS_PER_FILTER]), ["key", "vector"]
            if isinstance(self.client, LiteClient):
                rows = self._select(fields, "key", some)
            else:
                rows = call_milvus(self.client.get, self.name, ids=some, output_fields=fields)
            found.update({row["key"]: np.asarray(row["vector"], dtype=np.float32) for row in rows})
        return found

    def find_keys(self, keys: Sequence[str]) -> set[str]:
        """Return those keys that have a row."""
        found = set[str]()
        for start in range(0, len(keys), _IDS_PER_FILTER):
            some = list(keys[start : start + _IDS_PER_FILTER])
            rows = call_milvus(self.client.get, self.name, ids=some, output_fields=["key"])
            found.update(row["key"] for row in rows)
        return found

    def scan(self, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield `fields` of every row, in no particular order."""
        return chain.from_iterable(self.scan_groups(fields, _ROWS_PER_SCAN))

    def scan_groups(self, fields: Sequence[str], rows_per_group: int) -> Iterator[list[dict[str, Any]]]:
        """Yield `fields` of every row like `scan`, in groups of limited size."""
        must_make_words = "words" in fields and not self.indexing.has_words
        stored = [name for name in fields if name != "words" or not must_make_words]
        wanted = {*stored, "title", "heading", "text"} if must_make_words else stored
        rows = call_milvus(self.client.query_iterator, self.name, batch_size=rows_per_group, output_fields=list(wanted))
        try:
            while group := call_milvus(rows.next):
                found = list(cast("Iterable[dict[str, Any]]", group))
                yield [_with_words(row) for row in found] if must_make_words else found
        finally:
            rows.close()

    def count(self) -> int:
        """Return the number of rows."""
        if isinstance(self.client, LiteClient):
            return self.client.count(self.name)
        rows = call_milvus(self.client.query, self.name, filter="", output_fields=["count(*)"])
        return int(rows[0]["count(*)"])

    def finish(self, *, timeout_seconds: float = 600.0) -> None:
        """Make what was written durable, and wait until its indexes are built, so that searches are fast.

        Args:
            timeout_seconds: how long to wait while no further row gets into an index.

        Raises:
            StorageFailure: the indexes do not grow for so long.
        """
        self._flush()
        if isinstance(self.client, LiteClient):
            self.client.finish(self.name)
            return
        deadline, most = time.monotonic() + timeout_seconds, -1
        while not all(map(_is_built, indexes := self._indexes())):
            indexed = sum(map(_indexed_rows, indexes))
            if indexed > most:
                deadline, most = time.monotonic() + timeout_seconds, indexed
            if time.monotonic() > deadline:
                late = next(index for index in indexes if not _is_built(index))
                raise StorageFailure(
                    f"Milvus has not built index {late['index_name']!r}: it has had {_indexed_rows(late)} of "
                    f"{_total_rows(late)} rows for {timeout_seconds:g} s. All rows are stored; searches are slow until "
                    f"it is built."
                )
            time.sleep(_INDEX_POLL_SECONDS)

    def _flush(self) -> None:
        with self.flush_lock:
            call_milvus(self.client.flush, self.name)
        self._unsealed.size_bytes = 0

    def _select(self, fields: Sequence[str], column: str, values: Sequence[str]) -> Iterator[dict[str, Any]]:
        return cast("LiteClient", self.client).select(self.name, fields, column=column, values=values)

    def _indexes(self) -> list[dict[str, Any]]:
        names = cast("list[str]", call_milvus(self.client.list_indexes, self.name))
        return [call_milvus(self.client.describe_index, self.name, index) for index in names]


def _to_state(row: dict[str, Any]) -> RowState:
    return RowState(**{name: row[name] for name in _STATE_FIELDS})


def _with_words(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"words": index_words(row["title"], row["heading"], row["text"])}


def format_list(values: Iterable[str]) -> str:
    """Return strings as a list literal of Milvus' filter language, which has JSON's escapes except escapes by code."""
    return json.dumps(list(values), ensure_ascii=False)


def _bounded(rows: Sequence[Row]) -> Iterator[list[Row]]:
    group, size = list[Row](), 0
    for row in rows:
        if group and size + row.size_bytes > MAX_CALL_BYTES:
            yield group
            group, size = [], 0
        group.append(row)
        size += row.size_bytes
    if group:
        yield group


def _is_built(index: dict[str, Any]) -> bool:
    if index.get("state", "Finished") != "Finished":
        return False
    # While a server merges segments, the new ones have no index yet and count as pending. Until they have, searches use
    # the old ones, whose rows count as indexed.
    return _indexed_rows(index) >= _total_rows(index) or int(index.get("pending_index_rows") or 0) == 0


def _indexed_rows(index: dict[str, Any]) -> int:
    return int(index.get("indexed_rows") or 0)


def _total_rows(index: dict[str, Any]) -> int:
    return int(index.get("total_rows") or 0)
