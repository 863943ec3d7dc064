"""BERT and the networks of its shape: RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA and ERNIE.

Source: "Attention is all you need" and "BERT", layer normalisation after each block; tensor names are those of
transformers' BertModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np

from gemvec.models.graph import Inputs
from gemvec.models.networks.config import Activation, Size, check_causality, convert_config
from gemvec.models.networks.layers import ACTIVATIONS, Layers
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource

_POSITIONS = "max_position_embeddings"
_PADDING_FIRST = {"roberta", "xlm-roberta", "camembert"}


class BertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that the graph depends on, by their names in transformers."""

    model_type: str
    hidden_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    layer_norm_eps: float = 1e-12
    hidden_act: Activation = "gelu"
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: bool = False
    embedding_size: Size | None = None
    use_task_id: bool = False
    pad_token_id: int | None = None
    vocab_size: Size | None = None
    max_position_embeddings: Size | None = None


def read_config(document: Mapping[str, Any]) -> BertConfig:
    """Return the fields of config.json that the graph depends on.

    Raises:
        UnsupportedModel: config.json describes a variant that is not supported.
    """
    check_causality(document, is_causal=False)
    return convert_config(document, BertConfig)


def build(config: BertConfig, inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of the network; see `build_network`."""
    layers = Layers(inputs, tensors, table="embeddings.word_embeddings.weight", words=config.vocab_size)
    hidden = _embed(layers, config)
    if config.embedding_size not in {
        None,
        config.hidden_size,
    }:  # ELECTRA's token vectors may be shorter than its layers
        hidden = layers.linear(hidden, "embeddings_project")
    mask = layers.mask(causal=config.is_decoder)
    for layer in range(config.num_hidden_layers):
        hidden = _encode(layers, config, hidden, mask, f"encoder.layer.{layer}.")
    return hidden


def _embed(layers: Layers, config: BertConfig) -> openvino.Node:
    """Add word, position and type vectors; every token of a single text is of type 0, and in ERNIE of task 0."""
    layers.require_rows("embeddings.position_embeddings.weight", config.max_position_embeddings, _POSITIONS)
    layers.require_rows("embeddings.token_type_embeddings.weight", None, "type_vocab_size")
    places, types = (layers.tensor(f"embeddings.{name}_embeddings.weight") for name in ("position", "token_type"))
    has_types = layers.inputs.takes_pairs and len(types) > 1
    if not has_types:
        places = places + types[0]
    if config.use_task_id:
        places = places + layers.tensor("embeddings.task_type_embeddings.weight")[0]
    positions = layers.inputs.positions
    if config.model_type in _PADDING_FIRST:
        positions = layers.inputs.positions_after(1 if config.pad_token_id is None else config.pad_token_id)
    placed = opset.gather(opset.constant(places), positions, np.int64(0))
    if has_types:
        placed = opset.add(placed, opset.gather(opset.constant(types), layers.inputs.token_types(), np.int64(0)))
    return layers.layer_norm(opset.add(layers.embed(), placed), "embeddings.LayerNorm", config.layer_norm_eps)


def _encode(layers: Layers, config: BertConfig, hidden: openvino.Node, mask: openvino.Node, name: str) -> openvino.Node:
    """Add one layer: attention and feed-forward, each added to its input and normalised."""
    heads, size = config.num_attention_heads, config.hidden_size
    query, key, value = (
        layers.split_heads(layers.linear(hidden, f"{name}attention.self.{part}"), heads, size // heads)
        for part in ("query", "key", "value")
    )
    attended = layers.linear(layers.attend(query, key, value, mask, width=size), f"{name}attention.output.dense")
    epsilon = config.layer_norm_eps
    hidden = layers.layer_norm(opset.add(hidden, attended), f"{name}attention.output.LayerNorm", epsilon)
    inner = ACTIVATIONS[config.hidden_act](layers.linear(hidden, f"{name}intermediate.dense"))
    outer = layers.linear(inner, f"{name}output.dense")
    return layers.layer_norm(opset.add(hidden, outer), f"{name}output.LayerNorm", epsilon)
