"""One SQLite file that keeps embeddings by the hash of what made them: `EmbeddingCache`.

It is a cache: if anything goes wrong with the file, the caller sees a miss and a warning is logged, never an error.
Several processes may use one file at the same time. New rows are visible at once in this process and are written in the
background by one thread, many in one transaction. The file is bounded: the rows unused for the longest go first.

This module does not know how a key is made (`key.py` does) or what an embedder is.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gemvec.cache.table import (
    CacheConnection,
    Row,
    clear_rows,
    count_rows,
    count_used_bytes,
    decode_row,
    encode_row,
    evict_rows,
    read_counters,
    select_rows,
    store_rows,
    today,
)
from gemvec.embedding.embed import Embedding

T = TypeVar("T")

_KEYS_PER_QUERY = 500
_MAX_WAITING_BYTES = 64 * 2**20  # if the disk is slower than the model, embeddings beyond this are not cached
_GATHER_SECONDS = 0.05  # the writer waits this long for more rows: one transaction instead of many

# Connections from before a fork; closing them here would drop the parent's locks.
_abandoned: list[Any] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache holds, and how often it was used.

    Attributes:
        path: the file.
        entries: embeddings in it.
        used_bytes: what they take in the file.
        file_bytes: size of the file and its write-ahead log.
        max_bytes: the bound on `used_bytes`.
        hits: texts answered from the cache since it was made.
        misses: texts that had to be computed.
        tokens_saved: tokens of the texts answered from the cache.
    """

    path: str
    entries: int
    used_bytes: int
    file_bytes: int
    max_bytes: int
    hits: int
    misses: int
    tokens_saved: int


@dataclass(slots=True)
class _Work:
    """What the writer thread has to write next."""

    rows: dict[bytes, Row] = field(default_factory=dict[bytes, Row])
    touched: set[bytes] = field(default_factory=set[bytes])
    counters: dict[str, int] = field(default_factory=dict[str, int])
    size: int = 0  # bytes of the rows' vectors

    def __bool__(self) -> bool:
        return bool(self.rows or self.touched or self.counters)

    def add(self, rows: Mapping[bytes, Row], touched: set[bytes], counters: Mapping[str, int]) -> None:
        size = sum(len(row[1]) for row in rows.values())
        if self.size + size <= _MAX_WAITING_BYTES:
            self.rows.update(rows)
            self.size += size
        self.touched |= touched
        for name, amount in counters.items():
            self.counters[name] = self.counters.get(name, 0) + amount

    def store(self, connection: sqlite3.Connection) -> None:
        store_rows(connection, self.rows.values(), self.touched, self.counters.items())


class EmbeddingCache:
    """Embeddings by key in one SQLite file.

    Safe to use from several threads and processes and after a fork; a pickle of it names the file. `close` writes what
    waits and closes the file; a closed cache opens again by itself.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._start()

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(EmbeddingCache, max_bytes=self.max_bytes), (self.path,)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Condition()
        self._waiting = _Work()
        self._in_writing = _Work()
        self._writes_begun = self._writes_done = 0
        self._writing: Future[None] | None = None
        self._hurry = threading.Event()
        self._executor: ThreadPoolExecutor | None = None
        self._reader = CacheConnection(self.path)
        self._writer = CacheConnection(self.path)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Embedding]:
        """Return the embeddings that are there; the answer has no entry for the others."""
        self._notice_fork()
        rows: dict[bytes, Row] = {}
        with self._lock:
            for key in keys:
                if row := self._waiting.rows.get(key) or self._in_writing.rows.get(key):
                    rows[key] = row
        wanted = [key for key in keys if key not in rows]
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            some = wanted[start : start + _KEYS_PER_QUERY]
            rows |= self._read(lambda connection, some=some: select_rows(connection, some)) or {}
        day = today()
        self._write_behind(touched={key for key, row in rows.items() if row[5] < day})
        return {key: decode_row(row) for key, row in rows.items()}

    def put(self, embeddings: Mapping[bytes, Embedding]) -> None:
        """Keep embeddings; those that hold a NaN or an infinity are not kept."""
        self._notice_fork()
        rows = {key: encode_row(key, each) for key, each in embeddings.items() if np.isfinite(each.vector).all()}
        self._write_behind(rows=rows)

    def count(self, **amounts: int) -> None:
        """Add to the counters `hits`, `misses` and `tokens_saved`."""
        self._notice_fork()
        self._write_behind(counters={name: amount for name, amount in amounts.items() if amount})

    def stats(self) -> CacheStats:
        """Return what the file holds now, including what waited to be written; a missing file is not made."""
        self.flush()
        counters = self._read(read_counters) or {}
        return CacheStats(
            path=str(self.path),
            entries=self._read(count_rows) or 0,
            used_bytes=self._read(count_used_bytes) or 0,
            file_bytes=_size(self.path) + _size(Path(f"{self.path}-wal")),
            max_bytes=self.max_bytes,
            hits=counters.get("hits", 0),
            misses=counters.get("misses", 0),
            tokens_saved=counters.get("tokens_saved", 0),
        )

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        return self._reader.run(work) if _size(self.path) else None

    def clear(self) -> int:
        """Drop every embedding and counter, give the space back, and return how many embeddings there were."""
        self.flush()
        return (self._writer.run(clear_rows) or 0) if _size(self.path) else 0

    def flush(self) -> None:
        """Write now what waits to be written; what is put meanwhile may still wait."""
        self._notice_fork()
        with self._lock:
            last = self._writes_begun + bool(self._waiting)
            self._hurry.set()
            self._lock.wait_for(lambda: self._writes_done >= last or self._writing is None)

    def close(self) -> None:
        """Write what waits to be written and close the file."""
        self.flush()
        with self._lock:
            executor, self._executor = self._executor, None
            self._hurry.set()
        if executor is not None:
            executor.shutdown()
        self._reader.close()
        self._writer.close()

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():
            _abandoned.extend((self._reader, self._writer, self._executor))
            self._start()

    def _write_behind(
        self,
        *,
        rows: Mapping[bytes, Row] | None = None,
        touched: set[bytes] | None = None,
        counters: Mapping[str, int] | None = None,
    ) -> None:
        with self._lock:
            self._waiting.add(rows or {}, touched or set(), counters or {})
            if not self._waiting or self._writing is not None:
                return
            self._executor = self._executor or ThreadPoolExecutor(1, thread_name_prefix="gemvec-cache")
            # When the interpreter ends, no thread can start: what waits is not cached.
            with contextlib.suppress(RuntimeError):
                self._writing = self._executor.submit(self._write)

    def _write(self) -> None:
        try:
            while self._take_work():
                self._writer.run(self._in_writing.store)
                self._writer.run(lambda connection: evict_rows(connection, self.max_bytes))
                self._note_written()
        except BaseException:
            self._writing = None
            self._note_written()
            raise

    def _take_work(self) -> bool:
        """Move what waits to `_in_writing`; if nothing waits, end the writer's job in the same step."""
        self._hurry.wait(_GATHER_SECONDS)
        with self._lock:
            self._hurry.clear()
            self._in_writing, self._waiting = self._waiting, _Work()
            if self._in_writing:
                self._writes_begun += 1
            else:
                self._writing = None
            return bool(self._in_writing)

    def _note_written(self) -> None:
        with self._lock:
            self._in_writing = _Work()
            self._writes_done = self._writes_begun
            self._lock.notify_all()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
