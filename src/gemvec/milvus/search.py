"""Search in a collection: dense, or hybrid (vectors and BM25, joined by `fusion.py`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, cast

from gemvec.documents.text import fold
from gemvec.embedding.embed import Float32Array
from gemvec.embedding.embedder import Embedder
from gemvec.errors import FailedPrecondition, InvalidRequest, StorageFailure
from gemvec.milvus.collection import Collection
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.embed import embed_query
from gemvec.milvus.fusion import count_candidates, fuse
from gemvec.milvus.version import CollectionVersion
from gemvec.milvus.words import query_words

_FIELDS = ("text", "document_id", "chunk", "title", "heading", "source", "position", "metadata")
# HNSW's candidate list; recall against exact search is near 1 from here on.
_SEARCH_BREADTH = 128
MAX_RESULTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One passage found.

    Attributes:
        score: cosine similarity (dense), or what `fuse` gives, from 0 to 1 (hybrid); higher is better.
        Others: see `Row`.
    """

    score: float
    key: str
    text: str
    document_id: str
    chunk: int
    title: str
    heading: str
    source: str
    position: str
    metadata: dict[str, Any]


async def search(
    collection: Collection,
    embedder: Embedder,
    query: str,
    *,
    limit: int = 5,
    hybrid: bool = False,
    where: str = "",
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

    Raises:
        FailedPrecondition: the search is hybrid, and the collection has no words.
        CollectionNotFound: there is no such collection.
        FingerprintMismatch: `embedder` does not serve the collection's model.
        StorageFailure: Milvus failed, or does not understand `where`.
    """
    if not query.strip():
        raise InvalidRequest("The query is empty.", field="query")
    if not 1 <= limit <= MAX_RESULTS:
        raise InvalidRequest(f"limit is {limit}; it must be 1 to {MAX_RESULTS}.", field="limit")
    query = fold(query)  # as documents are
    version = await asyncio.to_thread(collection.resolve)
    if hybrid and not version.indexing.has_words:
        raise FailedPrecondition(
            f"Collection {collection.name!r} has no words to match, because its Milvus has no BM25. Search it by "
            f"meaning only, or index the documents at Milvus 2.5 or later."
        )
    while True:
        vector = await embed_query(embedder, version.fingerprint, query, collection=collection.name)
        try:
            if hybrid:
                return await asyncio.to_thread(_search_hybrid, version, vector, query, limit, where)
            return await asyncio.to_thread(search_dense, version, vector, limit, where)
        except StorageFailure:
            # Between the two calls the alias may have moved and the old version been dropped.
            latest = await asyncio.to_thread(collection.resolve)
            if latest.name == version.name:
                raise
            version = latest


def search_dense(version: CollectionVersion, vector: Float32Array, limit: int, where: str) -> list[Hit]:
    """Return the passages with the nearest vectors, best first."""
    params = {"metric_type": "COSINE", "params": {"ef": max(_SEARCH_BREADTH, limit)}}
    return _ask(version, ("vector", vector), params, limit, where)


def search_sparse(version: CollectionVersion, query: str, limit: int, where: str) -> list[Hit]:
    """Return the passages that share words with a query, by BM25, best first; Lite's scores are negative."""
    return _ask(version, ("sparse", query_words(query)), {"metric_type": "BM25"}, limit, where)


def _search_hybrid(version: CollectionVersion, vector: Float32Array, query: str, limit: int, where: str) -> list[Hit]:
    wanted = count_candidates(limit)
    dense = search_dense(version, vector, wanted, where)
    sparse = search_sparse(version, query, wanted, where)
    hits = {hit.key: hit for hit in (*dense, *sparse)}
    joined = fuse([(hit.key, hit.score) for hit in dense], [(hit.key, hit.score) for hit in sparse])
    return [replace(hits[key], score=score) for key, score in joined[:limit]]


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
