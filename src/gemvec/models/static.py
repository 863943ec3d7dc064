"""The static encoder: a text's vector is the mean of its tokens' rows in a table; there is no network.

Source: wordllama's `WordLlamaInference.embed`, and sentence-transformers' `StaticEmbedding`, which also reads the files
of model2vec: several tokens may share a row, and each token may have a weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel
from gemvec.models.modules import Module, Normalize, Truncate
from gemvec.models.tensors import Tensors
from gemvec.models.vectors import normalise

_TABLES = ("embedding.weight", "embeddings")


class StaticEncoder:
    """Averages rows of a table; an `Encoder` without state, so any number of streams can use it."""

    def __init__(self, path: Path, modules: Sequence[Module] = ()) -> None:
        """Load the table.

        Args:
            path: a safetensors file with the tensor `embedding.weight` or `embeddings`, [rows, native_dim] of any float
                type; optionally `mapping`, [vocabulary], the row of each token, and `weights`, [vocabulary], its
                factor.
            modules: what follows the mean.

        Raises:
            UnsupportedModel: the file has no such tensor, or a module cannot be used with a static model.
        """
        self._table = _read_table(path)
        refused = [each for each in modules if not isinstance(each, Normalize | Truncate)]
        if refused:
            raise UnsupportedModel(
                f"modules.json has {type(refused[0]).__name__} after StaticEmbedding, which gemvec does not run."
            )
        self._modules = modules

    @property
    def native_dim(self) -> int:
        """Number of values in each vector."""
        sizes = [each.size for each in self._modules if isinstance(each, Truncate)]
        return min([int(self._table.shape[1]), *sizes])

    def warm_up(self, token_ids: Sequence[Sequence[int]]) -> Float32Array:
        """Compute a first micro-batch; nothing gets warmer by it."""
        return self.encode(token_ids)

    def encode(self, token_ids: Sequence[Sequence[int]], stream: int = 0) -> Float32Array:
        """Return the mean row of each text.

        Args:
            token_ids: ids of each text, none empty.
            stream: not used; streams share nothing that changes.

        Returns:
            float32[rows, native_dim], not normalised.
        """
        del stream
        counts = np.fromiter(map(len, token_ids), dtype=np.int64, count=len(token_ids))
        ids = np.fromiter(chain.from_iterable(token_ids), dtype=np.int32, count=int(counts.sum()))
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        sums: Float32Array = np.add.reduceat(self._table[ids], starts, axis=0)
        sums /= counts[:, None].astype(np.float32)
        for module in self._modules:
            sums = normalise(sums) if isinstance(module, Normalize) else sums[:, : cast("Truncate", module).size]
        return sums

    def close(self) -> None:
        """Free the table."""
        self._table = np.empty((0, self._table.shape[1]), dtype=np.float32)


def _read_table(path: Path) -> Float32Array:
    """Return float32[vocabulary, native_dim]: the row of each token, times its weight."""
    try:
        with safe_open(str(path), framework="numpy") as file:  # pyright: ignore[reportUnknownVariableType] # untyped
            names = cast("list[str]", file.keys())
            kinds = {name: cast("Any", file.get_slice(name)).get_dtype() for name in names}
            known = cast(
                "dict[str, npt.NDArray[Any]]", {name: file.get_tensor(name) for name in names if kinds[name] != "BF16"}
            )
    except SafetensorError as error:
        raise UnsupportedModel(f"{path} cannot be read as a table: {error}") from error
    half = Tensors(path)  # numpy has no bf16
    tensors: dict[str, npt.NDArray[Any]] = {**known, **{name: half[name] for name in names if kinds[name] == "BF16"}}
    name = next((name for name in _TABLES if name in tensors), None)
    if name is None:
        raise UnsupportedModel(f"{path} has no tensor {' or '.join(_TABLES)}.")
    table = tensors[name]
    if "mapping" in tensors:
        table = table[tensors["mapping"]]
    if "weights" in tensors:
        table = table.astype(np.float32) * tensors["weights"].astype(np.float32)[:, None]
    return np.ascontiguousarray(table, dtype=np.float32)
