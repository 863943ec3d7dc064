"""Questions answered from a collection: dense, or hybrid (vectors and BM25, joined by `fusion.py`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, cast

from gemvec.embedding.embed import Float32Array
from gemvec.embedding.embedder import Embedder
from gemvec.errors import InvalidRequest, StorageFailure
from gemvec.milvus.collection import Collection
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.embed import embed_question
from gemvec.milvus.fusion import count_candidates, fuse
from gemvec.milvus.generation import Generation

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
    question: str,
    *,
    limit: int = 5,
    hybrid: bool = False,
    where: str = "",
) -> list[Hit]:
    """Return the passages nearest to a question, best first.

    The model is the collection's own, found among those `embedder` serves; when the alias moves to another
    collection in between, the answer comes whole from one of the two.

    Args:
        collection: where to look.
        embedder: computes the question's vector.
        question: what to look for.
        limit: most passages wanted.
        hybrid: also match words (BM25), and join both, see `fuse`.
        where: a filter in Milvus' language, such as `metadata["lang"] == "en" and source like "docs/%"`.

    Raises:
        CollectionNotFound: there is no such collection.
        FingerprintMismatch: `embedder` does not serve the collection's model.
        StorageFailure: Milvus failed, or does not understand `where`.
    """
    if not question.strip():
        raise InvalidRequest("The question is empty.", field="question")
    if not 1 <= limit <= MAX_RESULTS:
        raise InvalidRequest(f"limit is {limit}; it must be 1 to {MAX_RESULTS}.", field="limit")
    generation = await asyncio.to_thread(collection.resolve)
    while True:
        vector = await embed_question(embedder, generation.fingerprint, question, collection=collection.name)
        try:
            if hybrid:
                return await asyncio.to_thread(_search_hybrid, generation, vector, question, limit, where)
            return await asyncio.to_thread(search_dense, generation, vector, limit, where)
        except StorageFailure:
            # Between the two calls the alias may have moved and the old generation been dropped.
            latest = await asyncio.to_thread(collection.resolve)
            if latest.name == generation.name:
                raise
            generation = latest


def search_dense(generation: Generation, vector: Float32Array, limit: int, where: str) -> list[Hit]:
    """Return the passages nearest in meaning, best first."""
    params = {"metric_type": "COSINE", "params": {"ef": max(_SEARCH_BREADTH, limit)}}
    return _ask(generation, ("vector", vector), params, limit, where)


def search_words(generation: Generation, question: str, limit: int, where: str) -> list[Hit]:
    """Return the passages that share words with a question, by BM25, best first; Lite's scores are negative."""
    return _ask(generation, ("sparse", question), {"metric_type": "BM25"}, limit, where)


def _search_hybrid(generation: Generation, vector: Float32Array, question: str, limit: int, where: str) -> list[Hit]:
    wanted = count_candidates(limit)
    dense = search_dense(generation, vector, wanted, where)
    words = search_words(generation, question, wanted, where)
    hits = {hit.key: hit for hit in (*dense, *words)}
    joined = fuse([(hit.key, hit.score) for hit in dense], [(hit.key, hit.score) for hit in words])
    return [replace(hits[key], score=score) for key, score in joined[:limit]]


def _ask(
    generation: Generation, query: tuple[str, Float32Array | str], params: dict[str, Any], limit: int, where: str
) -> list[Hit]:
    field, asked = query
    found = call_milvus(
        generation.client.search,
        generation.name,
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
    return Hit(score=float(found["distance"]), key=str(found["key"]), **{name: entity[name] for name in _FIELDS})
