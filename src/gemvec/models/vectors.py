"""Operations on finished vectors: normalise, cut, pad. Pure functions on arrays."""

from __future__ import annotations

import numpy as np

from gemvec.embedding.embed import Float32Array


def normalise(vectors: Float32Array) -> Float32Array:
    """Scale each row to L2 length 1; a row of zeros is unchanged.

    Args:
        vectors: float32[rows, dims].

    >>> normalise(np.float32([[3, 4], [0, 0]]))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    # In float64, squares of float32 values neither overflow nor vanish.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    return np.divide(vectors, lengths, where=lengths > 0, out=np.zeros_like(vectors), casting="same_kind")


def truncate_dimensions(vectors: Float32Array, dimensionality: int) -> Float32Array:
    """Keep the first values of each row and normalise again.

    Args:
        vectors: float32[rows, dims].
        dimensionality: values to keep, at most dims.

    >>> truncate_dimensions(np.float32([[3, 4, 12]]), 2)
    array([[0.6, 0.8]], dtype=float32)
    """
    return normalise(vectors[:, :dimensionality])


def pad_dimensions(vectors: Float32Array, dimensionality: int) -> Float32Array:
    """Append zeros to each row, which changes no cosine, dot product or distance between rows.

    Args:
        vectors: float32[rows, dims].
        dimensionality: the wanted length, at least dims.

    >>> pad_dimensions(np.float32([[0.6, 0.8]]), 3)
    array([[0.6, 0.8, 0. ]], dtype=float32)
    """
    padded = np.zeros((len(vectors), dimensionality), np.float32)
    padded[:, : vectors.shape[1]] = vectors
    return padded


def fit_dimensions(vectors: Float32Array, dimensionality: int) -> Float32Array:
    """Cut or pad normalised rows to the wanted length.

    Args:
        vectors: float32[rows, native_dim], L2-normalised.
        dimensionality: the wanted length, at least 1.

    Returns:
        float32[rows, dimensionality], L2-normalised; `vectors` itself if it already has this length.
    """
    native_dim = vectors.shape[1]
    if dimensionality < native_dim:
        return truncate_dimensions(vectors, dimensionality)
    return pad_dimensions(vectors, dimensionality) if dimensionality > native_dim else vectors
