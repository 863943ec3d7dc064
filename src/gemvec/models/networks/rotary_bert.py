"""BERT with rotary positions: NomicBERT, GTE and Jina's embeddings v3, which differ in names and feed-forward parts.

Source: transformers' NomicBertModel, GteModel and JinaEmbeddingsV3Model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from gemvec.errors import UnsupportedModel
from gemvec.models.graph import Inputs
from gemvec.models.networks.config import Activation, Size, check_causality, convert_config, rotary_base
from gemvec.models.networks.layers import ACTIVATIONS, Layers
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource


class RotaryBertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    model_type: str
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    hidden_act: Activation
    layer_norm_eps: float
    type_vocab_size: int = 0
    vocab_size: Size | None = None
    head_dim: Size | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Names of a family's tensors: the norm of the token vectors, the layers, and the parts of a layer."""

    first_norm: str
    layer: str
    projection: str
    output: str
    attention_norm: str
    last_norm: str
    rotary_base: float
    attention_bias: bool


_NAMES = {
    "gte": _Names(
        first_norm="embeddings.LayerNorm",
        layer="encoder.layer.",
        projection="attention.qkv_proj",
        output="attention.o_proj",
        attention_norm="attn_ln",
        last_norm="mlp_ln",
        rotary_base=160_000,
        attention_bias=True,
    ),
    "nomic_bert": _Names(
        first_norm="emb_ln",
        layer="encoder.layers.",
        projection="attn.Wqkv",
        output="attn.out_proj",
        attention_norm="norm1",
        last_norm="norm2",
        rotary_base=1000,
        attention_bias=False,
    ),
    "jina_embeddings_v3": _Names(
        first_norm="emb_ln",
        layer="encoder.layers.",
        projection="mixer.Wqkv",
        output="mixer.out_proj",
        attention_norm="norm1",
        last_norm="norm2",
        rotary_base=20_000,
        attention_bias=True,
    ),
}


class RotaryBert(msgspec.Struct, frozen=True, kw_only=True):
    """A network's config with the base of its rotary positions."""

    config: RotaryBertConfig
    base: float


def read_config(document: Mapping[str, Any]) -> RotaryBert:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=False)
    config = convert_config(document, RotaryBertConfig)
    if config.head_dim not in {None, size := config.hidden_size // config.num_attention_heads}:
        raise UnsupportedModel(f"config.json has head_dim {config.head_dim}, expected {size}.")
    return RotaryBert(config=config, base=rotary_base(document, _NAMES[config.model_type].rotary_base))


def build(network: RotaryBert, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    config = network.config
    names = _NAMES[config.model_type]
    layers = Layers(inputs, tensors, table="embeddings.word_embeddings.weight", words=config.vocab_size)
    hidden = layers.embed()
    if config.type_vocab_size:
        kinds = layers.tensor("embeddings.token_type_embeddings.weight")
        hidden = opset.add(hidden, opset.constant(np.array(kinds[0])))
    hidden = layers.layer_norm(hidden, names.first_norm, config.layer_norm_eps)
    for layer in range(config.num_hidden_layers):
        hidden = _encode(layers, network, names, hidden, f"{names.layer}{layer}.")
    return hidden


def _encode(layers: Layers, network: RotaryBert, names: _Names, hidden: openvino.Node, name: str) -> openvino.Node:
    config = network.config
    heads, size = config.num_attention_heads, config.hidden_size
    query, key, value = (
        layers.split_heads(
            layers.linear(
                hidden,
                name + names.projection,
                slice(part * size, (part + 1) * size),
                bias=names.attention_bias,
            ),
            heads,
            size // heads,
        )
        for part in range(3)
    )
    query, key = (layers.rotate(each, network.base, size // heads) for each in (query, key))
    attended = layers.attend(query, key, value, layers.mask(), width=size)
    attended = layers.linear(attended, name + names.output, bias=names.attention_bias)
    hidden = layers.layer_norm(opset.add(hidden, attended), name + names.attention_norm, config.layer_norm_eps)
    outer = _FEED_FORWARD[config.model_type](layers, config, hidden, f"{name}mlp.")
    return layers.layer_norm(opset.add(hidden, outer), name + names.last_norm, config.layer_norm_eps)


def _feed_forward_gte(layers: Layers, config: RotaryBertConfig, hidden: openvino.Node, name: str) -> openvino.Node:
    inner = config.intermediate_size
    values = layers.linear(hidden, f"{name}up_gate_proj", slice(0, inner), bias=False)
    gate = layers.linear(hidden, f"{name}up_gate_proj", slice(inner, 2 * inner), bias=False)
    gated = opset.multiply(values, ACTIVATIONS[config.hidden_act](gate))
    return layers.linear(gated, f"{name}down_proj")


def _feed_forward_nomic(layers: Layers, config: RotaryBertConfig, hidden: openvino.Node, name: str) -> openvino.Node:
    gate = ACTIVATIONS[config.hidden_act](layers.linear(hidden, f"{name}fc12", bias=False))
    values = layers.linear(hidden, f"{name}fc11", bias=False)
    return layers.linear(opset.multiply(values, gate), f"{name}fc2", bias=False)


def _feed_forward_jina(layers: Layers, config: RotaryBertConfig, hidden: openvino.Node, name: str) -> openvino.Node:
    return layers.linear(ACTIVATIONS[config.hidden_act](layers.linear(hidden, f"{name}fc1")), f"{name}fc2")


_FEED_FORWARD = {
    "gte": _feed_forward_gte,
    "nomic_bert": _feed_forward_nomic,
    "jina_embeddings_v3": _feed_forward_jina,
}
