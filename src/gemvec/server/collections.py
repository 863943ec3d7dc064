"""Search in collections of Milvus: `POST /collections/{collection}:search`, with the keys and limits of embedding.

The console also lists them, and reads the passages around one that was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadSetting, CollectionNotFound, GemvecError, InvalidRequest, StorageFailure
from gemvec.logs import get_logger
from gemvec.server.auth import Caller
from gemvec.server.bodies import answer, read_body, read_query
from gemvec.server.context import services_of
from gemvec.server.embed import embed, use_model
from gemvec.server.key_aliases import embedder_of
from gemvec.settings import Settings
from gemvec.wire.collections import Passage, SearchRequest, SearchResponse
from gemvec.wire.console import NearPassage, NearPassages, NearQuery, ServedCollection, ServedCollections
from gemvec.wire.message import to_wire

if TYPE_CHECKING:
    from gemvec.embedding.embed import Embedding, Float32Array
    from gemvec.embedding.embedder import Embedder
    from gemvec.embedding.models import ServedModel
    from gemvec.milvus import Collection, CollectionVersion, Hit
    from gemvec.milvus.search import SearchOptions

log = get_logger("server")


def open_collections(settings: Settings, embedder: Embedder, opened: ExitStack) -> Mapping[str, Collection]:
    """Open the collections to search, which stay open; a Milvus Lite file is locked meanwhile.

    Args:
        settings: which collections, and where.
        embedder: must serve their models.
        opened: closes them.

    Raises:
        BadSetting: an entry is not NAME=URI, or a name comes twice.
        CollectionNotFound: there is no such collection.
        FingerprintMismatch: the server does not serve a collection's model.
    """
    found: dict[str, Collection] = {}
    for entry in settings.served_collection:
        from gemvec.milvus import open_collection

        name, separator, uri = entry.partition("=")
        if not (name and separator and uri):
            raise BadSetting(f"--collection is {entry!r}, expected NAME=URI, such as docs=./my.db.")
        if name in found:
            raise BadSetting(f"--collection names {name!r} twice.")
        collection = opened.enter_context(
            open_collection(uri, name, token=settings.token, must_exist=True, is_only_client=True)
        )
        collection.resolve().fingerprint.find_served(embedder, collection=name)
        found[name] = collection
    return found


async def search(request: Request) -> Response:
    """Search a collection."""
    from gemvec.milvus.embed import make_query_request
    from gemvec.milvus.search import SearchOptions

    collection = _find(request)
    asked = await read_body(request, SearchRequest)
    options = SearchOptions(
        limit=asked.limit,
        hybrid=asked.hybrid,
        where=asked.where,
        by_document=asked.by_document,
        context=asked.context,
        task_type=asked.task_type or TaskType.RETRIEVAL_QUERY,
    )
    version = await asyncio.to_thread(collection.resolve)
    query = options.check(asked.query, version, collection.name)
    served = version.fingerprint.find_served(embedder_of(request), collection=collection.name)
    model = use_model(request, served.name)
    wanted = make_query_request(served, version.fingerprint, query, options.task_type)
    (embedding,) = await embed(request, model, [wanted], "query")
    options = replace(options, knows_script=await _knows_script(embedder_of(request), served, query, embedding))
    hits = await asyncio.to_thread(_find_passages, version, embedding.vector, query, options)
    by_words = options.hybrid and not options.knows_script
    return answer(request, to_wire(SearchResponse(passages=list(map(_to_passage, hits)), ordered_by_words=by_words)))


async def _knows_script(embedder: Embedder, served: ServedModel, query: str, embedding: Embedding) -> bool:
    """Whether the model knows at least half of a query, of whose tokens those of its prompt are no part."""
    if not embedding.unknown_count:
        return True
    (tokens,) = await embedder.count_tokens(served, [query])
    return 2 * embedding.unknown_count <= tokens


async def list_collections(request: Request) -> Response:
    """Tell which collections the caller may search; one that cannot be searched now is left out and logged."""
    services, embedder, caller = services_of(request), embedder_of(request), request.state.caller
    found = await asyncio.to_thread(
        lambda: [_describe(each, embedder, caller) for each in services.collections.values()]
    )
    return answer(request, to_wire(ServedCollections(collections=[each for each in found if each is not None])))


def _describe(collection: Collection, embedder: Embedder, caller: Caller) -> ServedCollection | None:
    try:
        version = collection.resolve()
        model = version.fingerprint.find_served(embedder, collection=collection.name).name
        return _to_served(version, collection.name, model) if caller.may_use_served(model) else None
    except GemvecError as error:
        log.warning("a collection cannot be searched", extra={"collection": collection.name, "reason": error.message})
        return None


def _to_served(version: CollectionVersion, name: str, model: str) -> ServedCollection:
    return ServedCollection(
        name=name,
        model=model,
        dimensionality=version.fingerprint.dimensionality,
        passages=version.count(),
        has_words=version.indexing.has_words,
    )


async def read_near(request: Request) -> Response:
    """Answer with the passages around one, in the order of their document."""
    from gemvec.milvus.context import read_around
    from gemvec.milvus.search import MAX_CONTEXT

    collection, asked = _find(request), read_query(request, NearQuery)
    if not 0 <= asked.around <= MAX_CONTEXT:
        raise InvalidRequest(f"around is {asked.around}; it must be 0 to {MAX_CONTEXT}.", field="around")
    version = await asyncio.to_thread(collection.resolve)
    use_model(request, version.fingerprint.find_served(embedder_of(request), collection=collection.name).name)
    found = await asyncio.to_thread(read_around, version, asked.document, asked.chunk, asked.around)
    passages = [
        NearPassage(chunk=each.chunk, text=each.text, heading=each.heading, position=each.position) for each in found
    ]
    return answer(request, to_wire(NearPassages(chunks=found[0].chunks if found else 0, passages=passages)))


def _find(request: Request) -> Collection:
    name = request.path_params["collection"]
    found = services_of(request).collections.get(name)
    if found is None:
        raise CollectionNotFound(
            f"There is no collection {name!r} here; gemvec serve --collection names those to search."
        )
    return found


def _find_passages(version: CollectionVersion, vector: Float32Array, query: str, options: SearchOptions) -> list[Hit]:
    """Search; if Milvus fails only with the caller's filter, the filter is to blame.

    Raises:
        InvalidRequest: Milvus does not understand the filter.
        StorageFailure: Milvus failed.
    """
    from gemvec.milvus.search import find_passages, search_dense

    try:
        return find_passages(version, vector, query, options)
    except StorageFailure as error:
        if not options.where:
            raise
        search_dense(version, vector, 1, "")
        raise InvalidRequest(
            f"where is not a filter that Milvus understands. {error.message}", field="where"
        ) from error


def _to_passage(hit: Hit) -> Passage:
    return Passage(
        document_id=hit.document_id,
        score=hit.score,
        text=hit.text,
        title=hit.title,
        heading=hit.heading,
        source=hit.source,
        position=hit.position,
        chunk=hit.chunk,
        metadata=hit.metadata,
    )
