"""The encoder of T5: norms without a shift, and positions as distances between tokens only.

Source: "Exploring the limits of transfer learning"; tensor names are those of transformers' T5EncoderModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gemvec.errors import UnsupportedModel
from gemvec.models.graph import Inputs
from gemvec.models.networks.config import Size, check_causality, convert_config
from gemvec.models.networks.layers import ACTIVATIONS, Layers, relative_bias
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource

# The encoder's own token vectors, in files that do not leave them to the whole network.
_OWN_TABLE = "encoder.embed_tokens.weight"
_BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
# transformers computes "gated-gelu" by the tanh formula.
_ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new", "gated-silu": "silu"}


class T5Config(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    d_kv: Size
    num_layers: Size
    num_heads: Size
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: Literal["relu", "gated-gelu", "gated-silu"] = "relu"
    relative_attention_max_distance: Size = 128
    is_decoder: bool = False
    dense_act_fn: str | None = None
    is_gated_act: bool | None = None
    vocab_size: Size | None = None


def read_config(document: Mapping[str, Any]) -> T5Config:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=False)
    config = convert_config(document, T5Config)
    if config.is_decoder:
        raise UnsupportedModel("config.json has is_decoder true, expected false: gemvec runs the encoder of T5.")
    # transformers works these out of feed_forward_proj, but lets config.json say something else.
    activation, is_gated = _ACTIVATIONS[config.feed_forward_proj], config.feed_forward_proj != "relu"
    if config.dense_act_fn not in {None, activation} or config.is_gated_act not in {None, is_gated}:
        raise UnsupportedModel(
            f"config.json has feed_forward_proj {config.feed_forward_proj!r}, but dense_act_fn {config.dense_act_fn!r}"
            f" and is_gated_act {config.is_gated_act!r}."
        )
    return config


def build(config: T5Config, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    has_own = any(name.endswith(_OWN_TABLE) for name in tensors)
    layers = Layers(inputs, tensors, table=_OWN_TABLE if has_own else "shared.weight", words=config.vocab_size)
    buckets, furthest = layers.tensor(_BIAS), config.relative_attention_max_distance
    if furthest <= len(buckets) // 4:
        raise UnsupportedModel(
            f"config.json has relative_attention_max_distance {furthest}, too small for {len(buckets)} buckets."
        )
    bias = relative_bias(layers, buckets, furthest)
    mask = opset.add(layers.mask(), bias)
    hidden = layers.embed()
    for layer in range(config.num_layers):
        hidden = _encode(layers, config, hidden, mask, f"encoder.block.{layer}.layer.")
    return layers.rms_norm(hidden, "encoder.final_layer_norm", config.layer_norm_epsilon)


def _encode(layers: Layers, config: T5Config, hidden: openvino.Node, mask: openvino.Node, name: str) -> openvino.Node:
    heads, size, epsilon = config.num_heads, config.d_kv, config.layer_norm_epsilon
    normed = layers.rms_norm(hidden, f"{name}0.layer_norm", epsilon)
    query, key, value = (
        layers.split_heads(layers.linear(normed, f"{name}0.SelfAttention.{part}", bias=False), heads, size)
        for part in "qkv"
    )
    attended = layers.attend(query, key, value, mask, width=heads * size, scale=1.0)
    hidden = opset.add(hidden, layers.linear(attended, f"{name}0.SelfAttention.o", bias=False))
    normed = layers.rms_norm(hidden, f"{name}1.layer_norm", epsilon)
    inner = _feed_forward(layers, config, normed, f"{name}1.DenseReluDense.")
    return opset.add(hidden, layers.linear(inner, f"{name}1.DenseReluDense.wo", bias=False))


def _feed_forward(layers: Layers, config: T5Config, normed: openvino.Node, name: str) -> openvino.Node:
    if config.feed_forward_proj == "relu":
        return opset.relu(layers.linear(normed, f"{name}wi", bias=False))
    gate = ACTIVATIONS[_ACTIVATIONS[config.feed_forward_proj]](layers.linear(normed, f"{name}wi_0", bias=False))
    return opset.multiply(gate, layers.linear(normed, f"{name}wi_1", bias=False))
