"""A Milvus Lite file opened only as far as needed: `LiteClient`.

pymilvus loads pandas and a gRPC server, which takes more than a second before the first answer. Reading and writing
rows do not need them, because Lite's engine runs in this process anyway. Rows are written, and read for an ingest,
without having all of them in memory (`lite_writer.py`). An ingest that finds everything up to date does not even need
the engine, if the file has not changed since the last ingest (`snapshot.py`).

This rests on parts of Milvus Lite that it does not promise to keep. Any other version than `KNOWN_VERSION` is used
through pymilvus only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from gemvec.errors import FailedPrecondition, StorageFailure
from gemvec.milvus.arrow import leave_out_pandas
from gemvec.milvus.connection import (
    cannot_open,
    close_client,
    make_folder_for,
    missing_packages,
    open_client,
    wait_for_lock,
)
from gemvec.milvus.field import Field
from gemvec.milvus.snapshot import (
    MAX_SNAPSHOT_ROWS,
    SNAPSHOT_FIELDS,
    Snapshot,
    load_snapshot,
    read_state,
    save_snapshot,
    snapshot_path,
)

T = TypeVar("T")

# The version of Milvus Lite whose files, log and engine this module and `lite_writer.py` know.
KNOWN_VERSION = "3.2.2"


class LiteClient:
    """The methods of `pymilvus.MilvusClient` for rows; others open one, which also searches from then on.

    Safe to use from several threads. The file is locked against other clients, also of this process.

    Args:
        uri: the file, which is made when it is first needed.
        name: the collection whose snapshot counts.
        snapshots: folder of snapshots; None to open the engine at once and leave no snapshot.

    Raises:
        FailedPrecondition: the file is open already.
        MissingDependency: Milvus Lite is not installed.
    """

    def __init__(self, uri: str, name: str, *, snapshots: Path | None = None) -> None:
        self._uri = uri
        self._name = name
        self._lock = threading.RLock()
        self._snapshot_path = snapshot_path(snapshots, uri, name) if snapshots else None
        self._snapshot = load_snapshot(self._snapshot_path, uri) if self._snapshot_path else None
        self._engine: Any = None if self._snapshot or not Path(uri).exists() else _open_engine(uri)
        self._client: Any = None
        self._is_snapshot_due = False
        self._loaded: set[str] = set()  # what a client must load
        self._searched: set[str] = set()  # what the engine has open to search, so that all of it is in memory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._become_client(), name)

    @property
    def is_open(self) -> bool:
        """Whether the file had to be opened."""
        return self._engine is not None or self._client is not None

    def close(self) -> None:
        """Close the file; write a snapshot if an ingest has ended."""
        with self._lock:
            self._close()
            if self._is_snapshot_due and self._snapshot_path:
                with suppress(FailedPrecondition):  # another has opened the file: no snapshot
                    self._leave_snapshot(self._snapshot_path)

    def has_collection(self, name: str) -> bool:
        """Whether there is a collection or an alias `name`."""
        if self._knows(name):
            return True
        if not self.is_open and not Path(self._uri).exists():
            return False
        return self._read(lambda engine: engine.has_collection(name), lambda client: client.has_collection(name))

    def describe_collection(self, name: str) -> dict[str, Any]:
        """Return the collection's properties, the only part of pymilvus' description that reading needs."""
        if snapshot := self._knows(name):
            return {"properties": snapshot.properties}
        return self._read(
            lambda engine: {"properties": _read_properties(engine, self._uri, name)},
            lambda client: client.describe_collection(name),
        )

    def load_collection(self, name: str) -> None:
        """Read a collection into memory; an ingest, which leaves a snapshot, does not need that before it searches."""
        self._loaded.add(name)
        if self._client is not None:
            self._client.load_collection(name)
        elif not self._snapshot_path:
            self._read(lambda engine: self._open_to_search(engine, name), lambda client: client.load_collection(name))

    def make_collection(self, name: str, fields: Sequence[Field], properties: dict[str, str]) -> None:
        """Make a collection without indexes."""
        self._change(lambda engine: _make_collection(engine, name, fields, properties))

    def make_index(self, name: str, field: str, options: dict[str, Any]) -> None:
        """Declare the index of a field; `finish` builds it."""
        self._write(name, lambda writer: writer.create_index(field, options))

    def create_alias(self, *, collection_name: str, alias: str) -> None:
        """Give a collection another name."""
        self._change(lambda engine: engine.create_alias(collection_name, alias))

    def alter_collection_properties(self, name: str, properties: dict[str, str]) -> None:
        """Change properties of a collection."""
        self._write(name, lambda _: self._engine.alter_collection_properties(name, properties))

    def upsert(self, name: str, data: Sequence[dict[str, Any]]) -> None:
        """Write rows that have all their fields; a row with a known key is replaced."""
        self._write(name, lambda writer: writer.upsert(data))

    def delete(self, name: str, *, ids: list[str]) -> None:
        """Delete rows by key."""
        self._write(name, lambda writer: writer.delete(ids))

    def flush(self, name: str) -> None:
        """Put what was written into a file."""
        if not self._knows(name):
            self._write(name, lambda writer: writer.flush())

    def finish(self, name: str) -> None:
        """Build the indexes of what was written, and leave a snapshot when the file is closed; an ingest ends so."""
        if not self._knows(name):
            self._is_snapshot_due = True
            self._write(name, lambda writer: writer.build_indexes())

    def list_indexes(self, name: str) -> list[str]:
        """Return the names of the indexes that the collection is to have."""
        if self._client is not None:
            return self._client.list_indexes(name)
        return self._write(name, lambda writer: writer.list_indexes())

    def count(self, name: str) -> int:
        """Return the number of rows."""
        if snapshot := self._knows(name):
            return len(snapshot.rows)
        if name in self._searched:
            return self._read(
                lambda engine: self._open_to_search(engine, name).num_entities, lambda _: self.count(name)
            )
        return self._write(name, lambda writer: writer.count_rows())

    def select(
        self, name: str, fields: Sequence[str], *, column: str = "", values: Collection[str] = ()
    ) -> Iterator[dict[str, Any]]:
        """Yield `fields` of every row, or of those whose `column` has one of `values`; write nothing meanwhile."""
        if (snapshot := self._knows(name)) and {*fields, column} <= {*SNAPSHOT_FIELDS, ""}:
            return iter(snapshot.select(fields, column, values))
        if name in self._searched:
            wanted = f"{column} in {json.dumps(list(values), ensure_ascii=False)}" if column else ""
            return iter(self.query(name, filter=wanted, output_fields=list(fields)))
        rows = self._write(name, lambda writer: writer.select(fields, column=column, values=values))
        return _translated_rows(rows)

    def query_iterator(self, name: str, *, batch_size: int, output_fields: list[str]) -> Any:
        """Return an iterator over `output_fields` of all rows, with `next` and `close`."""
        return _Groups(self.select(name, output_fields), batch_size)

    def query(self, name: str, *, filter: str, output_fields: list[str]) -> list[dict[str, Any]]:  # noqa: A002 # pymilvus' word
        """Return `output_fields` of the rows that match `filter`."""

        def read(engine: Any) -> list[dict[str, Any]]:
            found = self._open_to_search(engine, name)
            return [_decoded(found, row) for row in found.query(filter or None, output_fields=output_fields)]

        return self._read(read, lambda client: client.query(name, filter=filter, output_fields=output_fields))

    def search(
        self,
        name: str,
        *,
        data: Sequence[Any],
        anns_field: str,
        limit: int,
        filter: str = "",  # noqa: A002 # pymilvus' word
        output_fields: list[str],
        search_params: dict[str, Any],
    ) -> list[list[dict[str, Any]]]:
        """Return the rows nearest to each of `data`, as pymilvus does."""

        def read(engine: Any) -> list[list[dict[str, Any]]]:
            found = self._open_to_search(engine, name)
            answers = found.search(
                list(data),
                top_k=limit,
                metric_type=search_params["metric_type"],
                expr=filter or None,
                output_fields=output_fields,
                anns_field=anns_field,
                search_params=search_params.get("params"),
            )
            for hit in (hit for hits in answers for hit in hits):
                hit |= {found.pk_field: hit["id"], "entity": _decoded(found, hit["entity"])}
            return answers

        def ask(client: Any) -> list[list[dict[str, Any]]]:
            return client.search(
                name,
                data=data,
                anns_field=anns_field,
                limit=limit,
                filter=filter,
                output_fields=output_fields,
                search_params=search_params,
            )

        return self._read(read, ask)

    def _knows(self, name: str) -> Snapshot | None:
        """Return the snapshot if it is about `name` and nothing has opened the file since."""
        with self._lock:
            return self._snapshot if self._snapshot and not self.is_open and name in self._snapshot.names else None

    def _read(self, read: Callable[[Any], T], ask: Callable[[Any], T]) -> T:
        with self._lock:
            if self._client is None:
                self._engine = self._engine or _open_engine(self._uri)
                return _translated(lambda: read(self._engine))
        return ask(self._client)

    def _write(self, name: str, write: Callable[[Any], T]) -> T:
        """Return what `write` returns for the writer of a collection; a client is closed before."""
        with self._lock:
            self._searched.discard(name)
            return self._change(lambda engine: write(_open_writer(engine, self._uri, name)))

    def _change(self, change: Callable[[Any], T]) -> T:
        """Return what `change` returns for the engine; a client is closed before."""
        with self._lock:
            if self._client is not None:
                self._close()
            self._engine = self._engine or _open_engine(self._uri)
            return _translated(lambda: change(self._engine))

    def _open_to_search(self, engine: Any, name: str) -> Any:
        _close_writer(engine, name)
        found = engine.get_collection(name)
        found.load()
        self._searched.add(name)
        return found

    def _become_client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._close()
                self._client = open_client(self._uri)
                for name in self._loaded:
                    self._client.load_collection(name)
            return self._client

    def _close(self) -> None:
        self._searched.clear()
        if self._client is not None:
            close_client(self._client, self._uri)
            self._client = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _leave_snapshot(self, path: Path) -> None:
        engine = _open_engine(self._uri)
        try:
            writer = _open_writer(engine, self._uri, self._name)
            if writer.count_rows() > MAX_SNAPSHOT_ROWS:
                return
            snapshot = Snapshot(
                state=read_state(self._uri),  # while no other process can write
                names=(self._name, writer.name),
                properties=dict(writer.schema.properties),
                rows=[tuple(row[field] for field in SNAPSHOT_FIELDS) for row in writer.select(SNAPSHOT_FIELDS)],
            )
        finally:
            engine.close()
        save_snapshot(path, snapshot)


def knows_lite() -> bool:
    """Whether the Milvus Lite that is installed is one whose inside this module knows."""
    try:
        return version("milvus-lite") == KNOWN_VERSION
    except PackageNotFoundError:
        return False


class _Groups:
    """Rows in groups, in the shape of pymilvus' `QueryIterator`."""

    def __init__(self, rows: Iterator[dict[str, Any]], size: int) -> None:
        self._rows = rows
        self._size = size

    def next(self) -> list[dict[str, Any]]:
        return list(islice(self._rows, self._size))

    def close(self) -> None:
        self._rows = iter(())


def _translated(call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:  # the engine raises ValueError and others besides its own
        raise StorageFailure(f"Milvus: {error}") from error


def _translated_rows(rows: Iterator[T]) -> Iterator[T]:
    try:
        yield from rows
    except Exception as error:
        raise StorageFailure(f"Milvus: {error}") from error


def _open_engine(uri: str) -> Any:
    try:
        leave_out_pandas()
        from milvus_lite import MilvusLite, MilvusLiteError
    except ImportError as error:
        raise missing_packages() from error
    make_folder_for(uri)
    try:
        return wait_for_lock(uri, lambda: MilvusLite(uri))
    except (MilvusLiteError, OSError) as error:
        raise cannot_open(uri) from error


def _make_collection(engine: Any, name: str, fields: Sequence[Field], properties: dict[str, str]) -> None:
    from gemvec.milvus.lite_schema import to_lite_schema

    engine.create_collection(name, to_lite_schema(fields), properties)


def _open_writer(engine: Any, uri: str, name: str) -> Any:
    from gemvec.milvus.lite_writer import open_writer

    return open_writer(engine, uri, name)


def _close_writer(engine: Any, name: str) -> None:
    from gemvec.milvus.lite_writer import close_writer

    close_writer(engine, name)


def _read_properties(engine: Any, uri: str, name: str) -> dict[str, Any]:
    """Return the properties of a collection without opening it."""
    from milvus_lite.schema.persistence import load_schema

    _, schema = load_schema(str(Path(uri) / "collections" / engine.resolve_collection_name(name) / "schema.json"))
    return dict(schema.properties)


def _decoded(collection: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with JSON decoded; the engine returns its text."""
    names = [field.name for field in collection.schema.fields if field.dtype.name == "JSON"]
    return row | {name: json.loads(row[name]) for name in names if isinstance(row.get(name), str)}
