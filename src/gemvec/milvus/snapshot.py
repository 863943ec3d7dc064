"""What a Milvus Lite file held when it was last closed: `Snapshot`, so that an ingest without work need not open it.

Opening a Lite file loads Lite's engine, pyarrow and pandas and reads all vectors: more than a second. A snapshot is a
cache: it is valid only while every file of the database has the same size and time of last change, and losing it costs
only that second.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

# Part of the name of a snapshot; change it when the content of snapshots changes.
_LAYOUT = "gemvec snapshot 1"
# The fields of each row in a snapshot: enough to tell which documents are up to date, and which are gone.
SNAPSHOT_FIELDS = ("key", "document_id", "document_hash", "chunks", "source")
# Larger collections have no snapshot, because all of it would be read at once.
MAX_SNAPSHOT_ROWS = 100_000


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """One collection of a Lite file.

    Attributes:
        state: which files the database has, from `read_state`.
        names: the collection's alias and its own name.
        properties: of the collection.
        rows: the values of `SNAPSHOT_FIELDS` of each row.
    """

    state: str
    names: tuple[str, ...]
    properties: dict[str, str]
    rows: list[tuple[str, str, str, int, str]]

    def select(self, fields: Sequence[str], column: str = "", values: Collection[str] = ()) -> list[dict[str, Any]]:
        """Return `fields` of every row, or of those whose `column` has one of `values`."""
        places = [(name, SNAPSHOT_FIELDS.index(name)) for name in fields]
        rows = self.rows
        if column:
            wanted, place = set(values), SNAPSHOT_FIELDS.index(column)
            rows = [row for row in rows if row[place] in wanted]
        return [{name: row[place] for name, place in places} for row in rows]


_decode = msgspec.json.Decoder(Snapshot).decode


def snapshot_path(folder: Path, uri: str, name: str) -> Path:
    """Return where the snapshot of collection `name` of the Lite file `uri` is."""
    what = "\0".join((_LAYOUT, str(Path(uri).absolute()), name))
    return folder / (blake2b(what.encode(), digest_size=16).hexdigest() + ".json")


def load_snapshot(path: Path, uri: str) -> Snapshot | None:
    """Return the snapshot at `path` if it is about the database `uri` as it is now."""
    try:
        snapshot = _decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return snapshot if snapshot.state == read_state(uri) else None


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot, or none if it cannot be written."""
    beside = path.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside.write_bytes(msgspec.json.encode(snapshot))
        beside.replace(path)


def read_state(uri: str) -> str:
    """Return a hash of name, size and time of last change of every file of the Lite database `uri`."""
    found = blake2b(digest_size=16)
    for folder, folders, files in os.walk(uri):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)  # noqa: PTH118 # half the time of pathlib
            found.update(f"{path}\0".encode())
            with contextlib.suppress(FileNotFoundError):  # gone since: another process has the database open
                known = os.stat(path)  # noqa: PTH116 # the same
                found.update(f"{known.st_size}\0{known.st_mtime_ns}\0{known.st_ino}\n".encode())
    return found.hexdigest()
