"""Runs a network on the processor's cores with OpenVINO: `OpenVinoEncoder`.

One stream is one thread with one inference request of its own; several streams at once share the weights. Knows nothing
of text, queues or callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel
from gemvec.models.bert import build_bert, read_config
from gemvec.models.graph import read_graph
from gemvec.models.runtime import openvino
from gemvec.models.tensors import Tensors
from gemvec.models.weights import LoadedModel
from gemvec.models.widths import padded_width
from gemvec.settings import Precision

# Kernels kept, each for one shape of one operation; enough for all full micro-batches.
_KEPT_KERNELS = 128
# Snippets are kernels that OpenVINO generates for a whole subgraph, here for attention. With 2026.4.1 the fp32 one for
# one width at times scrambled the attention, without an error and for as long as the model was open, in processes that
# had opened other models before. The library's own kernels are as fast.
_SNIPPETS_MODE = "DISABLE"
# Enough work for the kernels of large micro-batches to be chosen, which may pack the weights in a way of their own.
_WARM_UP_ROWS, _WARM_UP_TOKENS = 4, 64
_WARM_UP_IDS = 8  # no vocabulary is smaller
# Streams run the same kernels on the same numbers; what differs by more of the largest value is no rounding.
_STREAM_TOLERANCE = 0.01


class OpenVinoEncoder:
    """Runs one network; an `Encoder` with as many streams as it was opened with."""

    def __init__(self, model: LoadedModel, *, precision: Precision, streams: int) -> None:
        """Load and compile the network.

        Args:
            model: what to run.
            precision: `fast` computes in bf16 where the processor has it, `exact` in fp32.
            streams: micro-batches computed at the same time, each on one core.

        Raises:
            UnsupportedModel: the files do not describe a network OpenVINO can run.
        """
        self._record = model.record
        self._tensors: Tensors | None = None
        try:
            compiled = _compile(self._read(model), precision, streams)
            self._requests = [compiled.create_infer_request() for _ in range(streams)]
            self._warm_up()
        except RuntimeError as error:  # how OpenVINO says that shapes do not fit or a file is not whole
            raise UnsupportedModel(f"{model.weights_file} cannot be run: {error}") from error

    @property
    def native_dim(self) -> int:
        """Values in each vector."""
        return self._record.native_dim

    def encode(self, token_ids: Sequence[Sequence[int]], stream: int) -> Float32Array:
        """Compute the vectors of one micro-batch; see `Encoder.encode`."""
        counts = np.fromiter(map(len, token_ids), np.int32, len(token_ids))
        width = min(padded_width(int(counts.max())), self._record.window_tokens)
        ids = np.zeros((len(token_ids), width), np.int32)
        ids[np.arange(width) < counts[:, None]] = np.fromiter(
            chain.from_iterable(token_ids), np.int32, int(counts.sum())
        )
        request = self._requests[stream]
        request.infer([ids, counts], share_inputs=True, share_outputs=True)
        # The request writes its next answer to the same memory.
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    def close(self) -> None:
        """Free the weights; no stream may be running."""
        self._requests.clear()
        self._tensors = None

    def _read(self, model: LoadedModel) -> openvino.Model:
        if model.record.engine != "bert":
            return read_graph(model.weights_file, model.record.pooling)
        self._tensors = Tensors(model.weights_file)
        return build_bert(self._tensors, read_config(model.folder / "config.json"), model.record.pooling)

    def _warm_up(self) -> None:
        """Pack the weights as the processor wants them, which the first inference does, and let go of the originals.

        Raises:
            UnsupportedModel: the vectors have another length than the record says, or each stream has its own.
        """
        rows, width = _WARM_UP_ROWS, min(_WARM_UP_TOKENS, self._record.window_tokens)
        ids = np.arange(rows * width, dtype=np.int32).reshape(rows, width) % _WARM_UP_IDS
        for request in self._requests:  # at once, since a request has no stream of its own before it runs
            request.start_async([ids, np.full(rows, width, np.int32)])
        answers = [self._finish_warm_up(request, rows) for request in self._requests]
        furthest = max(float(np.abs(each - answers[0]).max()) for each in answers)
        if furthest > _STREAM_TOLERANCE * float(np.abs(answers[0]).max()):
            raise UnsupportedModel(f"{self._record.id} gives other vectors for the same texts on each stream.")
        if self._tensors is not None:
            self._tensors.release_pages()

    def _finish_warm_up(self, request: openvino.InferRequest, rows: int) -> Float32Array:
        request.wait()
        vectors = np.array(request.get_output_tensor(0).data, dtype=np.float32)
        if vectors.shape != (rows, self.native_dim):
            raise UnsupportedModel(
                f"{self._record.id} gives vectors of shape {vectors.shape}, expected {(rows, self.native_dim)}."
            )
        return vectors


def _compile(model: openvino.Model, precision: Precision, streams: int) -> openvino.CompiledModel:
    core = openvino.Core()
    is_fast = precision == "fast" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if is_fast else "f32",
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
            # Pinned threads of two processes, a server and a batch worker, would share a core and leave another idle.
            "ENABLE_CPU_PINNING": False,
            "CPU_RUNTIME_CACHE_CAPACITY": _KEPT_KERNELS,
            "SNIPPETS_MODE": _SNIPPETS_MODE,
        },
    )
