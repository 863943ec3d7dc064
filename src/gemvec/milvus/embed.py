"""Vectors for a collection: the requests for its fingerprint, and what is checked in their vectors."""

from __future__ import annotations

import numpy as np

from gemvec.embedding.embed import EmbedRequest, Float32Array
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.errors import StorageFailure
from gemvec.milvus.fingerprint import Fingerprint

# Texts given to the model at once, and how many such groups may be queued, so that the model never waits.
TEXTS_PER_GROUP, GROUPS_AHEAD = 512, 2
# Passages that keep a model in this process or a server busy while others are written.
TEXTS_IN_FLIGHT = GROUPS_AHEAD * TEXTS_PER_GROUP
# A normalised vector's length differs from 1 by rounding only.
_LENGTH_TOLERANCE = 1e-2


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


async def embed_query(
    embedder: Embedder,
    fingerprint: Fingerprint,
    query: str,
    *,
    collection: str,
    task_type: TaskType = TaskType.RETRIEVAL_QUERY,
) -> Float32Array:
    """Return the vector of `query`, float32[dimensionality], made by the collection's own model.

    Raises:
        FingerprintMismatch: `embedder` does not serve it.
    """
    served = fingerprint.find_served(embedder, collection=collection)
    (embedding,) = await embedder.embed(served, [make_query_request(served, fingerprint, query, task_type)])
    return embedding.vector


def make_query_request(
    served: ServedModel, fingerprint: Fingerprint, query: str, task_type: TaskType = TaskType.RETRIEVAL_QUERY
) -> EmbedRequest:
    """Return the request for a query of a collection with `fingerprint`."""
    if not served.takes_options:
        return EmbedRequest(text=query)
    return EmbedRequest(text=query, task_type=task_type, output_dimensionality=fingerprint.dimensionality)


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
