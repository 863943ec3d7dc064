"""Gemma 3, the network of EmbeddingGemma: norms around each block, and layers that see only their neighbourhood.

Source: transformers' Gemma3TextModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from gemvec.models.graph import Inputs
from gemvec.models.networks.config import (
    Activation,
    LayerKind,
    Size,
    check_causality,
    convert_config,
    rotary_base,
)
from gemvec.models.networks.layers import ACTIVATIONS, Layers
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource

# Which layers see everything if config.json does not list them.
_FULL_EVERY = 6


class Gemma3Config(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    hidden_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    num_key_value_heads: Size
    head_dim: Size
    query_pre_attn_scalar: float
    sliding_window: Size
    rms_norm_eps: float = 1e-6
    hidden_activation: Activation = "gelu_pytorch_tanh"
    attention_bias: bool = False
    layer_types: list[LayerKind] = []
    use_bidirectional_attention: bool = False
    attn_logit_softcapping: None = None
    vocab_size: Size | None = None


class Gemma3(msgspec.Struct, frozen=True, kw_only=True):
    """A network's config with the kinds of its layers and the base of the rotary positions of each kind."""

    config: Gemma3Config
    kinds: list[LayerKind]
    bases: dict[LayerKind, float]


def read_config(document: Mapping[str, Any]) -> Gemma3:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=True)
    config = convert_config(document, Gemma3Config)
    every = document.get("sliding_window_pattern") or document.get("_sliding_window_pattern") or _FULL_EVERY
    kinds: list[LayerKind] = config.layer_types or [
        "sliding_attention" if (layer + 1) % every else "full_attention" for layer in range(config.num_hidden_layers)
    ]
    local = document.get("rope_local_base_freq", 10_000.0)  # its name before transformers 5
    bases: dict[LayerKind, float] = {
        "full_attention": rotary_base(document, 1_000_000.0, "full_attention"),
        "sliding_attention": rotary_base(dict(document) | {"rope_theta": local}, None, "sliding_attention"),
    }
    return Gemma3(config=config, kinds=kinds, bases=bases)


def build(network: Gemma3, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    config = network.config
    layers = Layers(inputs, tensors, table="embed_tokens.weight", words=config.vocab_size)
    hidden = opset.multiply(layers.embed(), np.float32(config.hidden_size**0.5))
    for layer, kind in enumerate(network.kinds):
        hidden = _encode(layers, network, hidden, kind, f"layers.{layer}.")
    return layers.rms_norm(hidden, "norm", config.rms_norm_eps, plus_one=True)


def _encode(layers: Layers, network: Gemma3, hidden: openvino.Node, kind: LayerKind, name: str) -> openvino.Node:
    config = network.config

    def norm(values: openvino.Node, part: str) -> openvino.Node:
        return layers.rms_norm(values, name + part, config.rms_norm_eps, plus_one=True)

    attended = _attend(layers, network, norm(hidden, "input_layernorm"), kind, f"{name}self_attn.")
    hidden = opset.add(hidden, norm(attended, "post_attention_layernorm"))
    normed = norm(hidden, "pre_feedforward_layernorm")
    gate = ACTIVATIONS[config.hidden_activation](layers.linear(normed, f"{name}mlp.gate_proj", bias=False))
    inner = opset.multiply(gate, layers.linear(normed, f"{name}mlp.up_proj", bias=False))
    outer = layers.linear(inner, f"{name}mlp.down_proj", bias=False)
    return opset.add(hidden, norm(outer, "post_feedforward_layernorm"))


def _attend(layers: Layers, network: Gemma3, normed: openvino.Node, kind: LayerKind, name: str) -> openvino.Node:
    config, size = network.config, network.config.head_dim
    heads, shared = config.num_attention_heads, config.num_key_value_heads
    query = layers.split_heads(layers.linear(normed, f"{name}q_proj", bias=config.attention_bias), heads, size)
    key, value = (
        layers.split_heads(layers.linear(normed, f"{name}{part}_proj", bias=config.attention_bias), shared, size)
        for part in "kv"
    )
    query = layers.rms_norm(query, f"{name}q_norm", config.rms_norm_eps, plus_one=True)
    key = layers.rms_norm(key, f"{name}k_norm", config.rms_norm_eps, plus_one=True)
    query, key = (layers.rotate(each, network.bases[kind], size) for each in (query, key))
    scale = config.query_pre_attn_scalar**-0.5
    mask = _mask(layers, config, kind)
    attended = layers.attend(query, key, value, mask, width=heads * size, scale=scale)
    return layers.linear(attended, f"{name}o_proj", bias=config.attention_bias)


def _mask(layers: Layers, config: Gemma3Config, kind: LayerKind) -> openvino.Node:
    causal = not config.use_bidirectional_attention
    # Without causality, the window is divided between the two sides.
    window = config.sliding_window if causal else config.sliding_window // 2 + 1
    copies = config.num_attention_heads // config.num_key_value_heads
    return layers.mask(None if kind == "full_attention" else window, causal=causal, copies=copies)
