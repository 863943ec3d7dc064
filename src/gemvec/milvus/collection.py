"""One named collection: the alias that readers go through, and the versions behind it.

The name a user gives is an alias; the collection behind it is called `<name>_<digest of its fingerprint>`. So the model
can be changed by building another version beside it and moving the alias, which Milvus does atomically.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

from gemvec.errors import CollectionNotFound, FailedPrecondition, InvalidRequest, StorageFailure
from gemvec.milvus.connection import call_milvus, close_client, flush_lock, is_lite, open_client
from gemvec.milvus.fingerprint import PROPERTY, Fingerprint
from gemvec.milvus.indexing import PROPERTY as INDEXING_PROPERTY
from gemvec.milvus.indexing import Indexing
from gemvec.milvus.lite import LiteClient, knows_lite
from gemvec.milvus.schema import create_collection, create_indexes
from gemvec.milvus.version import LITE_SEAL_BYTES, CollectionVersion

# Milvus takes 255 characters; the name is followed by an underscore and the version's digest.
_MAX_NAME = 240
# How often a reader starts again because the version that it opens is gone.
_MAX_MOVES = 3
_NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{_MAX_NAME - 1}}}")


class Collection:
    """One named collection. Get it from `open_collection`; close it, or use it in a `with` block.

    Methods wait for Milvus; call them in a thread from async code.

    Attributes:
        name: the alias.
        uri: where Milvus is.
        client: the `pymilvus.MilvusClient`, for what this class does not do, or a `LiteClient`, which becomes one.
    """

    def __init__(self, client: Any, uri: str, name: str) -> None:
        self.client = client
        self.uri = uri
        self.name = name
        self._loaded: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and Milvus Lite's engine with the last one."""
        if isinstance(self.client, LiteClient):
            self.client.close()
        else:
            close_client(self.client, self.uri)

    def exists(self) -> bool:
        """Whether there is a collection of this name."""
        return self._describe(self.name) is not None

    def resolve(self) -> CollectionVersion:
        """Return the version that the alias names now, ready to be searched.

        Raises:
            CollectionNotFound: there is none.
            FailedPrecondition: the collection was not made by gemvec.
            StorageFailure: Milvus failed.
        """
        fingerprint, indexing = self._read_alias()
        for _ in range(_MAX_MOVES):
            try:
                # By its own name, so that later calls cannot get another version when the alias moves.
                return self._open(self._name_of(fingerprint), fingerprint, indexing)
            except StorageFailure:
                # Between the two calls the alias may have moved and the old version been dropped.
                failed = fingerprint
                fingerprint, indexing = self._read_alias()
                if fingerprint == failed:
                    raise
        return self._open(self._name_of(fingerprint), fingerprint, indexing)

    def _read_alias(self) -> tuple[Fingerprint, Indexing]:
        described = self._describe(self.name)
        if described is None:
            raise CollectionNotFound(f"There is no collection {self.name!r} in {self.uri}.")
        stored = described["properties"].get(PROPERTY)
        if stored is None:
            raise FailedPrecondition(f"Collection {self.name!r} was not made by gemvec; use another name.")
        return Fingerprint.parse(stored), _parse_indexing(described)

    def create(self, fingerprint: Fingerprint, indexing: Indexing | None = None) -> CollectionVersion:
        """Make the collection; finishes what an earlier attempt left half done."""
        version = self.create_beside(fingerprint, indexing)
        call_milvus(self.client.create_alias, collection_name=version.name, alias=self.name)
        return version

    def create_beside(self, fingerprint: Fingerprint, indexing: Indexing | None = None) -> CollectionVersion:
        """Make, or find, the version for `fingerprint` without moving the alias; it records `indexing`."""
        name, how = self._name_of(fingerprint), indexing or Indexing()
        described = self._describe(name)
        if described is None:
            recorded = create_collection(self.client, name, fingerprint, how)
        else:
            recorded = _parse_indexing(described)
        create_indexes(self.client, name, has_words=recorded.has_words)
        version = self._open(name, fingerprint, recorded)
        return self.record(version, replace(how, has_words=recorded.has_words)) if indexing else version

    def record(self, version: CollectionVersion, indexing: Indexing) -> CollectionVersion:
        """Record in the collection how its documents are named and cut."""
        if version.indexing == indexing:
            return version
        properties = {INDEXING_PROPERTY: indexing.format()}
        call_milvus(self.client.alter_collection_properties, version.name, properties)
        return replace(version, indexing=indexing)

    def switch(self, version: CollectionVersion) -> None:
        """Move the alias to `version`, atomically."""
        call_milvus(self.client.alter_alias, collection_name=version.name, alias=self.name)

    def list_others(self) -> list[CollectionVersion]:
        """Return the versions of this collection that the alias does not name."""
        current = self.resolve().name
        return [each for name, each in find_versions(self.client) if name == self.name and each.name != current]

    def drop(self, version: CollectionVersion) -> None:
        """Delete `version` for good."""
        call_milvus(self.client.drop_collection, version.name)
        self._loaded.discard(version.name)

    def _name_of(self, fingerprint: Fingerprint) -> str:
        return self.name + _ending_of(fingerprint)

    def _describe(self, name: str) -> dict[str, Any] | None:
        if not call_milvus(self.client.has_collection, name):
            return None
        return cast("dict[str, Any]", call_milvus(self.client.describe_collection, name))

    def _open(self, name: str, fingerprint: Fingerprint, indexing: Indexing) -> CollectionVersion:
        if name not in self._loaded:
            call_milvus(self.client.load_collection, name)
            self._loaded.add(name)
        return CollectionVersion(
            client=self.client,
            name=name,
            fingerprint=fingerprint,
            indexing=indexing,
            seal_bytes=LITE_SEAL_BYTES if is_lite(self.uri) else 0,
            flush_lock=flush_lock(self.uri),
        )


def find_versions(client: Any) -> Iterator[tuple[str, CollectionVersion]]:
    """Yield every version of every collection that gemvec made, with the collection's name."""
    for name in sorted(cast("list[str]", call_milvus(client.list_collections))):
        described = cast("dict[str, Any]", call_milvus(client.describe_collection, name))
        if PROPERTY not in described["properties"]:
            continue
        fingerprint = Fingerprint.parse(described["properties"][PROPERTY])
        if name.endswith(_ending_of(fingerprint)):
            how = _parse_indexing(described)
            version = CollectionVersion(client=client, name=name, fingerprint=fingerprint, indexing=how)
            yield name.removesuffix(_ending_of(fingerprint)), version


def _ending_of(fingerprint: Fingerprint) -> str:
    return f"_{fingerprint.digest}"


def _parse_indexing(described: dict[str, Any]) -> Indexing:
    return Indexing.parse(described["properties"].get(INDEXING_PROPERTY))


def open_collection(
    uri: str,
    name: str,
    *,
    token: str = "",
    must_exist: bool = False,
    is_only_client: bool = False,
    snapshots: Path | None = None,
) -> Collection:
    """Open Milvus at `uri` for the collection `name`, which need not exist yet.

    >>> with open_collection("./my.db", "docs") as collection:  # doctest: +SKIP
    ...     print(collection.resolve().fingerprint)

    Args:
        uri: a path ending in `.db` for Milvus Lite, or the address of a server or of Zilliz Cloud.
        name: the collection's name, an alias in Milvus.
        token: `user:password` or an API key; empty for Lite.
        must_exist: refuse a missing Lite file instead of making one.
        is_only_client: nothing else in this process opens the Lite file. It is then used without pymilvus, which loads
            where more than rows is asked for, and the first answer comes about a second sooner.
        snapshots: with `is_only_client`, a folder for notes between runs, so that an ingest that finds everything up to
            date need not open the Lite file at all.

    Raises:
        InvalidRequest: Milvus does not take this name.
        CollectionNotFound: the file must exist, and does not.
        FailedPrecondition, TransportFailure, MissingDependency: see `open_client`.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"The collection name is {name!r}; it must have letters, digits and underscores only, not begin with a "
            f"digit, and have at most {_MAX_NAME} characters.",
            field="collection",
        )
    if must_exist and is_lite(uri) and not Path(uri).exists():
        raise CollectionNotFound(f"There is no collection {name!r}: the Milvus Lite file {uri} does not exist.")
    is_light = is_only_client and is_lite(uri) and knows_lite()
    client = LiteClient(uri, name, snapshots=snapshots) if is_light else open_client(uri, token)
    return Collection(client, uri, name)
