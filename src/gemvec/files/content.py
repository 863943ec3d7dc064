"""Bytes of files: one flat folder of random names, and reading a file whole or in part.

A row that names a content id is committed before the bytes are made, and removed before they are. So bytes without a
row are leftovers of a crash, and the sweep may remove them at any time. `content_folder.py` keeps them in a folder,
`content_objects.py` in an object store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from gemvec.errors import DataLost, StorageFailure
from gemvec.files.upload import Growth, Sink, digest_of
from gemvec.storage.durable import Place, crc32_of, translate_os_errors
from gemvec.storage.places import Stat, stats_of

BLOCK_BYTES = 2**20
# A slow client keeps about two of these in memory, and there may be hundreds of them.
_READ_BYTES = 2**17
# (path, time of the last change, size) of what this process has already checked.
_checked: set[tuple[str, int, int]] = set()
_MAX_CHECKED = 100_000


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file or object, how many of its bytes count, and their checksum if it was recorded."""

    path: Place
    size_bytes: int
    crc32: int | None = None
    sha256: str | None = None

    def check_against(self, found: Stat | None) -> None:
        """Make sure that the bytes are as they were written.

        Args:
            found: their size and time now; None if they are gone.

        Raises:
            DataLost: they are missing, too few, or changed.
        """
        if found is None:
            raise DataLost(f"{self.path.name} is gone.")
        try:
            if found.st_size < self.size_bytes:
                raise DataLost(f"{self.path.name} has {found.st_size} bytes; {self.size_bytes} are recorded.")
            seen = (str(self.path), found.st_mtime_ns, found.st_size)
            if seen not in _checked and not self._is_whole():
                raise DataLost(f"{self.path.name} has changed since it was written.")
        except OSError as error:
            raise DataLost(f"{self.path.name} is gone.") from error
        if len(_checked) >= _MAX_CHECKED:
            _checked.clear()
        _checked.add(seen)

    def _is_whole(self) -> bool:
        if self.crc32 is not None:
            return crc32_of(self.path, self.size_bytes) == self.crc32
        if self.sha256 is None:
            return True
        return digest_of(_read_part(self.path, 0, self.size_bytes)).sha256.hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class FileContent:
    """The bytes of a stored file: its parts, read one after the other."""

    parts: tuple[FilePart, ...]

    @property
    def size_bytes(self) -> int:
        """Number of bytes of all parts together."""
        return sum(part.size_bytes for part in self.parts)

    def check(self) -> None:
        """Make sure that every part is as it was written, before any of it is sent.

        For this, a file is read once, and again only if it has changed since.

        Raises:
            DataLost: a part is missing or damaged.
            StorageFailure: it cannot be told.
        """
        with translate_os_errors():
            found = stats_of([part.path for part in self.parts])
        for part, stat in zip(self.parts, found, strict=True):
            part.check_against(stat)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop` (the end when None) in blocks of at most 128 KiB.

        Raises:
            StorageFailure: the bytes are gone.
        """
        left = (self.size_bytes if stop is None else stop) - start
        for part in self.parts:
            taken = max(0, min(part.size_bytes - start, left))
            if taken:
                yield from _read_part(part.path, start, taken)
            left -= taken
            start = max(0, start - part.size_bytes)


def _read_part(path: Place, start: int, size: int) -> Iterator[bytes]:
    with translate_os_errors(), path.open("rb", buffering=0) as file:
        file.seek(start)
        while size:
            block = file.read(min(size, _READ_BYTES))
            if not block:
                raise StorageFailure(f"{path.name} is shorter than recorded.")
            yield block
            size -= len(block)


class Contents(Protocol):
    """The bytes of uploads and files by their content id: files of a folder, or objects."""

    def create(self, content_id: str) -> None:
        """Begin without bytes.

        Raises:
            StorageFull: there is no room.
            StorageFailure: it cannot be done.
        """
        ...

    def open_sink(self, content_id: str) -> Sink:
        """Return what takes the bytes of an upload."""
        ...

    def record(self, connection: Connection, content_id: str, growth: Growth) -> None:
        """Note where new bytes are, in the transaction that records that they are durable."""
        ...

    def forget(self, content_id: str, growth: Growth) -> None:
        """Remove new bytes that were not recorded because another request was faster."""
        ...

    def open(self, connection: Connection, content_id: str, size_bytes: int, sha256: str | None = None) -> FileContent:
        """Return where the first `size_bytes` bytes are; `sha256` is theirs, if it is known."""
        ...

    def remove(self, content_id: str) -> None:
        """Remove the bytes; nothing happens when they are gone.

        Raises:
            StorageFailure: it cannot be done.
        """
        ...

    def list_ids(self) -> set[str]:
        """Return the content ids that have bytes.

        Raises:
            StorageFailure: they cannot be listed.
        """
        ...

    def find_lost(self, active: Collection[str]) -> set[str]:
        """Return which of the content ids of active uploads have lost their bytes.

        Raises:
            StorageFailure: they cannot be listed.
        """
        ...

    def free_bytes(self) -> int:
        """Return how much more can be kept, in bytes.

        Raises:
            StorageFailure: it cannot be told.
        """
        ...
