"""Bytes of files on disk: one flat folder of random names, and reading a file whole or in part.

A row that names a content id is committed before the bytes are made, and removed before they are. So bytes without a
row are leftovers of a crash, and the sweep may remove them at any time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gemvec.errors import DataLost, FailedPrecondition, StorageFailure
from gemvec.files.upload import digest_of
from gemvec.storage.durable import crc32_of, make_folder, sync_folder, translate_os_errors

BLOCK_BYTES = 2**20
# A slow client keeps about two of these in memory, and there may be hundreds of them.
_READ_BYTES = 2**17
# (path, time of the last change, size) of files that this process has already checked.
_checked: set[tuple[str, int, int]] = set()
_MAX_CHECKED = 100_000


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file on disk, how many of its bytes count, and their checksum if it was recorded."""

    path: Path
    size_bytes: int
    crc32: int | None = None
    sha256: str | None = None

    def check(self) -> None:
        """Make sure that the bytes are as they were written.

        Raises:
            DataLost: they are missing, too few, or changed.
        """
        try:
            found = self.path.stat()
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
        return self.sha256 is None or digest_of(self.path, self.size_bytes).sha256.hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class FileContent:
    """The bytes of a stored file: its parts, read one after the other."""

    parts: tuple[FilePart, ...]

    @property
    def size_bytes(self) -> int:
        """Number of bytes of all parts together."""
        return sum(part.size_bytes for part in self.parts)

    @property
    def path(self) -> Path:
        """The one file that holds everything, for callers that seek in it.

        Raises:
            FailedPrecondition: the file is made of parts (a batch's results).
        """
        if len(self.parts) != 1:
            raise FailedPrecondition("A file of batch results cannot be read as an input.")
        return self.parts[0].path

    def check(self) -> None:
        """Make sure that every part is as it was written, before any of it is sent.

        For this, a file is read once, and again only if it has changed since.

        Raises:
            DataLost: a part is missing or damaged.
        """
        for part in self.parts:
            part.check()

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


def _read_part(path: Path, start: int, size: int) -> Iterator[bytes]:
    with translate_os_errors(), path.open("rb", buffering=0) as file:
        file.seek(start)
        while size:
            block = file.read(min(size, _READ_BYTES))
            if not block:
                raise StorageFailure(f"{path.name} is shorter than recorded.")
            yield block
            size -= len(block)


class ContentFolder:
    """The folder that holds the bytes of uploads and files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def path_of(self, content_id: str) -> Path:
        """Return where the bytes of `content_id` are."""
        return self._folder / content_id

    def create(self, content_id: str) -> None:
        """Make an empty file whose name survives a power cut."""
        with translate_os_errors():
            self.path_of(content_id).touch(exist_ok=False)
            sync_folder(self._folder)

    def remove(self, content_id: str) -> None:
        """Remove the bytes; nothing happens when they are gone."""
        with translate_os_errors():
            self.path_of(content_id).unlink(missing_ok=True)

    def list_ids(self) -> set[str]:
        """Return the content ids that have bytes."""
        with translate_os_errors(), os.scandir(self._folder) as entries:
            return {entry.name for entry in entries}

    def free_bytes(self) -> int:
        """Return the free space on the disk in bytes."""
        with translate_os_errors():
            return shutil.disk_usage(self._folder).free
