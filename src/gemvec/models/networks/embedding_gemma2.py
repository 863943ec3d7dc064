"""The text tower of EmbeddingGemma 2: Gemma's layers, each with a signal made from the token vectors.

Source: transformers' EmbeddingGemma2TextModel.
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
from gemvec.models.networks.layers import ACTIVATIONS, Layers, axes, scale_to_rms
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource


class LayerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The config of one layer."""

    head_dim: Size | None = None
    num_key_value_heads: Size | None = None


class EmbeddingGemma2Config(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of the text tower's config that the graph depends on, by their names in transformers."""

    hidden_size: Size
    hidden_size_per_layer_input: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    num_key_value_heads: Size
    head_dim: Size
    sliding_window: Size
    layer_types: list[LayerKind]
    per_layer_config: dict[str, LayerConfig] = {}
    rms_norm_eps: float = 1e-6
    hidden_activation: Activation = "gelu_pytorch_tanh"
    attention_bias: bool = False
    vocab_size: Size | None = None


class EmbeddingGemma2(msgspec.Struct, frozen=True, kw_only=True):
    """A text tower's config with the base of the rotary positions of each kind of layer."""

    config: EmbeddingGemma2Config
    bases: dict[LayerKind, float]


def read_config(document: Mapping[str, Any]) -> EmbeddingGemma2:
    """Return what the graph depends on; a multimodal model contains its text tower's config.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    document = document.get("text_config") or document
    check_causality(document, is_causal=False)
    kinds: tuple[LayerKind, ...] = ("full_attention", "sliding_attention")
    bases: dict[LayerKind, float] = {kind: rotary_base(document, None, kind) for kind in kinds}
    return EmbeddingGemma2(config=convert_config(document, EmbeddingGemma2Config), bases=bases)


def build(network: EmbeddingGemma2, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    config = network.config
    layers = Layers(inputs, tensors, table="embed_tokens.weight", words=config.vocab_size)
    hidden = opset.multiply(layers.embed(), np.float32(config.hidden_size**0.5))
    signals = _signals(layers, config, hidden)
    for layer in range(config.num_hidden_layers):
        hidden = _encode(layers, network, hidden, signals, layer)
    return layers.linear(layers.rms_norm(hidden, "norm", config.rms_norm_eps), "embedding_projection", bias=False)


def _signals(layers: Layers, config: EmbeddingGemma2Config, hidden: openvino.Node) -> openvino.Node:
    """Return each layer's signal, float32[rows, tokens, layers, size]."""
    projected = layers.linear(hidden, "ple.per_layer_model_projection", bias=False)
    scaled = opset.multiply(projected, np.float32(config.hidden_size**-0.5))
    shape = axes(0, 0, config.num_hidden_layers, config.hidden_size_per_layer_input)
    by_layer = opset.reshape(scaled, shape, special_zero=True)
    return layers.rms_norm(by_layer, "ple.per_layer_projection_norm", config.rms_norm_eps)


def _encode(
    layers: Layers, network: EmbeddingGemma2, hidden: openvino.Node, signals: openvino.Node, layer: int
) -> openvino.Node:
    config, name = network.config, f"layers.{layer}."

    def norm(values: openvino.Node, part: str) -> openvino.Node:
        return layers.rms_norm(values, name + part, config.rms_norm_eps)

    def activate(values: openvino.Node) -> openvino.Node:
        return ACTIVATIONS[config.hidden_activation](values)

    attended = _attend(layers, network, norm(hidden, "input_layernorm"), layer)
    hidden = opset.add(hidden, norm(attended, "post_attention_layernorm"))
    normed = norm(hidden, "pre_feedforward_layernorm")
    gate = activate(layers.linear(normed, f"{name}mlp.gate_proj", bias=False))
    inner = opset.multiply(gate, layers.linear(normed, f"{name}mlp.up_proj", bias=False))
    outer = layers.linear(inner, f"{name}mlp.down_proj", bias=False)
    hidden = opset.add(hidden, norm(outer, "post_feedforward_layernorm"))
    signal = opset.gather(signals, np.int64(layer), np.int64(2))
    gated = opset.multiply(activate(layers.linear(hidden, f"{name}ple_block.per_layer_input_gate", bias=False)), signal)
    mixed = layers.linear(gated, f"{name}ple_block.per_layer_projection", bias=False)
    hidden = opset.add(hidden, norm(mixed, "ple_block.post_per_layer_input_norm"))
    return opset.multiply(hidden, opset.constant(np.array(layers.tensor(f"{name}layer_scalar"))))


def _attend(layers: Layers, network: EmbeddingGemma2, normed: openvino.Node, layer: int) -> openvino.Node:
    config, kind, name = network.config, network.config.layer_types[layer], f"layers.{layer}.self_attn."
    own = config.per_layer_config.get(str(layer), LayerConfig())
    size, shared = own.head_dim or config.head_dim, own.num_key_value_heads or config.num_key_value_heads
    heads = config.num_attention_heads
    query = layers.split_heads(layers.linear(normed, f"{name}q_proj", bias=config.attention_bias), heads, size)
    key, value = (
        layers.split_heads(layers.linear(normed, f"{name}{part}_proj", bias=config.attention_bias), shared, size)
        for part in "kv"
    )
    query = layers.rotate(layers.rms_norm(query, f"{name}q_norm", config.rms_norm_eps), network.bases[kind], size)
    key = layers.rotate(layers.rms_norm(key, f"{name}k_norm", config.rms_norm_eps), network.bases[kind], size)
    value = scale_to_rms(value, config.rms_norm_eps)
    # The window is a radius that includes the last token.
    window = config.sliding_window + 1 if kind == "sliding_attention" else None
    mask = layers.mask(window, copies=heads // shared)
    attended = layers.attend(query, key, value, mask, width=heads * size, scale=1.0)
    return layers.linear(attended, f"{name}o_proj", bias=config.attention_bias)
