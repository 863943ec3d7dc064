"""A collection as a Parquet file, and back: from Milvus Lite to a server, or anywhere else.

Rows are read and written in groups of bounded size. `parquet.py` knows the file's format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from gemvec.errors import InvalidRequest
from gemvec.milvus.collection import Collection
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.parquet import count_rows_per_group, open_file, open_writer
from gemvec.milvus.schema import ROW_FIELDS, Row
from gemvec.milvus.version import CollectionVersion

OnProgress = Callable[[int, int], None]  # rows done, of how many


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export did.

    Attributes:
        path: the file.
        rows: in it.
        file_bytes: its size.
        fingerprint: what the vectors are.
    """

    path: str
    rows: int
    file_bytes: int
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did.

    Attributes:
        rows: number of rows in the files.
        written: rows that were missing or different in the collection.
        fingerprint: what the vectors are.
    """

    rows: int
    written: int
    fingerprint: Fingerprint


def _ignore(done: int, total: int) -> None:
    """Show no progress."""


def export_collection(collection: Collection, path: Path, *, on_progress: OnProgress = _ignore) -> ExportReport:
    """Write a collection to a Parquet file, which is complete at the end or not there at all.

    Args:
        collection: what to export; nobody may write to it meanwhile.
        path: the file, replaced when it exists.
        on_progress: called as rows are written.

    Raises:
        CollectionNotFound: there is no such collection.
        StorageFailure: Milvus or the disk failed.
    """
    version = collection.resolve()
    total, rows = version.count(), 0
    with open_writer(path, version.fingerprint, version.indexing) as write:
        for group in version.scan_groups(ROW_FIELDS, count_rows_per_group(version.fingerprint)):
            write(group)
            rows += len(group)
            on_progress(rows, max(rows, total))
    return ExportReport(path=str(path), rows=rows, file_bytes=path.stat().st_size, fingerprint=version.fingerprint)


def import_collection(
    collection: Collection, paths: Sequence[Path], *, on_progress: OnProgress = _ignore
) -> ImportReport:
    """Write the rows of exported files into a collection, which is made if it does not exist.

    Rows that are already there, and the same, are not written again, so a run after an interruption goes on where it
    stopped. Rows that only the collection has are kept.

    Args:
        collection: where to write.
        paths: files written by `export_collection`.
        on_progress: called as rows are done.

    Raises:
        InvalidRequest: a file is not an export.
        FingerprintMismatch: the vectors of a file do not mix with those of another or of the collection.
        StorageFailure: Milvus failed.
    """
    files = [open_file(path) for path in paths]
    if not files:
        raise InvalidRequest("There is no file to import.", field="paths")
    fingerprint = files[0].fingerprint
    existing = collection.resolve() if collection.exists() else None
    for each in files:
        (existing.fingerprint if existing else fingerprint).check(each.fingerprint, collection=collection.name)
    version = existing or collection.create(fingerprint, files[0].indexing)
    total, rows, written = sum(each.rows for each in files), 0, 0
    for group in (group for each in files for group in each.read_groups()):
        fresh = group if existing is None else _leave_out_known(version, group)
        version.upsert(fresh)
        rows, written = rows + len(group), written + len(fresh)
        on_progress(rows, total)
    version.finish()
    return ImportReport(rows=rows, written=written, fingerprint=version.fingerprint)


def _leave_out_known(version: CollectionVersion, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that are missing or different in the collection."""
    keys = [row.key for row in rows]
    found = call_milvus(version.client.get, version.name, ids=keys, output_fields=list(version.row_fields))
    known = {each["key"]: each for each in cast("list[dict[str, Any]]", found)}
    return [row for row in rows if row.key not in known or not _is_same(version.to_entity(row), known[row.key])]


def _is_same(entity: dict[str, Any], known: Mapping[str, Any]) -> bool:
    same_vector = np.array_equal(entity.pop("vector"), np.asarray(known["vector"], np.float32))
    return same_vector and all(known[name] == value for name, value in entity.items())
