"""From one vector a token to one a text, as nodes of an OpenVINO graph."""

from __future__ import annotations

import numpy as np

from gemvec.models.record import Pooling
from gemvec.models.runtime import openvino, opset


def add_pooling(token_vectors: openvino.Output, attention_mask: openvino.Output, pooling: Pooling) -> openvino.Output:
    """Add the nodes that pool token vectors; padding does not count.

    Args:
        token_vectors: float32[rows, tokens, native_dim], the network's last layer; one vector a row for `inside`.
        attention_mask: float32[rows, tokens], 1 for a token, 0 for padding; no row is all padding.
        pooling: `mean` averages the tokens, `cls` takes the first one, `inside` leaves the vectors as they are.

    Returns:
        float32[rows, native_dim], not normalised.

    Source: pooling_mode_* of a model's 1_Pooling/config.json.
    """
    tokens = np.int64(1)
    if pooling == "cls":
        return opset.gather(token_vectors, np.int64(0), tokens).output(0)
    if pooling == "mean":
        weights = opset.unsqueeze(attention_mask, np.int64(2))
        total = opset.reduce_sum(opset.multiply(token_vectors, weights), tokens)
        return opset.divide(total, opset.reduce_sum(attention_mask, tokens, keep_dims=True)).output(0)
    return token_vectors
