"""The parts of networks as OpenVINO nodes over a model's weights: `Layers`.

Values are float32; [rows, tokens, size] between layers, [rows, tokens, heads, head size] inside attention.

`rotate` and `scale_to_rms` are written with the operations that OpenVINO recognises and computes in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gemvec.errors import UnsupportedModel
from gemvec.models.graph import Inputs
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource

_untyped: Any = opset  # OpenVINO's decorators hide the signatures of operations without attributes
# Added to attention scores that must not count: its exponential is 0 in any precision.
_HIDDEN = np.float32(-1e9)
# Names of LayerNorm's tensors in checkpoints converted from TensorFlow.
_OLD_NAMES = {"weight": "gamma", "bias": "beta"}

ACTIVATIONS: Mapping[str, Callable[[openvino.Node], openvino.Node]] = {
    "gelu": lambda values: opset.gelu(values, "erf"),
    "gelu_new": lambda values: opset.gelu(values, "tanh"),
    "gelu_pytorch_tanh": lambda values: opset.gelu(values, "tanh"),
    "relu": _untyped.relu,
    "silu": _untyped.swish,
    "swiglu": _untyped.swish,
    "swish": _untyped.swish,
}


def axes(*numbers: int) -> npt.NDArray[np.int64]:
    """Return axes or sizes as OpenVINO takes them."""
    return np.array(numbers, np.int64)


class Layers:
    """Adds parts of a network by the names of their weights."""

    def __init__(self, inputs: Inputs, tensors: TensorSource, *, table: str, words: int | None = None) -> None:
        """Start a graph.

        Args:
            inputs: the first nodes of the graph.
            tensors: the weights.
            table: the tensor of the token vectors. A model saved with a task's head has its network under a prefix such
                as `bert.`, which is found by this tensor.
            words: how many tokens config.json says that there are; None if it does not.

        Raises:
            UnsupportedModel: the weights have such a tensor for several networks, or none, or one of another shape.
        """
        self.inputs = inputs
        self._tensors = tensors
        roots = [name.removesuffix(table) for name in tensors if name.endswith(table)]
        if len(roots) > 1:
            raise UnsupportedModel(
                f"The weights have several networks: the tensors {' and '.join(f'{each}{table}' for each in roots)}."
            )
        self._root = next(iter(roots), "")
        self._table = table
        self.require_rows(table, words, "vocab_size")
        self._rotations: dict[tuple[float, int], tuple[openvino.Node, openvino.Node]] = {}
        self._masks: dict[tuple[int | None, bool, int], openvino.Node] = {}

    def has(self, name: str) -> bool:
        """Whether the weights have a tensor."""
        return self._root + name in self._tensors

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """Return a tensor's numbers, to compute with before the graph runs.

        Raises:
            UnsupportedModel: the weights lack it.
        """
        self._require(name)
        return self._tensors[self._root + name]

    def constant(self, name: str, rows: slice | None = None) -> openvino.Node:
        """Add a tensor, or some of its rows, in its stored precision."""
        self._require(name)
        return self._tensors.constant(self._root + name, rows)

    def embed(self) -> openvino.Node:
        """Add the vectors of the tokens, float32[rows, tokens, size]."""
        self._require(self._table)
        return self._tensors.gather(self._root + self._table, self.inputs.ids)

    def require_rows(self, name: str, rows: int | None, field: str) -> None:
        """Check that a table has as many rows as config.json says, each as long as a token's vector.

        A token or a position without a row would be taken for zeros.

        Args:
            name: the table.
            rows: how many there should be; None if config.json does not say.
            field: the field that says so.

        Raises:
            UnsupportedModel: it is missing or has another shape.
        """
        self._require(name)
        shape, width = self._tensors.shape(self._root + name), self._tensors.shape(self._root + self._table)[-1]
        if shape != (shape[0] if rows is None else rows, width):
            raise UnsupportedModel(
                f"The tensor {self._root + name} has the shape {shape}, but config.json has {field} {rows}, and the"
                f" vector of a token {width} values."
            )

    def linear(
        self, values: openvino.Node, name: str, rows: slice | None = None, *, bias: bool = True
    ) -> openvino.Node:
        """Multiply by a matrix and add a bias if there is one; `rows` selects a part of a fused matrix."""
        product = opset.matmul(values, self.constant(f"{name}.weight", rows), transpose_a=False, transpose_b=True)
        return opset.add(product, self._vector(f"{name}.bias", product, rows)) if bias else product

    def layer_norm(self, values: openvino.Node, name: str, epsilon: float, *, bias: bool = True) -> openvino.Node:
        """Centre and scale to variance 1, then apply the layer's scale and, if it has one, its shift."""
        centred = opset.mvn(values, axes(-1), True, epsilon, "inside_sqrt")
        scaled = opset.multiply(centred, self._vector(self._norm_name(name, "weight"), centred))
        return opset.add(scaled, self._vector(self._norm_name(name, "bias"), scaled)) if bias else scaled

    def rms_norm(self, values: openvino.Node, name: str, epsilon: float, *, plus_one: bool = False) -> openvino.Node:
        """Scale to a mean square of 1, then apply the layer's scale, which Gemma stores minus 1."""
        weight = self.tensor(f"{name}.weight")
        self._require_length(f"{name}.weight", weight.shape, values)
        return opset.multiply(scale_to_rms(values, epsilon), opset.constant(weight + np.float32(1 if plus_one else 0)))

    def split_heads(self, values: openvino.Node, heads: int, size: int) -> openvino.Node:
        """Turn float32[rows, tokens, heads * size] into float32[rows, tokens, heads, size]."""
        return opset.reshape(values, axes(0, 0, heads, size), special_zero=True)

    def attend(
        self,
        query: openvino.Node,
        key: openvino.Node,
        value: openvino.Node,
        mask: openvino.Node,
        *,
        width: int,
        scale: float | None = None,
    ) -> openvino.Node:
        """Attend and join the heads again.

        Args:
            query: float32[rows, tokens, heads, size].
            key: float32[rows, tokens, heads or fewer, size]; fewer heads are shared by neighbouring queries.
            value: as `key`.
            mask: added to the scores; made with as many copies as queries share a key.
            width: heads * size.
            scale: factor of the scores; 1 / sqrt(size) by default.

        Returns:
            float32[rows, tokens, width].
        """
        factor = () if scale is None else (np.float32(scale),)
        shared, size = _length(key, 2), _length(key, 3)
        # Queries that share a key head are rows of one matrix, token by token, so that no key is copied.
        group = opset.reshape(query, axes(0, 0, shared, width // shared), special_zero=True)
        rows = opset.reshape(_heads_first(group), axes(0, shared, -1, size), special_zero=True)
        attended = opset.scaled_dot_product_attention(rows, _heads_first(key), _heads_first(value), mask, *factor)
        group = opset.reshape(attended, axes(0, shared, -1, width // shared), special_zero=True)
        return opset.reshape(_tokens_first(group), axes(0, -1, width), special_zero=True)

    def mask(self, window: int | None = None, *, causal: bool = False, copies: int = 1) -> openvino.Node:
        """Return a mask that hides padding and tokens out of sight when it is added to attention scores.

        Args:
            window: tokens at this distance or farther are hidden.
            causal: whether a token sees only itself and those before it.
            copies: how often a token is repeated: the number of queries that share a key head.

        Returns:
            float32[rows, 1, 1 or tokens * copies, tokens].
        """
        key = (window, causal, copies)
        if key not in self._masks:
            padding = opset.subtract(np.float32(1), self.inputs.attention_mask)
            hidden = opset.unsqueeze(padding, axes(1, 2))
            if window is not None or causal:
                far = self._out_of_sight(window, causal=causal, copies=copies)
                hidden = opset.maximum(hidden, opset.unsqueeze(far, axes(0, 1)))
            self._masks[key] = opset.multiply(hidden, _HIDDEN)
        return self._masks[key]

    def _out_of_sight(self, window: int | None, *, causal: bool, copies: int) -> openvino.Node:
        """Return float32[tokens * copies, tokens], 1 if the first token must not see the second."""
        distance = self.distances(copies)
        far = opset.greater_equal(opset.abs(distance), np.int32(window)) if window is not None else None
        later = opset.greater(distance, np.int32(0)) if causal else None
        if far is not None and later is not None:
            return opset.convert(opset.logical_or(far, later), "f32")
        return opset.convert(far if far is not None else later, "f32")

    def distances(self, copies: int = 1) -> openvino.Node:
        """Return int32[tokens * copies, tokens]: the distance from the first token, repeated, to the second."""
        positions = self.inputs.positions
        seen_from = opset.unsqueeze(positions, np.int64(1))
        if copies > 1:
            seen_from = opset.reshape(opset.tile(seen_from, axes(1, copies)), axes(-1, 1), special_zero=False)
        return opset.subtract(opset.unsqueeze(positions, np.int64(0)), seen_from)

    def rotate(self, values: openvino.Node, base: float, size: int) -> openvino.Node:
        """Turn each pair of a head's values by an angle that grows with the position: rotary positions.

        Args:
            values: float32[rows, tokens, heads, size]; value i is paired with value i + size / 2.
            base: base of the frequencies.
            size: number of values in a head.
        """
        cosine, sine = self._rotation(base, size)
        first, second = opset.variadic_split(values, np.int64(3), axes(size // 2, size // 2)).outputs()
        turned = opset.concat([opset.multiply(second, np.float32(-1)), first], -1)
        return opset.add(opset.multiply(values, cosine), opset.multiply(turned, sine))

    def _rotation(self, base: float, size: int) -> tuple[openvino.Node, openvino.Node]:
        """Return cosines and sines, float32[1, tokens, 1, size]."""
        key = (base, size)
        if key not in self._rotations:
            frequencies = (1 / base ** (np.arange(0, size, 2) / size)).astype(np.float32)[None]
            positions = opset.convert(opset.unsqueeze(self.inputs.positions, np.int64(1)), "f32")
            angles = opset.multiply(positions, opset.constant(frequencies))
            both = opset.unsqueeze(opset.concat([angles, angles], 1), axes(0, 2))
            self._rotations[key] = (opset.cos(both), opset.sin(both))
        return self._rotations[key]

    def _vector(self, name: str, values: openvino.Node, rows: slice | None = None) -> openvino.Node:
        """Add a tensor with one number for each value of the last axis, or some of its rows."""
        vector = self.constant(name, rows)
        self._require_length(name, tuple(vector.get_output_partial_shape(0).to_shape()), values)
        return vector

    def _require_length(self, name: str, shape: tuple[int, ...], values: openvino.Node) -> None:
        """Refuse a shorter tensor, which would be stretched."""
        size = _length(values, len(values.get_output_partial_shape(0)) - 1)
        if shape != (size,):
            raise UnsupportedModel(f"The tensor {self._root + name} has the shape {shape}, expected {(size,)}.")

    def _norm_name(self, name: str, part: str) -> str:
        new, old = f"{name}.{part}", f"{name}.{_OLD_NAMES[part]}"
        return old if self.has(old) and not self.has(new) else new

    def _require(self, name: str) -> None:
        if not self.has(name):
            raise UnsupportedModel(f"The weights lack the tensor {self._root + name}.")


def _heads_first(values: openvino.Node) -> openvino.Node:
    """Turn float32[rows, tokens, heads, size] into float32[rows, heads, tokens, size]; a single head is not copied."""
    if (heads := _length(values, 2)) == 1:
        return opset.reshape(values, axes(0, heads, -1, _length(values, 3)), special_zero=True)
    return opset.transpose(values, axes(0, 2, 1, 3))


def _tokens_first(values: openvino.Node) -> openvino.Node:
    """Turn float32[rows, heads, tokens, size] into float32[rows, tokens, heads, size]; a single head is not copied."""
    if (heads := _length(values, 1)) == 1:
        return opset.reshape(values, axes(0, -1, heads, _length(values, 3)), special_zero=True)
    return opset.transpose(values, axes(0, 2, 1, 3))


def _length(values: openvino.Node, axis: int) -> int:
    return values.get_output_partial_shape(0)[axis].get_length()


def scale_to_rms(values: openvino.Node, epsilon: float) -> openvino.Node:
    """Scale the last axis to a mean square of 1."""
    square = opset.reduce_mean(opset.multiply(values, values), axes(-1), keep_dims=True)
    return opset.divide(values, opset.sqrt(opset.add(square, np.float32(epsilon))))


def relative_bias(layers: Layers, table: npt.NDArray[np.float32], furthest: int) -> openvino.Node:
    """Add the bias of attention scores by the distance between two tokens, as in T5.

    Args:
        layers: the network.
        table: float32[buckets, heads]: half of the buckets for tokens before, half for tokens after. Each short
            distance has its own bucket; long ones share buckets, by their logarithm.
        furthest: all distances from this on share one bucket.

    Returns:
        float32[1, heads, tokens, tokens].
    """
    reach = np.arange(-furthest, furthest + 1)
    by_distance = opset.constant(np.ascontiguousarray(table[_buckets(reach, len(table), furthest)].T))
    clipped = opset.clamp(layers.distances(), float(-furthest), float(furthest))
    places = opset.add(clipped, np.int32(furthest))
    return opset.unsqueeze(opset.gather(by_distance, places, np.int64(1)), np.int64(0))


def _buckets(distances: npt.NDArray[np.int64], buckets: int, furthest: int) -> npt.NDArray[np.int64]:
    half, near = buckets // 2, buckets // 4
    far = np.abs(distances)
    shares = np.log(np.maximum(far, 1).astype(np.float32) / near) / np.float32(np.log(furthest / near))
    beyond = np.minimum(near + (shares * (half - near)).astype(np.int64), half - 1)
    return (distances > 0) * half + np.where(far < near, far, beyond)
