"""The modules after a network as nodes of an OpenVINO graph: `add_modules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gemvec.errors import UnsupportedModel
from gemvec.models.graph import Inputs
from gemvec.models.modules import Dense, DenseActivation, LayerNorm, Module, Normalize, Other, Pooling, Truncate
from gemvec.models.pooling import add_pooling
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import Tensors

_untyped: Any = opset  # OpenVINO's decorators hide the signatures of operations without attributes
_LAST_AXIS = np.array([-1], np.int64)
_EPSILON = 1e-5  # torch's LayerNorm
_MIN_LENGTH = 1e-12  # torch's normalize

_ACTIVATIONS: Mapping[DenseActivation, Callable[[openvino.Node], openvino.Node]] = {
    "Identity": lambda values: values,
    "Tanh": _untyped.tanh,
    "ReLU": _untyped.relu,
    "GELU": lambda values: opset.gelu(values, "erf"),
    "SiLU": _untyped.swish,
    "Sigmoid": _untyped.sigmoid,
}


def add_modules(vectors: openvino.Node, inputs: Inputs, modules: Sequence[Module], folder: Path) -> openvino.Node:
    """Add the nodes of the modules, in order.

    Args:
        vectors: float32[rows, tokens, size], the network's last layer.
        inputs: the first nodes of the graph.
        modules: what follows.
        folder: the model's folder, with the weights of dense layers and norms.

    Returns:
        float32[rows, native_dim], not necessarily normalised.

    Raises:
        UnsupportedModel: a module's weights are missing or do not fit.
    """
    for module in modules:
        vectors = _add(module, vectors, inputs, folder)
    return vectors


def _add(module: Module, vectors: openvino.Node, inputs: Inputs, folder: Path) -> openvino.Node:
    match module:
        case Pooling():
            counted = inputs.attention_mask if module.includes_prompt else inputs.mask_without_prompt()
            return add_pooling(vectors, counted, inputs.positions, module.modes)
        case Dense():
            return _add_dense(vectors, module, folder)
        case LayerNorm():
            return _add_layer_norm(vectors, _Weights(folder / module.path))
        case Normalize():
            return opset.normalize_l2(vectors, _LAST_AXIS, _MIN_LENGTH**2, "max")
        case Truncate():
            start, stop, step = (np.array([number], np.int64) for number in (0, module.size, 1))
            return opset.slice(vectors, start, stop, step, _LAST_AXIS)
        case Other():
            raise UnsupportedModel(f"{folder} has the module {module.kind!r}, which only sentence-transformers runs.")


class _Weights:
    """A module's tensors as constants; they are small, and copied."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "model.safetensors"
        self._tensors = Tensors(self._path)

    def has(self, name: str) -> bool:
        return name in self._tensors

    def constant(self, name: str) -> openvino.Node:
        if name not in self._tensors:
            raise UnsupportedModel(f"{self._path} lacks the tensor {name}.")
        return opset.constant(np.array(self._tensors[name]))


def _add_dense(vectors: openvino.Node, module: Dense, folder: Path) -> openvino.Node:
    weights = _Weights(folder / module.path)
    product = opset.matmul(vectors, weights.constant("linear.weight"), transpose_a=False, transpose_b=True)
    if module.has_bias:
        product = opset.add(product, weights.constant("linear.bias"))
    elif weights.has("linear.bias"):
        raise UnsupportedModel(f"{folder / module.path} has the tensor linear.bias, but its config.json no bias.")
    return _ACTIVATIONS[module.activation](product)


def _add_layer_norm(vectors: openvino.Node, weights: _Weights) -> openvino.Node:
    centred = opset.mvn(vectors, _LAST_AXIS, True, _EPSILON, "inside_sqrt")
    return opset.add(opset.multiply(centred, weights.constant("norm.weight")), weights.constant("norm.bias"))
