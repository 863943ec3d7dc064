"""What runs a network: `Encoder`, token ids in, one pooled vector a text out.

Implemented by `openvino.py` (transformers) and `static.py` (a table of token vectors). An encoder knows no text, no
prompt and no window; the pipeline above it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gemvec.embedding.embed import Float32Array


class Encoder(Protocol):
    """Computes one micro-batch a call."""

    @property
    def native_dim(self) -> int:
        """Values in each vector it produces."""
        ...

    def encode(self, token_ids: Sequence[Sequence[int]], stream: int) -> Float32Array:
        """Compute the vectors of one micro-batch.

        Called from worker threads, several at a time, but never twice at once with the same `stream`.

        Args:
            token_ids: the ids of each text, special tokens included; none is empty or longer than the window.
            stream: which of the encoder's parallel lanes to use, from 0.

        Returns:
            float32[rows, native_dim], one pooled vector a text in the same order, not necessarily normalised.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
        ...
