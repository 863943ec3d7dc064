"""The table of cached embeddings: its rows, its SQL, and a connection that never raises.

Anything that goes wrong with the file becomes an answer of None and a warning. A damaged file is replaced by a new one;
a file that another process deleted or replaced is opened again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock

from gemvec.embedding.embed import Embedding
from gemvec.logs import get_logger

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS embeddings (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    vector BLOB NOT NULL,             -- little-endian float32, trailing zeros left out
    dimensionality INTEGER NOT NULL,  -- with the trailing zeros
    token_count INTEGER NOT NULL,     -- before any cut
    checksum INTEGER NOT NULL,        -- CRC-32 of all above: SQLite itself does not notice a flipped bit
    used_day INTEGER NOT NULL         -- days since 1970; written at most once a day, so that a hit costs no write
);
CREATE INDEX IF NOT EXISTS embeddings_by_use ON embeddings (used_day, id);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
# Five rows of 384 values fill a page of 8 KiB. The log is folded back into the file after 4 MiB.
_PRAGMAS = (
    "page_size = 8192",
    "auto_vacuum = INCREMENTAL",
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "wal_autocheckpoint = 512",
    "journal_size_limit = 4194304",
)
_COLUMNS = "key, vector, dimensionality, token_count, checksum, used_day"
_PUT, _PUT_ROW = "INSERT OR REPLACE INTO embeddings VALUES ", "(NULL, ?, ?, ?, ?, ?, ?)"
# Python releases its lock for each statement and may wait long to get it back, so not one statement for each row.
_ROWS_PER_PUT = 100
_COUNT = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
_DELETE_OLDEST = "DELETE FROM embeddings WHERE id IN (SELECT id FROM embeddings ORDER BY used_day, id LIMIT ?)"

_BUSY_TIMEOUT_SECONDS = 5
_ROWS_PER_DELETE = 5_000  # other processes wait for the lock only as long as this many take
_KEPT_AFTER_EVICTION = 0.9  # of the bound, so that eviction is rare

# SQLITE_ERROR is a missing table or column: the file is a database, but not a cache.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

Row = tuple[bytes, bytes, int, int, int, int]  # as in _COLUMNS


def encode_row(key: bytes, embedding: Embedding) -> Row:
    """Return the row that keeps `embedding`, used today."""
    vector = np.ascontiguousarray(embedding.vector, dtype="<f4")
    # Vectors padded with zeros to a longer dimensionality are common; the zeros are not worth their bytes.
    values = vector if vector.size and vector[-1] else np.trim_zeros(vector, "b")
    data = values.tobytes()
    checksum = _checksum(key, data, vector.size, embedding.found_tokens)
    return key, data, vector.size, embedding.found_tokens, checksum, today()


def decode_row(row: Row) -> Embedding:
    """Return the embedding in a row, with all tokens of its text; its vector belongs to the caller."""
    _, data, dimensionality, token_count, _, _ = row
    vector = np.zeros(dimensionality, dtype=np.float32)
    vector[: len(data) // 4] = np.frombuffer(data, dtype="<f4")
    return Embedding(vector, token_count)


def today() -> int:
    """Return the number of days since 1970."""
    return int(time.time() // 86_400)


def select_rows(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Row]:
    """Return the rows of `keys` (at most 999) that are there and undamaged."""
    marks = ",".join("?" * len(keys))
    rows: list[Row] = connection.execute(
        f"SELECT {_COLUMNS} FROM embeddings WHERE key IN ({marks})",  # noqa: S608 # question marks only
        keys,
    ).fetchall()
    return {row[0]: row for row in rows if _is_sound(row)}


def store_rows(
    connection: sqlite3.Connection, rows: Iterable[Row], touched: Iterable[bytes], counters: Iterable[tuple[str, int]]
) -> None:
    """Write rows, mark others as used today, and add to counters, in one transaction."""
    with _transaction(connection):
        waiting = iter(rows)
        while some := list(islice(waiting, _ROWS_PER_PUT)):
            connection.execute(_PUT + ", ".join([_PUT_ROW] * len(some)), list(chain.from_iterable(some)))
        day = today()
        connection.executemany("UPDATE embeddings SET used_day = ? WHERE key = ?", [(day, key) for key in touched])
        connection.executemany(_COUNT, counters)


def evict_rows(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Delete the rows unused for longest when the table takes more than `max_bytes`."""
    used = count_used_bytes(connection)
    if used <= max_bytes:
        return
    surplus = round(count_rows(connection) * (1 - _KEPT_AFTER_EVICTION * max_bytes / used))
    while surplus > 0:
        with _transaction(connection):
            connection.execute(_DELETE_OLDEST, [min(surplus, _ROWS_PER_DELETE)])
        surplus -= _ROWS_PER_DELETE
    # Freed pages are used again; only a lowered bound leaves the file too large.
    if _pragma(connection, "page_count") * _pragma(connection, "page_size") > max_bytes:
        _give_pages_back(connection)


def clear_rows(connection: sqlite3.Connection) -> int:
    """Delete rows and counters, shrink the file, and return how many rows there were."""
    with _transaction(connection):
        rows = count_rows(connection)
        connection.execute("DELETE FROM embeddings")
        connection.execute("DELETE FROM counters")
    _give_pages_back(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return rows


def count_rows(connection: sqlite3.Connection) -> int:
    """Return the number of embeddings."""
    return connection.execute("SELECT count(*) FROM embeddings").fetchone()[0]


def count_used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages in use, without the log."""
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def read_counters(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the counters by name."""
    return dict(connection.execute("SELECT name, value FROM counters WHERE typeof(value) = 'integer'").fetchall())


class CacheConnection:
    """A connection to the cache file, opened when first used, that returns None where SQLite would raise.

    Safe to share between threads; only one works at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._warned: set[str] = set()

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return what `work` returns with the open connection, or None when the file cannot be used."""
        with self._lock:
            for _ in range(2):
                try:
                    return work(self._open())
                except (sqlite3.Error, UnicodeDecodeError) as error:
                    if not self._rebuild_after(error):
                        return None
                except OSError as error:
                    self._warn(f"The embedding cache {self.path} cannot be used: {error.strerror}")
                    return None
        return None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and _inode(self.path) != self._inode:
            self._close()
        if self._connection is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", mode=0o600):
                # Vectors reveal much about their texts: only the owner may read them.
                self.path.touch(mode=0o600)
                for each in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
                    if each.exists():
                        keep_private(each, 0o600)
                self._inode = _inode(self.path)
                self._connection = _connect(self.path)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rebuild_after(self, error: sqlite3.Error | UnicodeDecodeError) -> bool:
        # SQLite quotes a damaged schema in its message, which may then not be valid text.
        is_quoted = isinstance(error, UnicodeDecodeError)
        code = sqlite3.SQLITE_CORRUPT if is_quoted else getattr(error, "sqlite_errorcode", 0) & 0xFF
        self._close()
        if code in _DAMAGED:
            self._warn(f"The embedding cache {self.path} is damaged and is replaced by a new one: {error}")
            with contextlib.suppress(OSError), FileLock(f"{self.path}.lock", mode=0o600):
                self._remove_if_seen()
            return True
        if code not in _BUSY:
            self._warn(f"The embedding cache {self.path} cannot be used: {error}")
        return False

    def _remove_if_seen(self) -> None:
        """Remove the damaged file, unless another process has already replaced it by a sound one."""
        if self._inode == _inode(self.path):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            get_logger("cache").warning(message)


def keep_private(path: Path, mode: int) -> None:
    """Deny a file or folder to all but its owner; somebody else's stays as it is."""
    if path.stat().st_mode & 0o077:
        with contextlib.suppress(PermissionError):
            path.chmod(mode)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.text_factory = _decode
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # SQLite has already rolled back by itself after some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _decode(text: bytes) -> str:
    return text.decode(errors="replace")


def _give_pages_back(connection: sqlite3.Connection) -> None:
    # A script, because `execute` runs only one step of it, which frees one page.
    connection.executescript("PRAGMA incremental_vacuum")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _is_sound(row: Row) -> bool:
    # In a damaged file even a column's type may be another.
    return tuple(map(type, row)) == (bytes, bytes, int, int, int, int) and row[4] == _checksum(*row[:4])


def _checksum(key: bytes, data: bytes, dimensionality: int, token_count: int) -> int:
    return zlib.crc32(data, zlib.crc32(b"%b %d %d" % (key, dimensionality, token_count)))
