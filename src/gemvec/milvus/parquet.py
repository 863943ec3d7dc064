"""The Parquet file of a collection, in the format that Milvus' own bulk import takes.

It has one column for each field, vectors as lists of float, metadata as JSON text, and nothing that Milvus computes
itself (BM25). The collection's fingerprint is in the file's metadata, so that vectors of two models are never mixed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gemvec.embedding.embed import Float32Array
from gemvec.errors import InvalidRequest, MissingDependency, StorageFailure
from gemvec.milvus.embed import check_vector
from gemvec.milvus.fingerprint import PROPERTY, Fingerprint
from gemvec.milvus.indexing import PROPERTY as INDEXING_PROPERTY
from gemvec.milvus.indexing import Indexing
from gemvec.milvus.schema import ROW_FIELDS, Row
from gemvec.storage.durable import replacing, sync_folder, translate_os_errors

# A group's vectors as Python objects take about eight times their bytes: this keeps it below 100 MB.
_GROUP_BYTES = 8 * 2**20
_ROW_OVERHEAD_BYTES = 1024
_INTEGERS = {"chunk", "chunks"}
_SCALARS = tuple(name for name in ROW_FIELDS if name != "vector")

Entity = Mapping[str, Any]  # a row as Milvus gives it


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A file that `export_collection` wrote.

    Attributes:
        path: where it is.
        rows: how many it has.
        fingerprint: what its vectors are.
        indexing: how its documents were named and cut.
    """

    path: Path
    rows: int
    fingerprint: Fingerprint
    indexing: Indexing

    def read_groups(self) -> Iterator[list[Row]]:
        """Yield the rows in groups of bounded size.

        Raises:
            InvalidRequest: the file's content is not what an export writes.
        """
        parquet = _import_parquet()
        with _readable(self.path), parquet.ParquetFile(self.path) as file:
            for group in file.iter_batches(count_rows_per_group(self.fingerprint), columns=list(ROW_FIELDS)):
                yield [self._to_row(each) for each in _to_records(group)]

    def _to_row(self, record: dict[str, Any]) -> Row:
        row = Row(**{**record, "metadata": json.loads(record["metadata"])})
        try:
            check_vector(row.vector, self.fingerprint)
        except StorageFailure as error:
            raise _not_exported(self.path, f"the vector of row {row.key!r} is not what its fingerprint says") from error
        return row


def open_file(path: Path) -> ExportedFile:
    """Read what the file says about itself.

    Raises:
        InvalidRequest: it is missing or not an export.
    """
    parquet = _import_parquet()
    with _readable(path), parquet.ParquetFile(path) as file:
        said: dict[bytes, bytes] = file.schema_arrow.metadata or {}
        stored = said.get(PROPERTY.encode())
        if stored is None:
            raise _not_exported(path, "it has no fingerprint")
        if missing := sorted(set(ROW_FIELDS) - set(file.schema_arrow.names)):
            raise _not_exported(path, f"it has no column {missing[0]!r}")
        return ExportedFile(
            path=path,
            rows=file.metadata.num_rows,
            fingerprint=Fingerprint.parse(stored.decode()),
            indexing=Indexing.parse(said.get(INDEXING_PROPERTY.encode(), b"{}").decode()),
        )


@contextmanager
def open_writer(
    path: Path, fingerprint: Fingerprint, indexing: Indexing, *, fields: Sequence[str] = ROW_FIELDS
) -> Generator[Callable[[Sequence[Entity]], None]]:
    """Yield a function that writes a group of rows; the file is complete when the block ends without an error.

    Args:
        path: the file.
        fingerprint: what it says about its vectors.
        indexing: what it says about how documents were named and cut.
        fields: its columns; an export has all, and a file for Milvus' bulk import those that the collection has.

    Raises:
        StorageFull, StorageFailure: it cannot be written; nothing is left behind.
    """
    parquet = _import_parquet()
    schema = _make_schema(fingerprint, indexing, fields)
    with replacing(path) as temporary, temporary.open("wb") as file:
        # Keys and vectors are all different: a dictionary would only add bytes.
        with parquet.ParquetWriter(file, schema, use_dictionary=["document_id", "source"]) as writer:
            yield lambda rows: writer.write_table(_to_table(rows, schema))
        file.flush()
        os.fsync(file.fileno())
    with translate_os_errors():
        sync_folder(path.parent)


def read_keys(path: Path) -> list[str]:
    """Return the keys of all rows.

    Raises:
        InvalidRequest: the file's content is not what `open_writer` writes.
    """
    with _readable(path):
        return _import_parquet().read_table(path, columns=["key"]).column("key").to_pylist()


def count_rows_per_group(fingerprint: Fingerprint) -> int:
    """Return how many rows are in a group."""
    return max(1, _GROUP_BYTES // (4 * fingerprint.dimensionality + _ROW_OVERHEAD_BYTES))


@contextmanager
def _readable(path: Path) -> Generator[None]:
    arrow = _import_arrow()
    try:
        yield
    except FileNotFoundError as error:
        raise InvalidRequest(f"{path} does not exist.", field=str(path)) from error
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error}", field=str(path)) from error
    except (arrow.ArrowException, ValueError, KeyError, TypeError) as error:
        raise _not_exported(path, str(error)) from error


def _not_exported(path: Path, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{path} was not written by `gemvec export`: {reason.rstrip('.')}.", field=str(path))


def _make_schema(fingerprint: Fingerprint, indexing: Indexing, fields: Sequence[str]) -> Any:
    """Return the columns, with the types of the bulk writer of pymilvus 3.0.2."""
    arrow = _import_arrow()
    kinds = {name: arrow.int64() if name in _INTEGERS else arrow.string() for name in fields}
    kinds["vector"] = arrow.list_(arrow.field("element", arrow.float32()))
    return arrow.schema(
        list(kinds.items()), metadata={PROPERTY: fingerprint.format(), INDEXING_PROPERTY: indexing.format()}
    )


def _to_table(rows: Sequence[Entity], schema: Any) -> Any:
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in schema.names}
    columns["metadata"] = [json.dumps(each, ensure_ascii=False) for each in columns["metadata"]]
    return _import_arrow().table(columns, schema=schema)


def _to_records(group: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a group; vectors as float32 arrays, without a Python number for each value."""
    columns: list[list[Any]] = [group.column(name).to_pylist() for name in _SCALARS]
    vectors = group.column("vector")
    values: Float32Array = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    lengths: list[int] = vectors.value_lengths().to_pylist()
    end = 0
    for length, *scalars in zip(lengths, *columns, strict=True):
        start, end = end, end + length
        yield {**dict(zip(_SCALARS, scalars, strict=True)), "vector": values[start:end]}


def _import_arrow() -> Any:
    try:
        import pyarrow as arrow  # noqa: ICN001 # a word, not its abbreviation
    except ImportError as error:
        raise MissingDependency("Parquet needs more packages.", extra="milvus") from error
    return arrow


def _import_parquet() -> Any:
    _import_arrow()
    from pyarrow import parquet

    return parquet
