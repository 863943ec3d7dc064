"""ModernBERT: normalisation before each block, rotary positions, and layers with a local window.

Source: "Smarter, Better, Faster, Longer"; tensor names are those of transformers' ModernBertModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gemvec.errors import UnsupportedModel
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


class ModernBertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    local_attention: Size
    norm_eps: float = 1e-5
    hidden_activation: Activation = "gelu"
    attention_bias: bool = False
    mlp_bias: bool = False
    norm_bias: bool = False
    layer_types: list[LayerKind] = []
    global_attn_every_n_layers: Size = 3
    sliding_window: int | None = None
    vocab_size: Size | None = None


class ModernBert(msgspec.Struct, frozen=True, kw_only=True):
    """A network's config with the base of the rotary positions of each kind of layer."""

    config: ModernBertConfig
    kinds: list[LayerKind]
    bases: dict[LayerKind, float]


def read_config(document: Mapping[str, Any]) -> ModernBert:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=False)
    config = convert_config(document, ModernBertConfig)
    if config.sliding_window not in {None, config.local_attention // 2}:
        raise UnsupportedModel(
            f"config.json has sliding_window {config.sliding_window}, but local_attention {config.local_attention};"
            " versions of transformers differ in which counts."
        )
    every = config.global_attn_every_n_layers
    kinds: list[LayerKind] = config.layer_types or [
        "sliding_attention" if layer % every else "full_attention" for layer in range(config.num_hidden_layers)
    ]
    # Their names before transformers 5.
    old: dict[LayerKind, Any] = {
        "full_attention": document.get("global_rope_theta", 160_000.0),
        "sliding_attention": document.get("local_rope_theta", 10_000.0),
    }
    bases: dict[LayerKind, float] = {kind: rotary_base(document, base, kind) for kind, base in old.items()}
    return ModernBert(config=config, kinds=kinds, bases=bases)


def build(network: ModernBert, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    layers = Layers(inputs, tensors, table="embeddings.tok_embeddings.weight", words=network.config.vocab_size)
    config = network.config
    hidden = layers.layer_norm(layers.embed(), "embeddings.norm", config.norm_eps, bias=config.norm_bias)
    for layer, kind in enumerate(network.kinds):
        # The first layer has no norm: the token vectors have just been normalised.
        norm = f"layers.{layer}.attn_norm"
        normed = layers.layer_norm(hidden, norm, config.norm_eps, bias=config.norm_bias) if layer else hidden
        hidden = opset.add(hidden, _attend(layers, network, normed, kind, f"layers.{layer}.attn."))
        hidden = opset.add(hidden, _feed_forward(layers, config, hidden, f"layers.{layer}."))
    return layers.layer_norm(hidden, "final_norm", config.norm_eps, bias=config.norm_bias)


def _attend(layers: Layers, network: ModernBert, normed: openvino.Node, kind: LayerKind, name: str) -> openvino.Node:
    config, base = network.config, network.bases[kind]
    heads, size, bias = config.num_attention_heads, config.hidden_size, config.attention_bias
    query, key, value = (
        layers.split_heads(
            layers.linear(normed, f"{name}Wqkv", slice(part * size, (part + 1) * size), bias=bias), heads, size // heads
        )
        for part in range(3)
    )
    query, key = (layers.rotate(each, base, size // heads) for each in (query, key))
    mask = layers.mask(config.local_attention // 2 + 1 if kind == "sliding_attention" else None)
    return layers.linear(layers.attend(query, key, value, mask, width=size), f"{name}Wo", bias=bias)


def _feed_forward(layers: Layers, config: ModernBertConfig, hidden: openvino.Node, name: str) -> openvino.Node:
    inner, bias = config.intermediate_size, config.mlp_bias
    normed = layers.layer_norm(hidden, f"{name}mlp_norm", config.norm_eps, bias=config.norm_bias)
    gate = layers.linear(normed, f"{name}mlp.Wi", slice(0, inner), bias=bias)
    values = layers.linear(normed, f"{name}mlp.Wi", slice(inner, 2 * inner), bias=bias)
    gated = opset.multiply(ACTIVATIONS[config.hidden_activation](gate), values)
    return layers.linear(gated, f"{name}mlp.Wo", bias=bias)
