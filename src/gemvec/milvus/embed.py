"""Vectors for a collection: the requests for its fingerprint, and a model kept busy while rows are written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import numpy as np

from gemvec.embedding.embed import EmbedRequest, Float32Array
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.errors import StorageFailure
from gemvec.milvus.fingerprint import Fingerprint

# Texts given to the model at once, and how many such groups may be queued, so that the model never waits.
TEXTS_PER_GROUP, _GROUPS_IN_FLIGHT = 512, 2
# A normalised vector's length differs from 1 by rounding only.
_LENGTH_TOLERANCE = 1e-2

Group = TypeVar("Group")
Vectors = TypeVar("Vectors")


async def embed_ahead(
    groups: Iterator[Group],
    embed: Callable[[Group], Awaitable[Vectors]],
    write: Callable[[Group, Vectors], None],
) -> None:
    """Embed and write groups in order; while one is read or written, the model works on others.

    Args:
        groups: what to embed; advanced in a thread.
        embed: starts the model on a group.
        write: called in a thread with each group and its vectors, one at a time.

    Raises:
        What the three raise; groups before the failing one are written.
    """
    in_flight: deque[tuple[Group, asyncio.Future[Vectors]]] = deque()

    async def write_first() -> None:
        group, vectors = in_flight[0]
        await asyncio.to_thread(write, group, await vectors)
        in_flight.popleft()

    try:
        while (group := await asyncio.to_thread(next, groups, None)) is not None:
            in_flight.append((group, asyncio.ensure_future(embed(group))))
            if len(in_flight) > _GROUPS_IN_FLIGHT:
                await write_first()
        while in_flight:
            await write_first()
    finally:
        for _, vectors in in_flight:
            vectors.cancel()
        await asyncio.gather(*(vectors for _, vectors in in_flight), return_exceptions=True)


def make_document_request(served: ServedModel, fingerprint: Fingerprint, text: str, title: str) -> EmbedRequest:
    """Return the request for a passage of a collection with `fingerprint`."""
    if not served.takes_options:
        return EmbedRequest(text=text)
    return EmbedRequest(
        text=text,
        title=title or None,
        task_type=TaskType[fingerprint.task_type],
        output_dimensionality=fingerprint.dimensionality,
    )


async def embed_query(embedder: Embedder, fingerprint: Fingerprint, query: str, *, collection: str) -> Float32Array:
    """Return the vector of `query`, float32[dimensionality], made by the collection's own model.

    Raises:
        FingerprintMismatch: `embedder` does not serve it.
    """
    served = fingerprint.find_served(embedder, collection=collection)
    (embedding,) = await embedder.embed(served, [make_query_request(served, fingerprint, query)])
    return embedding.vector


def make_query_request(served: ServedModel, fingerprint: Fingerprint, query: str) -> EmbedRequest:
    """Return the request for a query of a collection with `fingerprint`."""
    if not served.takes_options:
        return EmbedRequest(text=query)
    return EmbedRequest(
        text=query, task_type=TaskType.RETRIEVAL_QUERY, output_dimensionality=fingerprint.dimensionality
    )


def check_vector(vector: Float32Array, fingerprint: Fingerprint) -> Float32Array:
    """Return `vector` as float32; refuse one that Milvus would store and never find: NaN, infinite, of another length.

    Raises:
        StorageFailure: it is one of these.
    """
    if vector.shape != (fingerprint.dimensionality,):
        raise StorageFailure(
            f"The model returned a vector of shape {vector.shape}, expected ({fingerprint.dimensionality},)."
        )
    if not abs(float(np.linalg.norm(vector)) - 1) < _LENGTH_TOLERANCE:  # NaN is not less than anything
        raise StorageFailure("The model returned a vector that is not finite or not normalised.")
    return vector.astype(np.float32, copy=False)
