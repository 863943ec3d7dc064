"""What runs a network: `Encoder`, from token ids to one pooled vector per text, or to the vectors of all tokens.

Implemented by `openvino.py` (transformers), `static.py` (a table of token vectors) and `torch_encoder.py`
(sentence-transformers). An encoder knows nothing about texts, prompts and windows; the pipeline above it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gemvec.embedding.embed import Float32Array


class Encoder(Protocol):
    """Computes one micro-batch per call."""

    @property
    def native_dim(self) -> int:
        """Number of values in each vector; known after `warm_up`."""
        ...

    def warm_up(self, token_ids: Sequence[Sequence[int]]) -> Float32Array:
        """Compute a first micro-batch on every stream; called once, before `encode`.

        Args:
            token_ids: the ids of each text, as for `encode`.

        Returns:
            What `encode` returns for them.

        Raises:
            UnsupportedModel: the network returns no such vectors, or different ones on each stream.
            RuntimeError: the network cannot be run.
        """
        ...

    def encode(self, token_ids: Sequence[Sequence[int]], stream: int) -> Float32Array:
        """Compute the vectors of one micro-batch.

        Called from several worker threads at the same time, but never with the same `stream`.

        Args:
            token_ids: the ids of each text, special tokens included; none is empty or longer than the window.
            stream: which of the encoder's streams to use, from 0.

        Returns:
            float32[rows, native_dim], in the same order and not necessarily normalised: one pooled vector per text, or
            one vector per token from an encoder that `Engine.open_tokens` returned.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


class TextEncoder(Encoder, Protocol):
    """An encoder of another program, which could also make vectors of texts without our help."""

    def save_tokenizer(self, file: Path) -> None:
        """Write the tokenizer that goes with the encoder as a tokenizer.json."""
        ...

    def encode_texts(self, texts: Sequence[str], prompt: str = "") -> Float32Array:
        """Return what the other program makes of texts and a prompt, to compare with: float32[texts, native_dim]."""
        ...
