"""Runs a network on the processor's cores with OpenVINO: `OpenVinoEncoder`.

A stream is one thread with its own inference request; all streams share the weights. This module knows nothing about
texts, queues or callers.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel
from gemvec.models.graph import Graph
from gemvec.models.runtime import openvino, opset
from gemvec.models.widths import padded_width
from gemvec.settings import Precision, default_variable

# Number of cached kernels, each for one shape of one operation; enough for all full micro-batches.
_KEPT_KERNELS = 128
# oneDNN, which is part of OpenVINO, keeps kernels for the whole process, after their model is closed too: 1,024, each a
# third of a MiB. As many as one stream keeps are enough for the streams to share.
_SHARED_KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_compiling = threading.Lock()
# Snippets are kernels that OpenVINO generates for a whole subgraph, here for attention. In 2026.4.1, the fp32 snippet
# for one width sometimes computed wrong attention, without an error and for as long as the model was open, in processes
# that had opened other models before. The library's own kernels are as fast.
_SNIPPETS_MODE = "DISABLE"
# Streams run the same kernels on the same numbers; a larger difference, relative to the largest value, is not rounding.
_STREAM_TOLERANCE = 0.01
_TEXT_AXES, _TOKEN_AXES = 2, 3
_Int32Array = npt.NDArray[np.int32]


class OpenVinoEncoder:
    """Runs one network; an `Encoder` with as many streams as it was opened with."""

    def __init__(self, graph: Graph, *, window_tokens: int, precision: Precision, streams: int) -> None:
        """Compile the network.

        Args:
            graph: what to run.
            window_tokens: longest input, including special tokens.
            precision: `fast` computes in bf16 if the processor has it, `exact` in fp32.
            streams: micro-batches computed at the same time, each on one core.

        Raises:
            RuntimeError: OpenVINO cannot run the graph.
        """
        self._window_tokens = window_tokens
        self._masks_padding, self._is_pooled = graph.masks_padding, graph.is_pooled
        self._tensors = graph.tensors
        compiled = _compile(graph.model, precision, streams)
        self._requests = [compiled.create_infer_request() for _ in range(streams)]
        self._native_dim = 0

    @property
    def native_dim(self) -> int:
        """Number of values in each vector; known after `warm_up`."""
        return self._native_dim

    def warm_up(self, token_ids: Sequence[Sequence[int]]) -> Float32Array:
        """Compute a first micro-batch on every stream; see `Encoder.warm_up`.

        This packs the weights for the processor; then the original weights are released.
        """
        together = token_ids if self._masks_padding else [max(token_ids, key=len)]
        inputs = self._pad(together)
        for request in self._requests:  # at the same time, because a request gets its own stream only when it runs
            request.start_async(inputs)
        answers = [self._finish(request, inputs) for request in self._requests]
        furthest = max(float(np.abs(each - answers[0]).max()) for each in answers)
        if furthest > _STREAM_TOLERANCE * float(np.abs(answers[0]).max()):
            raise UnsupportedModel("The network returns different vectors for the same texts on each stream.")
        if self._tensors is not None:
            self._tensors.release_pages()
        self._native_dim = answers[0].shape[-1]
        return answers[0] if self._masks_padding else self.encode(token_ids, 0)

    def encode(self, token_ids: Sequence[Sequence[int]], stream: int) -> Float32Array:
        """Compute the vectors of one micro-batch; see `Encoder.encode`."""
        if self._masks_padding:
            return self._encode(token_ids, stream)
        found: dict[int, Float32Array] = {}
        for count in {len(ids) for ids in token_ids}:
            rows = [row for row, ids in enumerate(token_ids) if len(ids) == count]
            vectors = self._encode([token_ids[row] for row in rows], stream)
            found |= zip(rows, vectors.reshape(len(rows), -1, self._native_dim), strict=True)
        return np.concatenate([found[row] for row in range(len(token_ids))])

    def close(self) -> None:
        """Free the weights; no stream may be running."""
        self._requests.clear()
        self._tensors = None

    def _encode(self, token_ids: Sequence[Sequence[int]], stream: int) -> Float32Array:
        request, inputs = self._requests[stream], self._pad(token_ids)
        for place, each in enumerate(inputs):  # as arguments of `infer` they would take 0.1 ms more
            request.set_input_tensor(place, openvino.Tensor(each, shared_memory=True))
        request.infer(share_outputs=True)
        return self._take_vectors(request, inputs)

    def _pad(self, token_ids: Sequence[Sequence[int]]) -> list[_Int32Array]:
        """Return the graph's inputs, the ids and their counts."""
        counts = np.fromiter(map(len, token_ids), np.int32, len(token_ids))
        longest = int(counts.max())
        width = min(padded_width(longest), self._window_tokens) if self._masks_padding else longest
        ids = np.zeros((len(token_ids), width), np.int32)
        ids[_is_token(ids, counts)] = np.fromiter(chain.from_iterable(token_ids), np.int32, int(counts.sum()))
        return [ids, counts]

    def _finish(self, request: openvino.InferRequest, inputs: Sequence[_Int32Array]) -> Float32Array:
        """Wait for the first micro-batch of a stream, and return its vectors.

        Raises:
            UnsupportedModel: the graph returns something else.
        """
        request.wait()
        shape = tuple(request.get_output_tensor(0).shape)
        axes, unit = (_TEXT_AXES, "text") if self._is_pooled else (_TOKEN_AXES, "token")
        if len(shape) != axes or shape[: axes - 1] != inputs[0].shape[: axes - 1]:
            raise UnsupportedModel(
                f"The network returns vectors of shape {shape}, expected one vector for each {unit}."
            )
        return self._take_vectors(request, inputs)

    def _take_vectors(self, request: openvino.InferRequest, inputs: Sequence[_Int32Array]) -> Float32Array:
        """Return the vectors of all texts, or of all their tokens without the padding.

        They are copied, because the request writes its next answer to the same memory.
        """
        vectors: Float32Array = request.get_output_tensor(0).data
        return np.array(vectors if self._is_pooled else vectors[_is_token(*inputs)], dtype=np.float32)


def _is_token(ids: _Int32Array, counts: _Int32Array) -> npt.NDArray[np.bool_]:
    """Return bool[rows, tokens], False for padding."""
    places = np.arange(ids.shape[1], dtype=np.int32)
    return np.less(places, counts[:, None])


def _compile(model: openvino.Model, precision: Precision, streams: int) -> openvino.CompiledModel:
    core = openvino.Core()
    is_fast = precision == "fast" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if is_fast:
        multiply_in_bf16(model)
    properties = {
        "INFERENCE_PRECISION_HINT": "bf16" if is_fast else "f32",
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
        # With pinned threads, two processes (a server and a batch worker) would share a core and leave another idle.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": _KEPT_KERNELS,
        "SNIPPETS_MODE": _SNIPPETS_MODE,
    }
    # Read when the first network is compiled. It is not left set, because torch has a oneDNN of its own.
    with _compiling, default_variable(_SHARED_KERNELS, str(_KEPT_KERNELS)):
        return core.compile_model(model, "CPU", properties)


def multiply_in_bf16(model: openvino.Model) -> None:
    """Let a network multiply by the matrices that are stored in bf16 as they are.

    With the conversion to fp32 in between, OpenVINO keeps each of them in fp32 too, for as long as the model is open:
    twice the memory of the weights. The products are the same, because it computes them in bf16 anyway.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or (weights := _stored_in_bf16(node.input_value(1).get_node())) is None:
            continue
        sides = node.get_attributes()
        given = opset.convert(node.input_value(0), "bf16")
        product = opset.convert(opset.matmul(given, weights, sides["transpose_a"], sides["transpose_b"]), "f32")
        for user in node.output(0).get_target_inputs():
            user.replace_source_output(product.output(0))


def _stored_in_bf16(converted: openvino.Node) -> openvino.Node | None:
    """Return the bf16 constant that a node converts, if it does."""
    if converted.get_type_name() != "Convert":
        return None
    stored = converted.input_value(0).get_node()
    is_constant = stored.get_type_name() == "Constant" and stored.get_element_type() == openvino.Type.bf16
    return stored if is_constant else None
