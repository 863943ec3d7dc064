"""MPNet: BERT whose attention also knows how far apart two tokens are.

Source: "MPNet"; tensor names are those of transformers' MPNetModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from gemvec.models.graph import Inputs
from gemvec.models.networks.config import Activation, Size, check_causality, convert_config
from gemvec.models.networks.layers import ACTIVATIONS, Layers, relative_bias
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource

_PADDING_ID = 1  # positions start after it, whatever config.json says
_MAX_DISTANCE = 128
_POSITIONS = "embeddings.position_embeddings.weight"


class MPNetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    hidden_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    layer_norm_eps: float = 1e-12
    hidden_act: Activation = "gelu"
    vocab_size: Size | None = None
    max_position_embeddings: Size | None = None


def read_config(document: Mapping[str, Any]) -> MPNetConfig:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=False)
    return convert_config(document, MPNetConfig)


def build(config: MPNetConfig, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    layers = Layers(inputs, tensors, table="embeddings.word_embeddings.weight", words=config.vocab_size)
    layers.require_rows(_POSITIONS, config.max_position_embeddings, "max_position_embeddings")
    positions = inputs.positions_after(_PADDING_ID)
    placed = opset.gather(layers.constant(_POSITIONS), positions, np.int64(0))
    hidden = layers.layer_norm(opset.add(layers.embed(), placed), "embeddings.LayerNorm", config.layer_norm_eps)
    bias = relative_bias(layers, layers.tensor("encoder.relative_attention_bias.weight"), _MAX_DISTANCE)
    mask = opset.add(layers.mask(), bias)
    for layer in range(config.num_hidden_layers):
        hidden = _encode(layers, config, hidden, mask, f"encoder.layer.{layer}.")
    return hidden


def _encode(
    layers: Layers, config: MPNetConfig, hidden: openvino.Node, mask: openvino.Node, name: str
) -> openvino.Node:
    heads, size = config.num_attention_heads, config.hidden_size
    query, key, value = (
        layers.split_heads(layers.linear(hidden, f"{name}attention.attn.{part}"), heads, size // heads)
        for part in "qkv"
    )
    attended = layers.linear(layers.attend(query, key, value, mask, width=size), f"{name}attention.attn.o")
    hidden = layers.layer_norm(opset.add(hidden, attended), f"{name}attention.LayerNorm", config.layer_norm_eps)
    inner = ACTIVATIONS[config.hidden_act](layers.linear(hidden, f"{name}intermediate.dense"))
    outer = layers.linear(inner, f"{name}output.dense")
    return layers.layer_norm(opset.add(hidden, outer), f"{name}output.LayerNorm", config.layer_norm_eps)
