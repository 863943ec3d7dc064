"""Reads a safetensors file without copying it: arrays over the mapped file, shared with every process that maps it.

Format: eight bytes of header length, a JSON header of dtype, shape and offsets by tensor name, then the numbers.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel

_LENGTH_BYTES = 8
_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no bf16: its bits are read as whole numbers


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class Tensors(Mapping[str, Float32Array]):
    """The tensors of one file by name, as float32; those stored so are views of the file, the others copies.

    The views may be written to, and then differ from the file in this process only: OpenVINO takes no others.
    """

    def __init__(self, path: Path) -> None:
        """Map the file.

        Raises:
            UnsupportedModel: it is not a safetensors file.
        """
        self._path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            self._start = _LENGTH_BYTES + int.from_bytes(self._map[:_LENGTH_BYTES], "little")
            header = msgspec.json.decode(self._map[_LENGTH_BYTES : self._start], type=dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            self._entries = {name: msgspec.json.decode(raw, type=_Entry) for name, raw in header.items()}
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise UnsupportedModel(f"{path} cannot be read as safetensors: {error}") from error

    def __getitem__(self, name: str) -> Float32Array:
        entry = self._entries[name]
        if entry.dtype not in _DTYPES:
            raise UnsupportedModel(f"{self._path}: tensor {name} has dtype {entry.dtype}, expected F32, F16 or BF16.")
        start, end = (self._start + offset for offset in entry.data_offsets)
        try:
            stored: npt.NDArray[np.generic] = np.frombuffer(memoryview(self._map)[start:end], _DTYPES[entry.dtype])
            stored = stored.reshape(entry.shape)
        except ValueError as error:
            raise UnsupportedModel(f"{self._path}: tensor {name} is not whole: {error}") from error
        if entry.dtype == "BF16":  # the upper half of a float32
            return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return stored.astype(np.float32, copy=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def release_pages(self) -> None:
        """Give back the memory of the pages read so far; a later read fetches them from the file again."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
