"""Reads safetensors files without copying: arrays over the mapped files, shared by all processes that map them.

Format: eight bytes of header length, a JSON header with dtype, shape and offsets by tensor name, then the numbers.
Large models have several files, and an index that says which tensor is in which file.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel

if TYPE_CHECKING:
    from gemvec.models.runtime import openvino

INDEX_ENDING = ".safetensors.index.json"

_LENGTH_BYTES = 8
_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no bf16, so its bits are read as integers


class TensorSource(Protocol):
    """A network's tensors by name, from any kind of file."""

    def __contains__(self, name: object, /) -> bool:
        """Whether there is such a tensor."""
        ...

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        ...

    def __getitem__(self, name: str, /) -> Float32Array:
        """Return a tensor's numbers."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, without reading its numbers."""
        ...

    def constant(self, name: str, rows: slice | None = None) -> openvino.Node:
        """Add a tensor, or some of its rows, to a graph; this object must outlive the graph."""
        ...

    def gather(self, name: str, ids: openvino.Node) -> openvino.Node:
        """Add rows of a matrix, float32[..., size], for int32[...] ids."""
        ...

    def release_pages(self) -> None:
        """Give back the memory of the pages read so far; a later read fetches them from the file again."""
        ...


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class _Index(msgspec.Struct, frozen=True):
    weight_map: dict[str, str]


# Made here and not with the first file: msgspec cannot learn of a struct in two threads at once.
_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_index = msgspec.json.Decoder(_Index).decode


class _File:
    """One mapped file. Its views can be written to; changes are visible in this process only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            self._start = _LENGTH_BYTES + int.from_bytes(self.map[:_LENGTH_BYTES], "little")
            header = msgspec.json.decode(self.map[_LENGTH_BYTES : self._start], type=dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            self.entries = {name: _decode_entry(raw) for name, raw in header.items()}
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise UnsupportedModel(f"{path} cannot be read as safetensors: {error}") from error

    def stored(self, name: str) -> npt.NDArray[np.generic]:
        entry = self.entries[name]
        if entry.dtype not in _DTYPES:
            raise UnsupportedModel(f"{self.path}: tensor {name} has dtype {entry.dtype}, expected F32, F16 or BF16.")
        start, end = (self._start + offset for offset in entry.data_offsets)
        try:
            stored: npt.NDArray[np.generic] = np.frombuffer(memoryview(self.map)[start:end], _DTYPES[entry.dtype])
            return stored.reshape(entry.shape)
        except ValueError as error:
            raise UnsupportedModel(f"{self.path}: tensor {name} is incomplete: {error}") from error


class Tensors(Mapping[str, Float32Array]):
    """A model's tensors by name, as float32: views of the file if they are stored as float32, else copies.

    The views are writable, because OpenVINO does not take others.
    """

    def __init__(self, path: Path) -> None:
        """Map the file, or all files of an index.

        Args:
            path: a safetensors file, or the index of several files.

        Raises:
            UnsupportedModel: a file is missing or is not a safetensors file.
        """
        self._files = [_File(each) for each in weights_files(path)]
        self._homes = {name: file for file in self._files for name in file.entries}

    def count_numbers(self) -> dict[str, int]:
        """Return how many numbers each tensor has."""
        return {name: math.prod(file.entries[name].shape) for name, file in self._homes.items()}

    def __getitem__(self, name: str) -> Float32Array:
        stored = self.stored(name)
        if self.precision(name) == "BF16":  # the upper half of a float32
            return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return stored.astype(np.float32, copy=False)

    def __contains__(self, name: object) -> bool:
        return name in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)

    def precision(self, name: str) -> str:
        """Return the stored type of a tensor, by its name in safetensors."""
        return self._homes[name].entries[name].dtype

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, without reading its numbers."""
        return self._homes[name].entries[name].shape

    def stored(self, name: str) -> npt.NDArray[np.generic]:
        """Return a view of a tensor in its stored type; BF16 as uint16.

        Raises:
            UnsupportedModel: its type is not supported, or the file is incomplete.
        """
        return self._homes[name].stored(name)

    def constant(self, name: str, rows: slice | None = None) -> openvino.Node:
        """Add a tensor, or some of its rows, to a graph in its stored precision."""
        from gemvec.models.runtime import openvino, opset

        stored = self.stored(name)[rows or slice(None)]
        if self.precision(name) == "F32":
            return opset.constant(stored, shared_memory=True)
        if self.precision(name) == "BF16":
            return opset.convert(opset.constant(openvino.Tensor(stored, stored.shape, openvino.Type.bf16)), "f32")
        return opset.convert(opset.constant(stored, shared_memory=True), "f32")

    def gather(self, name: str, ids: openvino.Node) -> openvino.Node:
        """Add rows of a matrix, float32[..., size], for int32[...] ids."""
        from gemvec.models.runtime import opset

        return opset.gather(self.constant(name), ids, np.int64(0))

    def release_pages(self) -> None:
        """Give back the memory of the pages read so far; a later read fetches them from the files again."""
        for file in self._files:
            if hasattr(file.map, "madvise"):
                file.map.madvise(mmap.MADV_DONTNEED)


def weights_files(path: Path) -> list[Path]:
    """Return the files with the tensors: `path` itself, or those in an index.

    Raises:
        UnsupportedModel: the index cannot be read or names a file outside its folder.
    """
    if not path.name.endswith(INDEX_ENDING):
        return [path]
    try:
        names = sorted(set(_decode_index(path.read_bytes()).weight_map.values()))
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise UnsupportedModel(f"{path} names {outside[0]!r}, which is not in the same folder.")
    return [path.parent / name for name in names]
