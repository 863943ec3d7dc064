"""A collection of a Milvus Lite file that is written but not searched, in bounded memory: `LiteWriter`.

Lite's engine holds all rows of an open collection, makes a Python object of each number that it puts into a file, and
merges files in memory. None of that is needed for writing. `LiteWriter` is the engine's collection, with the same
files, log and recovery, but it leaves rows in their files, and reads, merges and indexes them piece by piece.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import faiss
import numpy as np
import pyarrow  # noqa: ICN001 # its parts have names below
import pyarrow.compute
import pyarrow.parquet
from milvus_lite.constants import DATA_FILE_TEMPLATE, MAX_SEGMENT_ROWS, SEQ_FORMAT_WIDTH
from milvus_lite.engine.collection import Collection as LiteCollection
from milvus_lite.engine.compaction import CompactionManager
from milvus_lite.engine.operation import InsertOp
from milvus_lite.function.dataframe import DataFrame
from milvus_lite.index.faiss_hnsw import FaissHnswIndex
from milvus_lite.index.files import index_sidecar_path
from milvus_lite.index.scalar import ScalarInvertedIndex
from milvus_lite.schema import validation as lite_validation
from milvus_lite.schema.persistence import load_schema
from milvus_lite.storage.data_file import parse_seq_range
from milvus_lite.storage.memtable import MemTable
from milvus_lite.storage.snapshots import snapshot_references

from gemvec.embedding.embed import Float32Array
from gemvec.milvus.lite_rows import KEY, ORDER, ROWS_PER_BATCH, FileRows, Mask, Rows, TableRows, find_live, gather

# They come without types, or with some that are unknown.
arrow: Any = pyarrow
compute: Any = pyarrow.compute
parquet: Any = pyarrow.parquet
validation: Any = lite_validation

# The vectors of a merged file: its index is made in memory, with a copy of them.
_MAX_VECTOR_BYTES = 64 * 2**20
# Vectors are added to an index in pieces of this size.
_PIECE_BYTES = 8 * 2**20
# The suffix of an index, or a merged file, that is not written to its end.
_HALF = ".part"


class LiteWriter(LiteCollection):
    """One collection of a Lite file whose database this process has locked; `close` it before the engine reads it.

    Rows that a killed process left in Lite's log are taken over. Not safe to use from several threads at once.

    Args:
        folder: the folder of the collection in the database.
    """

    def __init__(self, folder: Path) -> None:
        # Arrow's own pool keeps several times what is used at once.
        arrow.set_memory_pool(arrow.system_memory_pool())
        name, schema = load_schema(str(folder / "schema.json"))
        self._merger = _Merger(str(folder), schema)
        # Lite would look at each number of a vector; Arrow refuses one of another length.
        self._described = replace(schema, fields=[field for field in schema.fields if field.name != "vector"])
        super().__init__(name, str(folder), schema)
        self._memtable = _LogRows.take_over(self._memtable, schema)
        self._merge()

    def upsert(self, records: list[dict[str, Any]], partition_name: str = "_default") -> list[Any]:
        """Write rows that have all their fields, vectors as arrays; a row with a known key is replaced."""
        rows = [dict(record) for record in records]
        if self._ingestion_chain:
            self._ingestion_chain.execute(DataFrame.from_records(rows))
        for row in rows:
            validation.validate_record({name: row[name] for name in row if name != "vector"}, self._described)
        orders = list(range(self._next_seq, self._next_seq + len(rows)))
        self._next_seq += len(rows)
        batch = cast("Any", self._build_wal_data_batch(rows, partition_name, orders))
        self._apply(InsertOp(partition=partition_name, batch=batch))
        if self._should_flush():
            self._trigger_flush()
        return [row[KEY] for row in rows]

    def count_rows(self) -> int:
        """Return how many rows there are."""
        return sum(int(live.sum()) for live in self._find_live(self._open_rows()))

    def select(
        self, fields: Sequence[str], *, column: str = "", values: Collection[str] = ()
    ) -> Iterator[dict[str, Any]]:
        """Yield `fields` of every row, or of those whose `column` has one of `values`."""
        rows = self._open_rows()
        chosen = [some.find(column, values) for some in rows] if column else None
        encoded = [field.name for field in self.schema.fields if field.dtype.name == "JSON" and field.name in fields]
        for some, mask in zip(rows, self._find_live(rows, chosen), strict=True):
            for batch in some.filtered(mask, fields):
                for row in batch.to_pylist():
                    yield row | {name: json.loads(row[name]) for name in encoded}

    def build_indexes(self) -> None:
        """Build the indexes that files do not have yet, one file at a time; that of words is made by a search."""
        for half in Path(self.data_dir).glob(f"partitions/*/*/*{_HALF}"):
            half.unlink()
        for partition, names in self._manifest.get_all_data_files().items():
            for name in names:
                path = Path(self.data_dir, "partitions", partition, name)
                for spec in self._index_specs.values():
                    self._build_index(path, Path(self._index_dir(partition)), spec)

    def _build_index(self, path: Path, folder: Path, spec: Any) -> None:
        is_scalar = spec.index_type == "INVERTED"
        if not is_scalar and (spec.index_type, spec.metric_type) != ("HNSW", "COSINE"):
            return  # Lite builds it when it opens the collection
        file = Path(index_sidecar_path(str(folder), str(path), spec.field_name, spec.index_type, scalar=is_scalar))
        if file.exists():
            return
        folder.mkdir(exist_ok=True)
        beside = file.with_suffix(_HALF)  # a half index would be read as a whole one
        if is_scalar:
            dtype = next(field.dtype for field in self.schema.fields if field.name == spec.field_name)
            table = parquet.read_table(path, columns=[spec.field_name])
            ScalarInvertedIndex.build(table, spec.field_name, dtype).save(str(beside))
        else:
            faiss.write_index(_build_graph(FileRows(path), spec), str(beside))
            _give_back()
        _replace_durably(beside, file)

    def _open_rows(self) -> list[Rows]:
        """Return the rows of every file, and those that are only in the log."""
        files = [
            FileRows(Path(self.data_dir, "partitions", partition, name))
            for partition, names in self._manifest.get_all_data_files().items()
            for name in names
        ]
        return [*files, TableRows(self._memtable.to_arrow_table())]

    def _find_live(self, rows: Sequence[Rows], chosen: Sequence[Mask] | None = None) -> list[Mask]:
        deleted = self._delta_index.snapshot
        for key, (order, _) in self._memtable.delete_index_snapshot().items():
            deleted[key] = max(order, deleted.get(key, -1))
        return find_live(rows, deleted, chosen)

    # What the engine calls after rows have been put into a file.

    def _refresh_segment_cache(self) -> None:
        """Leave the rows of files where they are."""

    def _trigger_flush(self) -> None:
        super()._trigger_flush()
        self._memtable = _LogRows(self.schema)
        _give_back()
        self._merge()

    def _schedule_bg_maintenance(self) -> None:
        """Leave the merging of files to `_merge`: here, the rows that were put into a file are still in memory."""

    def _merge(self) -> None:
        """Merge files now, so that nothing else changes them while they are read."""
        for partition in self._manifest.list_partitions():
            while self._merge_some(partition):
                pass

    def _merge_some(self, partition: str) -> bool:
        """Merge some files and delete their indexes; return whether there are fewer files now.

        If many files have nearly as many rows as a file may have, Lite would merge two of them into two, endlessly.
        """
        count = len(self._manifest.get_data_files(partition))
        self._merger.maybe_compact(partition, self._manifest, self._delta_index)
        self._cleanup_orphan_index_files()  # before another file gets the name of one of these
        return len(self._manifest.get_data_files(partition)) < count


class _LogRows(MemTable):
    """Rows in the log; when they are put into a file, they stay Arrow's."""

    @classmethod
    def take_over(cls, rows: MemTable, schema: Any) -> _LogRows:
        """Return the rows that were recovered from the log."""
        taken = cls(schema)
        vars(taken).update(vars(rows))
        return taken

    def _build_data_table(self, rows: Sequence[tuple[int, int]]) -> Any:
        chosen: dict[int, list[int]] = {}
        for batch, row in rows:
            chosen.setdefault(batch, []).append(row)
        schema = cast("Any", self._data_schema)
        parts: list[Any] = []
        for number, some in sorted(chosen.items()):
            batch = cast("Any", self._insert_batches[number]).select(schema.names)
            parts.append(batch if len(some) == batch.num_rows else batch.take(arrow.array(sorted(some))))
        return arrow.Table.from_batches(parts, schema=schema)


class _Merger(CompactionManager):
    """Merges files as Lite would, but with a piece of them in memory, and into smaller ones where vectors are long."""

    @property
    def _max_rows(self) -> int:
        """How many rows a file may have."""
        sizes = [4 * field.dim for field in self._schema.fields if field.dim]
        return min(MAX_SEGMENT_ROWS, max(ROWS_PER_BATCH, _MAX_VECTOR_BYTES // max(sum(sizes), 1)))

    def _select_target(  # pyright: ignore[reportIncompatibleMethodOverride] # Lite calls it as a method, too
        self, buckets: list[list[tuple[str, int]]], total_files: int, partition_dir: str
    ) -> list[str] | None:
        """Choose files to merge; one that is more than half full stays as it is."""
        del total_files
        half = self._max_rows // 2
        growing = [
            [each for each in bucket if parquet.read_metadata(Path(partition_dir, each[0])).num_rows <= half]
            for bucket in buckets
        ]
        return super()._select_target(growing, sum(map(len, growing)), partition_dir)

    def _compact_files(
        self, partition: str, partition_dir: str, files_to_compact: list[str], manifest: Any, delta_index: Any
    ) -> None:
        folder = Path(partition_dir)
        names = sorted(files_to_compact, key=parse_seq_range)
        rows = [FileRows(folder / name) for name in names]
        live = find_live(rows, delta_index.snapshot)
        batches = (batch for some, mask in zip(rows, live, strict=True) for batch in some.filtered(mask))
        merged = list(self._write(folder, gather(batches, self._max_rows)))
        manifest.remove_data_files(partition, names)
        for name in merged:
            manifest.add_data_file(partition, name)
        manifest.save()
        _give_back()
        kept = snapshot_references(self._data_dir)[0].get(partition, set())
        for name in set(names) - kept:
            with suppress(OSError):  # Lite removes it when it opens the collection
                (folder / name).unlink()

    def _write(self, folder: Path, pieces: Iterator[Any]) -> Iterator[str]:
        """Write files of at most as many rows as one may have, and yield their names."""
        beside = folder / "data" / f"merged{_HALF}"  # Lite removes files that it does not know
        piece: Any = next(pieces, None)
        while piece is not None:
            orders: list[int] = []
            rows = 0
            schema = cast("Any", self._data_schema)
            with parquet.ParquetWriter(beside, schema) as writer:
                while piece is not None and rows + piece.num_rows <= self._max_rows:
                    writer.write_table(piece)
                    rows += piece.num_rows
                    found = compute.min_max(piece.column(ORDER)).as_py()
                    orders += [found["min"], found["max"]]
                    piece = None  # not two of them at once
                    piece = next(pieces, None)
            first, last = self._pick_unique_seq_range(str(folder), min(orders), max(orders))
            name = DATA_FILE_TEMPLATE.format(min=first, max=last, w=SEQ_FORMAT_WIDTH)
            _replace_durably(beside, beside.with_name(name))
            yield f"data/{name}"


def _give_back() -> None:
    """Give memory that is free back to the system."""
    arrow.default_memory_pool().release_unused()


def _replace_durably(file: Path, target: Path) -> None:
    """Give a file its name when its bytes are on the disk: after a power cut, half of one would be read as whole."""
    with file.open("rb+") as written:
        os.fsync(written.fileno())
    file.replace(target)


def _build_graph(rows: Rows, spec: Any) -> Any:
    """Return Lite's HNSW index of the vectors; it has a copy of them, so they are added in pieces.

    Each piece begins with work for one core, so small ones take a fifth more time.
    """
    graph: Any = None
    for vectors in _normalized_pieces(rows, spec.field_name):
        if graph is None:
            empty: Any = FaissHnswIndex.build(vectors[:0], spec.metric_type, spec.build_params)
            graph = empty._index  # noqa: SLF001 # Lite's own settings, which it has no other way to tell
            _reserve(graph, rows.count)
        graph.add(vectors)
    return graph


def _normalized_pieces(rows: Rows, name: str) -> Iterator[Float32Array]:
    """Yield the vectors of a column, each of length 1, in pieces of about `_PIECE_BYTES`: always the same memory."""
    piece, filled = np.empty((0, 0), np.float32), 0
    for batch in rows.batches([name]):
        column = batch.column(name)
        vectors = column.flatten().to_numpy().reshape(len(column), column.type.list_size)
        if filled + len(vectors) > len(piece):
            if filled:
                yield piece[:filled]
            if len(vectors) > len(piece):
                piece = np.empty((max(len(vectors), _PIECE_BYTES // vectors[0].nbytes), vectors.shape[1]), np.float32)
            filled = 0
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, np.where(lengths == 0, 1, lengths), out=piece[filled : filled + len(vectors)])
        filled += len(vectors)
    if filled:
        yield piece[:filled]


def _reserve(graph: Any, rows: int) -> None:
    """Make room for the vectors: where it grows, the old room and the new one are there together."""
    storage: Any = faiss.downcast_index(graph.storage)
    storage.codes.resize(rows * storage.code_size)
    storage.codes.resize(0)


def open_writer(engine: Any, uri: str, name: str) -> LiteWriter:
    """Return the writer of collection `name`, opened if it is not; the engine closes it with the database."""
    opened: dict[tuple[str, str], Any] = engine._collections  # noqa: SLF001 # where the engine keeps those that are open
    found = engine.resolve_collection_name(name)
    key = ("default", found)
    current = opened.get(key)
    if isinstance(current, LiteWriter):
        return current
    if current is not None:
        opened.pop(key).close()
    writer = opened[key] = LiteWriter(Path(uri) / "collections" / found)
    return writer


def close_writer(engine: Any, name: str) -> None:
    """Close the writer of collection `name`, if one is open, so that the engine opens the collection itself."""
    opened: dict[tuple[str, str], Any] = engine._collections  # noqa: SLF001 # the same
    key = ("default", engine.resolve_collection_name(name))
    if isinstance(opened.get(key), LiteWriter):
        opened.pop(key).close()
