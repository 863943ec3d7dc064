"""DistilBERT: BERT without token types, with other names.

Source: transformers' DistilBertModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from gemvec.models.graph import Inputs
from gemvec.models.networks.config import Activation, Size, check_causality, convert_config
from gemvec.models.networks.layers import ACTIVATIONS, Layers
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource

_EPSILON = 1e-12
_POSITIONS = "embeddings.position_embeddings.weight"


class DistilBertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    dim: Size
    n_layers: Size
    n_heads: Size
    activation: Activation = "gelu"
    vocab_size: Size | None = None
    max_position_embeddings: Size | None = None


def read_config(document: Mapping[str, Any]) -> DistilBertConfig:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=False)
    return convert_config(document, DistilBertConfig)


def build(config: DistilBertConfig, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    layers = Layers(inputs, tensors, table="embeddings.word_embeddings.weight", words=config.vocab_size)
    layers.require_rows(_POSITIONS, config.max_position_embeddings, "max_position_embeddings")
    placed = opset.gather(layers.constant(_POSITIONS), inputs.positions, np.int64(0))
    hidden = layers.layer_norm(opset.add(layers.embed(), placed), "embeddings.LayerNorm", _EPSILON)
    for layer in range(config.n_layers):
        hidden = _encode(layers, config, hidden, f"transformer.layer.{layer}.")
    return hidden


def _encode(layers: Layers, config: DistilBertConfig, hidden: openvino.Node, name: str) -> openvino.Node:
    query, key, value = (
        layers.split_heads(
            layers.linear(hidden, f"{name}attention.{part}_lin"), config.n_heads, config.dim // config.n_heads
        )
        for part in "qkv"
    )
    attended = layers.attend(query, key, value, layers.mask(), width=config.dim)
    attended = layers.linear(attended, f"{name}attention.out_lin")
    hidden = layers.layer_norm(opset.add(hidden, attended), f"{name}sa_layer_norm", _EPSILON)
    inner = ACTIVATIONS[config.activation](layers.linear(hidden, f"{name}ffn.lin1"))
    outer = layers.linear(inner, f"{name}ffn.lin2")
    return layers.layer_norm(opset.add(hidden, outer), f"{name}output_layer_norm", _EPSILON)
