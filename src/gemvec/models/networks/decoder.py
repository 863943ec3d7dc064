"""Decoders: LLaMA, Mistral, Qwen2 and Qwen3, where a token sees itself and the tokens before it.

Source: transformers' LlamaModel, MistralModel, Qwen2Model and Qwen3Model.
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

_ROTARY_BASE = 10_000.0


class DecoderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    model_type: str
    hidden_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    num_key_value_heads: Size
    rms_norm_eps: float
    hidden_act: Activation = "silu"
    head_dim: Size | None = None
    layer_types: list[LayerKind] | None = None
    sliding_window: Size | None = 4096  # null for none
    use_sliding_window: bool = False
    max_window_layers: int = 28
    attention_bias: bool = False
    mlp_bias: bool = False
    vocab_size: Size | None = None

    @property
    def head_size(self) -> int:
        """Number of values in one head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    def window(self, layer: int) -> int | None:
        """Return how many tokens a layer sees, None if it sees all."""
        if self.model_type == "mistral":
            return self.sliding_window
        if self.model_type == "llama" or not self.use_sliding_window:
            return None
        if self.layer_types is not None:
            return self.sliding_window if self.layer_types[layer] == "sliding_attention" else None
        return self.sliding_window if layer >= self.max_window_layers else None


class Decoder(msgspec.Struct, frozen=True, kw_only=True):
    """A network's config with the base of its rotary positions."""

    config: DecoderConfig
    base: float


def read_config(document: Mapping[str, Any]) -> Decoder:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=True)
    config = convert_config(document, DecoderConfig)
    if config.model_type == "mistral" and config.sliding_window and "full_attention" in (config.layer_types or ()):
        raise UnsupportedModel("config.json has full_attention in layer_types, which gemvec does not run for Mistral.")
    return Decoder(config=config, base=rotary_base(document, _ROTARY_BASE))


def build(network: Decoder, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    layers = Layers(inputs, tensors, table="embed_tokens.weight", words=network.config.vocab_size)
    copies = network.config.num_attention_heads // network.config.num_key_value_heads
    hidden = layers.embed()
    for layer in range(network.config.num_hidden_layers):
        mask = layers.mask(network.config.window(layer), causal=True, copies=copies)
        hidden = _decode(layers, network, hidden, mask, f"layers.{layer}.")
    return layers.rms_norm(hidden, "norm", network.config.rms_norm_eps)


def _decode(layers: Layers, network: Decoder, hidden: openvino.Node, mask: openvino.Node, name: str) -> openvino.Node:
    config = network.config
    normed = layers.rms_norm(hidden, f"{name}input_layernorm", config.rms_norm_eps)
    hidden = opset.add(hidden, _attend(layers, network, normed, mask, f"{name}self_attn."))
    normed = layers.rms_norm(hidden, f"{name}post_attention_layernorm", config.rms_norm_eps)
    bias = config.mlp_bias
    gate = ACTIVATIONS[config.hidden_act](layers.linear(normed, f"{name}mlp.gate_proj", bias=bias))
    inner = opset.multiply(gate, layers.linear(normed, f"{name}mlp.up_proj", bias=bias))
    return opset.add(hidden, layers.linear(inner, f"{name}mlp.down_proj", bias=bias))


def _attend(layers: Layers, network: Decoder, normed: openvino.Node, mask: openvino.Node, name: str) -> openvino.Node:
    config, size = network.config, network.config.head_size
    heads, shared = config.num_attention_heads, config.num_key_value_heads
    bias = config.attention_bias or config.model_type == "qwen2"
    query = layers.split_heads(layers.linear(normed, f"{name}q_proj", bias=bias), heads, size)
    key, value = (
        layers.split_heads(layers.linear(normed, f"{name}{part}_proj", bias=bias), shared, size) for part in "kv"
    )
    if config.model_type == "qwen3":
        query = layers.rms_norm(query, f"{name}q_norm", config.rms_norm_eps)
        key = layers.rms_norm(key, f"{name}k_norm", config.rms_norm_eps)
    query, key = (layers.rotate(each, network.base, size) for each in (query, key))
    attended = layers.attend(query, key, value, mask, width=heads * size)
    return layers.linear(attended, f"{name}o_proj", bias=config.attention_bias)
