"""From one vector per token to one per text, as nodes of an OpenVINO graph.

Source: the Pooling module of sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gemvec.models.modules import PoolingMode
from gemvec.models.runtime import openvino, opset

_TOKENS = np.int64(1)
# Below every value of a network, for tokens that do not count for the maximum.
_LOWEST = np.float32(-1e30)


def add_pooling(
    token_vectors: openvino.Node, counted: openvino.Node, positions: openvino.Node, modes: tuple[PoolingMode, ...]
) -> openvino.Node:
    """Add the nodes that pool token vectors.

    Args:
        token_vectors: float32[rows, tokens, size], the network's last layer.
        counted: float32[rows, tokens], 1 for a token that counts, 0 for padding and for a prompt that is left out.
        positions: int32[tokens], 0, 1, 2 and so on.
        modes: how to pool; the vectors of several modes are concatenated.

    Returns:
        float32[rows, modes * size], not normalised.
    """
    pooled = [_POOLING[mode](token_vectors, counted, opset.convert(positions, "f32")) for mode in modes]
    return pooled[0] if len(pooled) == 1 else opset.concat(pooled, 1)


def _column(weights: openvino.Node) -> openvino.Node:
    return opset.unsqueeze(weights, np.int64(2))


def _total(token_vectors: openvino.Node, weights: openvino.Node) -> openvino.Node:
    return opset.reduce_sum(opset.multiply(token_vectors, _column(weights)), _TOKENS)


def _count(weights: openvino.Node) -> openvino.Node:
    return opset.reduce_sum(weights, _TOKENS, keep_dims=True)


def _mean(token_vectors: openvino.Node, counted: openvino.Node, _: openvino.Node) -> openvino.Node:
    return opset.divide(_total(token_vectors, counted), _count(counted))


def _mean_sqrt(token_vectors: openvino.Node, counted: openvino.Node, _: openvino.Node) -> openvino.Node:
    return opset.divide(_total(token_vectors, counted), opset.sqrt(_count(counted)))


def _weighted_mean(token_vectors: openvino.Node, counted: openvino.Node, places: openvino.Node) -> openvino.Node:
    weights = opset.multiply(counted, opset.unsqueeze(opset.add(places, np.float32(1)), np.int64(0)))
    return opset.divide(_total(token_vectors, weights), _count(weights))


def _max(token_vectors: openvino.Node, counted: openvino.Node, _: openvino.Node) -> openvino.Node:
    left_out = opset.equal(_column(counted), np.float32(0))
    return opset.reduce_max(opset.select(left_out, _LOWEST, token_vectors), _TOKENS)


def _at(token_vectors: openvino.Node, places: openvino.Node) -> openvino.Node:
    """Return the vector of one token per row, at int32[rows]."""
    return opset.gather(token_vectors, places, _TOKENS, batch_dims=1)


def _first(token_vectors: openvino.Node, counted: openvino.Node, places: openvino.Node) -> openvino.Node:
    passed_over = opset.multiply(opset.subtract(np.float32(1), counted), np.float32(1e9))
    first = opset.reduce_min(opset.add(passed_over, opset.unsqueeze(places, np.int64(0))), _TOKENS)
    return _at(token_vectors, opset.convert(first, "i32"))


def _last(token_vectors: openvino.Node, counted: openvino.Node, places: openvino.Node) -> openvino.Node:
    last = opset.reduce_max(opset.multiply(counted, opset.unsqueeze(places, np.int64(0))), _TOKENS)
    return _at(token_vectors, opset.convert(last, "i32"))


_POOLING: Mapping[PoolingMode, Callable[[openvino.Node, openvino.Node, openvino.Node], openvino.Node]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
