"""A Milvus Lite file opened only as far as needed: `LiteClient`.

pymilvus loads pandas and a gRPC server, which takes more than a second before the first answer. Reading does not need
them, because Lite's engine runs in this process anyway. An ingest that finds everything up to date does not even need
the engine, if the file has not changed since the last ingest (`snapshot.py`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from gemvec.errors import FailedPrecondition, StorageFailure
from gemvec.milvus.connection import (
    cannot_open,
    close_client,
    make_folder_for,
    missing_packages,
    open_client,
    wait_for_lock,
)
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

# A scan of more rows than this uses pymilvus, which fetches them piece by piece.
_MAX_ROWS_SCANNED = 100_000


class LiteClient:
    """The methods of `pymilvus.MilvusClient` that reading needs; others open one, which then does all.

    Safe to use from several threads. Until one is open, the file is locked against other clients, also of this process.

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
        self._loaded: set[str] = set()  # what a client must load again after the engine has stopped

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

    def remembers(self, name: str) -> bool:
        """Whether the snapshot is enough to tell whether documents of collection `name` are up to date."""
        return self._knows(name) is not None

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
            lambda engine: {"properties": dict(engine.get_collection(name).schema.properties)},
            lambda client: client.describe_collection(name),
        )

    def load_collection(self, name: str) -> None:
        """Read indexes into memory; build those that an interrupted ingest did not build."""
        self._loaded.add(name)
        if not self._knows(name):
            self._read(lambda engine: engine.get_collection(name).load(), lambda client: client.load_collection(name))

    def flush(self, name: str) -> None:
        """Make what was written durable; an ingest does this at its end."""
        if not self._knows(name):
            self._is_snapshot_due = True
            self._read(lambda engine: engine.get_collection(name).flush(), lambda client: client.flush(name))

    def list_indexes(self, name: str) -> list[str]:
        """Return the names of the indexes that may be unbuilt; none without pymilvus, because loading builds them."""
        return self._client.list_indexes(name) if self._client else []

    def query(self, name: str, *, filter: str, output_fields: list[str]) -> list[dict[str, Any]]:  # noqa: A002 # pymilvus' word
        """Return `output_fields` of the rows that match `filter`, or their number."""
        is_count = output_fields == ["count(*)"] and not filter
        if is_count and (snapshot := self._knows(name)):
            return [{"count(*)": len(snapshot.rows)}]

        def read(engine: Any) -> list[dict[str, Any]]:
            found = _loaded(engine, name)
            if is_count:
                return [{"count(*)": found.num_entities}]
            return [_decoded(found, row) for row in found.query(filter or None, output_fields=output_fields)]

        return self._read(read, lambda client: client.query(name, filter=filter, output_fields=output_fields))

    def query_iterator(self, name: str, *, batch_size: int, output_fields: list[str]) -> Any:
        """Return an iterator over `output_fields` of all rows, with `next` and `close`."""
        if (snapshot := self._knows(name)) and set(output_fields) <= set(SNAPSHOT_FIELDS):
            return _Rows(snapshot.select(output_fields), batch_size)

        def read(engine: Any) -> Any:
            found = _loaded(engine, name)
            is_small = found.num_entities <= _MAX_ROWS_SCANNED
            if not is_small:
                return None
            return _Rows([_decoded(found, row) for row in found.query(output_fields=output_fields)], batch_size)

        def ask(client: Any) -> Any:
            return client.query_iterator(name, batch_size=batch_size, output_fields=output_fields)

        return self._read(read, ask) or ask(self._become_client())

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
            found = _loaded(engine, name)
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
                try:
                    return read(self._engine)
                except Exception as error:  # the engine raises ValueError and others besides its own
                    raise StorageFailure(f"Milvus: {error}") from error
        return ask(self._client)

    def _become_client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._close()
                self._client = open_client(self._uri)
                for name in self._loaded:
                    self._client.load_collection(name)
            return self._client

    def _close(self) -> None:
        if self._client is not None:
            close_client(self._client, self._uri)
            self._client = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _leave_snapshot(self, path: Path) -> None:
        engine = _open_engine(self._uri)
        try:
            found = _loaded(engine, self._name)
            if found.num_entities > MAX_SNAPSHOT_ROWS:
                return
            snapshot = Snapshot(
                state=read_state(self._uri),  # while no other process can write
                names=(self._name, found.name),
                properties=dict(found.schema.properties),
                rows=[
                    tuple(row[field] for field in SNAPSHOT_FIELDS)
                    for row in found.query(output_fields=[*SNAPSHOT_FIELDS])
                ],
            )
        finally:
            engine.close()
        save_snapshot(path, snapshot)


class _Rows:
    """Rows that are all here, in the shape of pymilvus' `QueryIterator`."""

    def __init__(self, rows: list[dict[str, Any]], batch_size: int) -> None:
        self._groups = iter([rows[start : start + batch_size] for start in range(0, len(rows), batch_size)])

    def next(self) -> list[dict[str, Any]]:
        return next(self._groups, list[dict[str, Any]]())

    def close(self) -> None:
        self._groups = iter(())


def _open_engine(uri: str) -> Any:
    try:
        from milvus_lite import MilvusLite, MilvusLiteError
    except ImportError as error:
        raise missing_packages() from error
    make_folder_for(uri)
    try:
        return wait_for_lock(uri, lambda: MilvusLite(uri))
    except (MilvusLiteError, OSError) as error:
        raise cannot_open(uri) from error


def _loaded(engine: Any, name: str) -> Any:
    found = engine.get_collection(name)
    found.load()
    return found


def _decoded(collection: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with JSON decoded; the engine returns its text."""
    names = [field.name for field in collection.schema.fields if field.dtype.name == "JSON"]
    return row | {name: json.loads(row[name]) for name in names if isinstance(row.get(name), str)}
