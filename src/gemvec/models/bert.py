"""The graph of a BERT-family network, built with OpenVINO's operations straight from config.json and safetensors.

No torch and no ONNX stand between the weights and the graph, and the weights are not copied: the graph's constants lie
in the mapped file. BERT, RoBERTa and XLM-RoBERTa are one network that differs in where positions start.

Source: "Attention is all you need" and "BERT", layer normalisation after each block; tensor names are those of
transformers' BertModel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from gemvec.errors import UnsupportedModel
from gemvec.models.folder import FIRST_POSITIONS
from gemvec.models.graph import Inputs
from gemvec.models.pooling import add_pooling
from gemvec.models.record import Pooling
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import Tensors

_WORDS = "embeddings.word_embeddings.weight"
# Added to the attention scores of padding: exp of it is 0 in any precision.
_MASKED = np.float32(-1e9)
_Size = Annotated[int, msgspec.Meta(ge=1)]


class BertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What of config.json the graph depends on; the names are transformers'."""

    model_type: str
    hidden_size: _Size
    num_hidden_layers: _Size
    num_attention_heads: _Size
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    position_embedding_type: str = "absolute"


def read_config(path: Path) -> BertConfig:
    """Read config.json.

    Raises:
        UnsupportedModel: it does not describe a network this module can build.
    """
    try:
        config = msgspec.json.decode(path.read_bytes(), type=BertConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error
    if config.model_type not in FIRST_POSITIONS:
        raise UnsupportedModel(f"{path} has model_type {config.model_type!r}, expected {', '.join(FIRST_POSITIONS)}.")
    if (config.hidden_act, config.position_embedding_type) != ("gelu", "absolute"):
        raise UnsupportedModel(
            f"{path} has hidden_act {config.hidden_act!r} and position_embedding_type"
            f" {config.position_embedding_type!r}, expected 'gelu' and 'absolute'."
        )
    return config


def build_bert(tensors: Tensors, config: BertConfig, pooling: Pooling) -> openvino.Model:
    """Build the network with its pooling.

    Args:
        tensors: the weights; the graph refers to them, so they must outlive it.
        config: the network's sizes.
        pooling: how token vectors become one.

    Returns:
        The graph, with inputs and output as `graph.py` says.

    Raises:
        UnsupportedModel: the weights lack a tensor of the network.
    """
    inputs = Inputs.add()
    layers = _Layers(tensors, config)
    hidden = layers.embed(inputs.input_ids.output(0), inputs.positions)
    is_padding = opset.subtract(np.float32(1), inputs.attention_mask)
    scores_mask = opset.unsqueeze(opset.multiply(is_padding, _MASKED), _axes(1, 2)).output(0)
    for layer in range(config.num_hidden_layers):
        hidden = layers.encode(hidden, scores_mask, f"encoder.layer.{layer}.")
    return inputs.finish(add_pooling(hidden, inputs.attention_mask, pooling), config.model_type)


def _axes(*axes: int) -> npt.NDArray[np.int64]:
    return np.array(axes, np.int64)


class _Layers:
    """Adds the network's parts, each named by where its weights stand."""

    def __init__(self, tensors: Tensors, config: BertConfig) -> None:
        # A model saved with a task's head has its network below a name such as `bert.`.
        self._root = next((name.removesuffix(_WORDS) for name in tensors if name.endswith(_WORDS)), "")
        self._tensors = tensors
        self._config = config

    def embed(self, input_ids: openvino.Output, positions: openvino.Output) -> openvino.Output:
        """Add word, position and type vectors; every token is of type 0."""
        first = FIRST_POSITIONS[self._config.model_type]
        places = self._tensor("embeddings.position_embeddings.weight")[first:]
        kind = self._tensor("embeddings.token_type_embeddings.weight")[0]
        words = opset.gather(self._constant(_WORDS), input_ids, np.int64(0))
        placed = opset.gather(opset.constant(places + kind), positions, np.int64(0))
        return self._normalise(opset.add(words, placed).output(0), "embeddings.LayerNorm")

    def encode(self, hidden: openvino.Output, scores_mask: openvino.Output, name: str) -> openvino.Output:
        """Add one layer: attention and feed-forward, each added to its input and normalised."""
        attended = self._linear(
            self._attend(hidden, scores_mask, name + "attention.self."), name + "attention.output.dense"
        )
        hidden = self._normalise(opset.add(hidden, attended).output(0), name + "attention.output.LayerNorm")
        inner = opset.gelu(self._linear(hidden, name + "intermediate.dense"), "erf").output(0)
        outer = self._linear(inner, name + "output.dense")
        return self._normalise(opset.add(hidden, outer).output(0), name + "output.LayerNorm")

    def _attend(self, hidden: openvino.Output, scores_mask: openvino.Output, name: str) -> openvino.Output:
        heads, size = self._config.num_attention_heads, self._config.hidden_size
        split, swap = _axes(0, 0, heads, size // heads), _axes(0, 2, 1, 3)

        def by_head(part: str) -> openvino.Node:
            return opset.transpose(opset.reshape(self._linear(hidden, name + part), split, special_zero=True), swap)

        attended = opset.scaled_dot_product_attention(by_head("query"), by_head("key"), by_head("value"), scores_mask)
        return opset.reshape(opset.transpose(attended, swap), _axes(0, 0, size), special_zero=True).output(0)

    def _linear(self, values: openvino.Output, name: str) -> openvino.Output:
        product = opset.matmul(values, self._constant(name + ".weight"), transpose_a=False, transpose_b=True)
        return opset.add(product, self._constant(name + ".bias")).output(0)

    def _normalise(self, values: openvino.Output, name: str) -> openvino.Output:
        centred = opset.mvn(values, _axes(-1), True, self._config.layer_norm_eps, "inside_sqrt")
        scaled = opset.multiply(centred, self._constant(name + ".weight"))
        return opset.add(scaled, self._constant(name + ".bias")).output(0)

    def _constant(self, name: str) -> openvino.Node:
        return opset.constant(self._tensor(name), shared_memory=True)

    def _tensor(self, name: str) -> npt.NDArray[np.float32]:
        try:
            return self._tensors[self._root + name]
        except KeyError:
            raise UnsupportedModel(f"The weights lack the tensor {self._root + name}.") from None
