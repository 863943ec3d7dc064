"""Managing collections: list them, count what they contain, delete documents by source, drop them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from gemvec.documents.ignore import Filters
from gemvec.documents.root import Root
from gemvec.documents.scope import AnyScope, Scope, find_scope
from gemvec.errors import InvalidRequest
from gemvec.milvus.collection import Collection, find_versions
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.version import CollectionVersion

NO_SUFFIX = "no suffix"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionOverview:
    """One collection that gemvec made.

    Attributes:
        name: the alias, also of an unfinished collection.
        current: the version that the alias names; None if the first ingest was interrupted before it.
        others: versions that the alias does not name, such as that of an interrupted `gemvec reembed`.
        passages: rows of the current version.
    """

    name: str
    current: CollectionVersion | None
    others: tuple[CollectionVersion, ...]
    passages: int


@dataclass(slots=True, kw_only=True)
class CollectionStats:
    """The content of a collection.

    Attributes:
        documents, passages: how many there are.
        incomplete: documents with missing rows; the next `gemvec index` completes them.
        sources: number of files and other sources.
        documents_by_suffix: number of documents by the suffix of their source in lower case.
    """

    documents: int = 0
    passages: int = 0
    incomplete: int = 0
    sources: int = 0
    documents_by_suffix: Counter[str] = field(default_factory=Counter[str])


def list_collections(client: Any, uri: str) -> list[CollectionOverview]:
    """Return the collections that gemvec made in a Milvus, sorted by name.

    Args:
        client: an open `pymilvus.MilvusClient`.
        uri: where it is.
    """
    found: dict[str, list[CollectionVersion]] = {}
    for name, version in find_versions(client):
        found.setdefault(name, []).append(version)
    return [_describe(Collection(client, uri, name), versions) for name, versions in sorted(found.items())]


def _describe(collection: Collection, versions: Sequence[CollectionVersion]) -> CollectionOverview:
    current = collection.resolve() if collection.exists() else None
    others = tuple(each for each in versions if current is None or each.name != current.name)
    return CollectionOverview(
        name=collection.name, current=current, others=others, passages=current.count() if current else 0
    )


def count_documents(version: CollectionVersion) -> CollectionStats:
    """Count what a collection contains; reads every row without its text."""
    stats = CollectionStats()
    rows: Counter[tuple[str, str]] = Counter()
    chunks: dict[tuple[str, str], int] = {}
    for row in version.scan(["document_id", "source", "chunks"]):
        document = (row["document_id"], row["source"])
        rows[document] += 1
        chunks[document] = row["chunks"]
    stats.documents, stats.passages = len(rows), rows.total()
    stats.incomplete = sum(count != chunks[document] for document, count in rows.items())
    stats.sources = len({source for _, source in rows})
    stats.documents_by_suffix.update(PurePosixPath(source).suffix.lower() or NO_SUFFIX for _, source in rows)
    return stats


def delete_sources(version: CollectionVersion, sources: Sequence[str]) -> dict[str, int]:
    """Delete documents by file, folder or glob, which need not exist any more, or by id.

    Args:
        version: the version to delete from.
        sources: paths as `gemvec index` takes them, or ids of documents.

    Returns:
        The number of documents deleted for each source; a document that belongs to two counts for the first.

    Raises:
        InvalidRequest: a source has no document in the collection; then nothing is deleted.
    """
    root = Root.of(version.indexing.root) if version.indexing.root else Root.of(Path.cwd())
    scopes = {source: _find_scope(source, root) for source in sources}
    keys: list[str] = []
    documents: dict[str, set[str]] = {source: set() for source in sources}
    meant: set[str] = set()
    more = ["metadata"] if any(scope.needs_metadata for scope in scopes.values()) else []
    for row in version.scan(["key", "document_id", "source", *more]):
        document_id, found_in, metadata = row["document_id"], row["source"], row.get("metadata")
        holding = [each for each, scope in scopes.items() if each == document_id or scope.holds(found_in, metadata)]
        if holding:
            keys.append(row["key"])
            documents[holding[0]].add(document_id)
            meant.update(holding)
    if missing := next((source for source in sources if source not in meant), None):
        raise InvalidRequest(f"The collection has no document from {missing!r}.", field="source")
    version.delete(keys)
    version.finish()
    return {source: len(found) for source, found in documents.items()}


def _find_scope(source: str, root: Root) -> AnyScope:
    whole = Filters(code=True)  # whatever was indexed of it
    try:
        return find_scope(source, root, whole)
    except InvalidRequest:  # an id that a program has made, such as `ticket://7`
        return Scope.of(source, root, whole)


def delete_documents(version: CollectionVersion, document_ids: Sequence[str]) -> None:
    """Delete documents by their ids.

    Raises:
        InvalidRequest: the collection has no document of an id; nothing is deleted then.
    """
    states = list(version.states_of(document_ids))
    known = {state.document_id for state in states}
    if missing := next((each for each in document_ids if each not in known), None):
        raise InvalidRequest(f"The collection has no document {missing!r}.", field="ids")
    version.delete([state.key for state in states])
    version.finish()


def drop_collection(collection: Collection) -> int:
    """Delete a collection for good, with all its versions, and return how many passages the current one had.

    Raises:
        CollectionNotFound: there is no such collection.
        FailedPrecondition: it was not made by gemvec.
    """
    current = collection.resolve()
    passages = current.count()
    others = collection.list_others()
    call_milvus(collection.client.drop_alias, collection.name)
    for version in (current, *others):
        collection.drop(version)
    return passages
