"""Bytes of uploads and files in a folder: one file for each content id, which grows with its upload."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection

from gemvec.files.content import FileContent, FilePart
from gemvec.files.upload import Growth, Segment
from gemvec.storage.durable import make_folder, sync_folder, translate_os_errors
from gemvec.storage.places import free_bytes, list_names


class ContentFolder:
    """`Contents` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def create(self, content_id: str) -> None:
        """Make an empty file whose name survives a power cut."""
        with translate_os_errors():
            (self._folder / content_id).touch(exist_ok=False)
            sync_folder(self._folder)

    def open_sink(self, content_id: str) -> FileSink:
        """Return what writes to the file."""
        return FileSink(self._folder / content_id)

    def record(self, connection: Connection, content_id: str, growth: Growth) -> None:
        """Do nothing: the bytes are where they belong."""

    def forget(self, content_id: str, growth: Growth) -> None:
        """Do nothing: the next bytes are written over these."""

    def open(self, connection: Connection, content_id: str, size_bytes: int, sha256: str | None = None) -> FileContent:  # noqa: ARG002 - as of `Contents`
        """Return the file."""
        return FileContent((FilePart(self._folder / content_id, size_bytes, sha256=sha256),))

    def remove(self, content_id: str) -> None:
        """Remove the file."""
        with translate_os_errors():
            (self._folder / content_id).unlink(missing_ok=True)

    def list_ids(self) -> set[str]:
        """Return the names of the files."""
        with translate_os_errors():
            return list_names(self._folder)

    def find_lost(self, active: Collection[str]) -> set[str]:
        """Return those that have no file: it was made when they began."""
        return set(active) - self.list_ids()

    def free_bytes(self) -> int:
        """Return the free space on the disk."""
        return free_bytes(self._folder)


class FileSink:
    """Writes into a file at the place where the bytes belong."""

    def __init__(self, path: Path) -> None:
        """Write to `path`, an existing file that is opened with the first bytes."""
        self._path = path
        self._descriptor: int | None = None

    def write(self, data: memoryview, start: int) -> int:
        """Write at `start`."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        return os.pwrite(self._descriptor, data, start)

    def sync(self) -> Segment | None:
        """Wait for the disk."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
        return None

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
