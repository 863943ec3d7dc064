"""Very many ids in little memory: `IdSet`."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

# Ids that are kept as Python's own set, about; a lookup has to search a few arrays of the others.
_MAX_NEW = 16_384
# The digest of an id, and a last byte, because numpy cuts zeros off the end.
_DIGEST_BYTES, _END = 15, b"\1"


class IdSet:
    """A set of ids, of each of which it keeps 16 bytes: a digest, which two ids share with a chance of 1 in 10^36."""

    def __init__(self) -> None:
        self._new: set[bytes] = set()
        self._sorted: list[npt.NDArray[np.bytes_]] = []  # each at least twice as long as the next

    def __contains__(self, text: str) -> bool:
        digest = _digest(text)
        return digest in self._new or any(_has(some, digest) for some in self._sorted)

    def add(self, text: str) -> None:
        """Add an id, which may be there already."""
        self._new.add(_digest(text))
        if len(self._new) >= _MAX_NEW:
            some = np.sort(np.array(list(self._new)))
            self._new = set()
            while self._sorted and len(self._sorted[-1]) < 2 * len(some):
                some = np.sort(np.concatenate((self._sorted.pop(), some)), kind="stable")
            self._sorted.append(some)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest() + _END


def _has(some: npt.NDArray[np.bytes_], digest: bytes) -> bool:
    place = int(np.searchsorted(some, np.bytes_(digest)))
    return place < len(some) and bytes(some[place]) == digest
