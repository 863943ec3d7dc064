"""The passages of one document in little memory: `Passages`, which are read in order, and as often as needed.

A long document has tens of thousands of passages. As objects they take several times the memory of its text, and they
wait while the model works.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemvec.documents.passages import Passage

# Passages that are kept as they are; beyond them, all of a document are packed, so many at a time.
_MAX_UNPACKED, _PER_PACK = 1_024, 256
# Packing takes about a hundredth of the time of embedding.
_FASTEST = 1


class Passages:
    """Some passages.

    Args:
        found: the passages in order. They are taken one by one, so that they need not be in memory together.
        has_parts: whether the position of each says which part of the document it is, which only their number tells.
    """

    def __init__(self, found: Iterable[Passage] = (), *, has_parts: bool = False) -> None:
        self._packs: list[bytes] = []
        self._rest: list[Passage] = []
        self._has_parts = has_parts
        self._count = 0
        for passage in found:
            self._count += 1
            self._rest.append(passage)
            if self._count > _MAX_UNPACKED and len(self._rest) >= _PER_PACK:
                self._pack()

    def _pack(self) -> None:
        for start in range(0, len(self._rest), _PER_PACK):
            some = self._rest[start : start + _PER_PACK]
            self._packs.append(zlib.compress(pickle.dumps(some, pickle.HIGHEST_PROTOCOL), _FASTEST))
        self._rest = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Passage]:
        for pack in self._packs:
            yield from map(self._placed, pickle.loads(zlib.decompress(pack)))  # noqa: S301 # made above
        yield from map(self._placed, self._rest)

    def _placed(self, passage: Passage) -> Passage:
        part = f"part {passage.number + 1} of {self._count}" if self._has_parts and self._count > 1 else ""
        position = ", ".join(filter(None, (passage.position, part))) or "whole"
        return passage if position == passage.position else replace(passage, position=position)
