"""The static encoder: a text's vector is the mean of its tokens' rows in a table; there is no network.

Source: wordllama's `WordLlamaInference.embed` (no special tokens, no truncation, mean over the tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel

_TABLE = "embedding.weight"


class StaticEncoder:
    """Averages rows of a table; an `Encoder` without state, so any number of streams may call it."""

    def __init__(self, path: Path) -> None:
        """Load the table.

        Args:
            path: a safetensors file with the tensor `embedding.weight`, [vocabulary, native_dim] of any float type.

        Raises:
            UnsupportedModel: the file has no such tensor.
        """
        try:
            with safe_open(str(path), framework="numpy") as weights:  # pyright: ignore[reportUnknownVariableType] # untyped
                table = cast("npt.NDArray[np.floating]", weights.get_tensor(_TABLE))
        except SafetensorError as error:
            raise UnsupportedModel(f"{path} has no readable tensor {_TABLE}: {error}") from error
        self._table: Float32Array = np.ascontiguousarray(table, dtype=np.float32)

    @property
    def native_dim(self) -> int:
        """Values in each vector."""
        return int(self._table.shape[1])

    def encode(self, token_ids: Sequence[Sequence[int]], stream: int = 0) -> Float32Array:
        """Return the mean row of each text.

        Args:
            token_ids: ids of each text, none empty.
            stream: taken for the protocol's sake; streams share nothing that changes.

        Returns:
            float32[rows, native_dim], not normalised.
        """
        del stream
        counts = np.fromiter(map(len, token_ids), dtype=np.int64, count=len(token_ids))
        ids = np.fromiter(chain.from_iterable(token_ids), dtype=np.int32, count=int(counts.sum()))
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        sums: Float32Array = np.add.reduceat(self._table[ids], starts, axis=0)
        sums /= counts[:, None].astype(np.float32)
        return sums

    def close(self) -> None:
        """Free the table."""
        self._table = np.empty((0, self.native_dim), dtype=np.float32)
