"""Search in a collection: dense, or hybrid (vectors and BM25, joined by `fusion.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from gemvec.documents.text import fold, replace_halves
from gemvec.embedding.embed import Float32Array
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.task_type import QUERY_TASKS, TaskType
from gemvec.errors import FailedPrecondition, InvalidRequest, StorageFailure
from gemvec.milvus.collection import Collection
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.context import join_neighbours
from gemvec.milvus.embed import embed_query
from gemvec.milvus.fusion import UNKNOWN_DENSE_SHARE, count_candidates, find_dense_share, fuse
from gemvec.milvus.hit import Hit
from gemvec.milvus.version import CollectionVersion
from gemvec.milvus.words import query_words

_FIELDS = ("text", "document_id", "chunk", "title", "heading", "source", "position", "metadata")
# HNSW's candidate list; recall against exact search is near 1 from here on.
_SEARCH_BREADTH = 192
MAX_RESULTS = 1_000
MAX_CONTEXT = 20
# How many more passages than documents are looked at, and again if these are not enough.
_PASSAGES_PER_DOCUMENT = 4


async def search(
    collection: Collection,
    embedder: Embedder,
    query: str,
    *,
    limit: int = 5,
    hybrid: bool = False,
    where: str = "",
    by_document: bool = False,
    context: int = 0,
    task_type: TaskType = TaskType.RETRIEVAL_QUERY,
    knows_script: bool = True,
) -> list[Hit]:
    """Return the passages nearest to a query, best first.

    The model is the collection's own, found among those that `embedder` serves. If the alias moves to another version
    meanwhile, the whole answer comes from one of the two.

    Args:
        collection: where to look.
        embedder: computes the query's vector.
        query: what to look for.
        limit: most passages wanted.
        hybrid: also match words (BM25), and join both, see `fuse`.
        where: a filter in Milvus' language, such as `metadata["lang"] == "en" and source like "docs/%"`.
        by_document: return only the best passage of each document.
        context: join this many passages before and after each one to its text; passages that stand in the text of a
            better one are left out.
        task_type: what the query is, one of `QUERY_TASKS`; CODE_RETRIEVAL_QUERY asks for source code.
        knows_script: whether the model knows the script of the query; if not, a hybrid search goes by its words.

    Raises:
        FailedPrecondition: the search is hybrid, and the collection has no words.
        CollectionNotFound: there is no such collection.
        FingerprintMismatch: `embedder` does not serve the collection's model.
        StorageFailure: Milvus failed, or does not understand `where`.
    """
    options = SearchOptions(
        limit=limit,
        hybrid=hybrid,
        where=where,
        by_document=by_document,
        context=context,
        task_type=task_type,
        knows_script=knows_script,
    )
    version = await asyncio.to_thread(collection.resolve)
    query = options.check(query, version, collection.name)
    while True:
        vector = await embed_query(
            embedder, version.fingerprint, query, collection=collection.name, task_type=task_type
        )
        try:
            return await asyncio.to_thread(find_passages, version, vector, query, options)
        except StorageFailure:
            # Between the two calls the alias may have moved and the old version been dropped.
            latest = await asyncio.to_thread(collection.resolve)
            if latest.name == version.name:
                raise
            version = latest


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """What a search returns; see `search`."""

    limit: int = 5
    hybrid: bool = False
    where: str = ""
    by_document: bool = False
    context: int = 0
    task_type: TaskType = TaskType.RETRIEVAL_QUERY
    knows_script: bool = True

    def check(self, query: str, version: CollectionVersion, name: str) -> str:
        """Return the query in the form that documents have.

        Args:
            query: what to look for.
            version: where.
            name: the collection's name, for messages.

        Raises:
            InvalidRequest: the query is empty or no text, or a number is out of range.
            FailedPrecondition: the search is hybrid, and the collection has no words.
        """
        if not query.strip():
            raise InvalidRequest("The query is empty.", field="query")
        if replace_halves(query)[1]:
            raise InvalidRequest("The query has half a character, or bytes that are no UTF-8 text.", field="query")
        if not 1 <= self.limit <= MAX_RESULTS:
            raise InvalidRequest(f"limit is {self.limit}; it must be 1 to {MAX_RESULTS}.", field="limit")
        if not 0 <= self.context <= MAX_CONTEXT:
            raise InvalidRequest(f"context is {self.context}; it must be 0 to {MAX_CONTEXT}.", field="context")
        if self.task_type not in QUERY_TASKS:
            names = ", ".join(each.name for each in QUERY_TASKS)
            raise InvalidRequest(
                f"task_type is {self.task_type.name}, which is not that of a query: {names}.", field="task_type"
            )
        if self.hybrid and not version.indexing.has_words:
            raise FailedPrecondition(
                f"Collection {name!r} has no words to match, because its Milvus has no BM25. Search it by meaning "
                f"only, or index the documents at Milvus 2.5 or later."
            )
        return fold(query)


def find_passages(version: CollectionVersion, vector: Float32Array, query: str, options: SearchOptions) -> list[Hit]:
    """Return what `search` returns, for a query that is checked and embedded already.

    Raises:
        StorageFailure: Milvus failed, does not understand the filter, or the version was dropped meanwhile.
    """

    def find(most: int) -> list[Hit]:
        if options.hybrid:
            return _search_hybrid(version, vector, query, most, options)
        return search_dense(version, vector, most, options.where)

    with version.flush_lock:
        hits = _find_documents(find, options.limit) if options.by_document else find(options.limit)
        if len(hits) < options.limit:
            _check_exists(version)
        return join_neighbours(version, hits, options.context) if options.context else hits


def _check_exists(version: CollectionVersion) -> None:
    """Refuse an answer that may lack passages: for a moment, a server finds nothing in a collection that is dropped."""
    if not call_milvus(version.client.has_collection, version.name):
        raise StorageFailure(f"Collection {version.name!r} was dropped while it was searched.")


def _find_documents(find: Callable[[int], list[Hit]], limit: int) -> list[Hit]:
    """Return the best passage of each document; looks at more passages until there are enough documents."""
    most = limit
    while True:
        most = min(most * _PASSAGES_PER_DOCUMENT, MAX_RESULTS)
        hits = find(most)
        best = {hit.document_id: hit for hit in reversed(hits)}
        if len(best) >= limit or len(hits) < most or most == MAX_RESULTS:
            return [hit for hit in hits if best[hit.document_id] is hit][:limit]


def search_dense(version: CollectionVersion, vector: Float32Array, limit: int, where: str) -> list[Hit]:
    """Return the passages with the nearest vectors, best first."""
    params = {"metric_type": "COSINE", "params": {"ef": max(_SEARCH_BREADTH, limit)}}
    return _ask(version, ("vector", vector), params, limit, where)


def search_sparse(version: CollectionVersion, query: str, limit: int, where: str) -> list[Hit]:
    """Return the passages that share words with a query, by BM25, best first."""
    hits = _ask(version, ("sparse", query_words(query)), {"metric_type": "BM25"}, limit, where)
    return [replace(hit, score=abs(hit.score)) for hit in hits]  # Lite gives the negative of a server's score


def _search_hybrid(
    version: CollectionVersion, vector: Float32Array, query: str, limit: int, options: SearchOptions
) -> list[Hit]:
    wanted = count_candidates(limit)
    dense = search_dense(version, vector, wanted, options.where)
    sparse = search_sparse(version, query, wanted, options.where)
    hits = {hit.key: hit for hit in (*dense, *sparse)}
    lists = ([(hit.key, hit.score) for hit in each] for each in (dense, sparse))
    joined = fuse(*lists, share=_find_share(query, options))
    return [replace(hits[key], score=score) for key, score in joined[:limit]]


def _find_share(query: str, options: SearchOptions) -> float:
    return find_dense_share(query, by_document=options.by_document) if options.knows_script else UNKNOWN_DENSE_SHARE


def _ask(
    version: CollectionVersion, query: tuple[str, Float32Array | str], params: dict[str, Any], limit: int, where: str
) -> list[Hit]:
    field, asked = query
    found = call_milvus(
        version.client.search,
        version.name,
        data=[asked],
        anns_field=field,
        limit=limit,
        filter=where,
        output_fields=list(_FIELDS),
        search_params=params,
    )
    return [_to_hit(each) for each in cast("list[Any]", found[0])]


def _to_hit(found: Any) -> Hit:
    entity = found["entity"]
    if missing := [name for name in _FIELDS if name not in entity]:
        raise StorageFailure(f"Milvus left out {', '.join(missing)}.")
    key = found.get("key") or found["id"]  # a server before 2.4 does not say which field the primary key is
    return Hit(score=float(found["distance"]), key=str(key), **{name: entity[name] for name in _FIELDS})
