"""Exact search: every query against every document, in blocks. An index is compared with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gemvec.embedding.embed import Float32Array

# Similarities computed at once: 64 MiB.
_VALUES_PER_BLOCK = 2**24


def search_exactly(
    queries: Float32Array, documents: Float32Array, document_ids: Sequence[str], limit: int
) -> list[dict[str, float]]:
    """Return the documents nearest to each query, with their cosine similarity.

    Args:
        queries: float32[queries, dimensionality], normalised.
        documents: float32[documents, dimensionality], normalised.
        document_ids: of each row of `documents`.
        limit: most documents for a query.
    """
    found: list[dict[str, float]] = []
    rows = max(1, _VALUES_PER_BLOCK // max(1, len(documents)))
    for start in range(0, len(queries), rows):
        similarities = queries[start : start + rows] @ documents.T
        best = _largest(similarities, min(limit, len(documents)))
        for row, places in zip(similarities, best, strict=True):
            columns: list[int] = places.tolist()
            found.append({document_ids[column]: float(row[column]) for column in columns})
    return found


def _largest(values: Float32Array, count: int) -> npt.NDArray[np.intp]:
    """Return the columns of the `count` largest values of each row, in no particular order."""
    if count == values.shape[1]:
        return np.broadcast_to(np.arange(count), values.shape)
    return np.argpartition(values, -count, axis=1)[:, -count:]
