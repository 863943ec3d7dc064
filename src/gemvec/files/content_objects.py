"""Bytes of uploads and files in an object store: each content id is a folder of segments.

Nothing can be appended to an object, so the bytes between two checkpoints of an upload become an object of their own.
Its name is new each time; which segments count is in the database. So two servers that take bytes of one upload at the
same time cannot spoil each other's: one of them is recorded, and the other's segment is removed.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial
from tempfile import TemporaryFile
from typing import IO

from sqlalchemy import Connection

from gemvec.errors import DataLost, StorageFailure
from gemvec.files import rows
from gemvec.files.content import BLOCK_BYTES, FileContent, FilePart
from gemvec.files.upload import Growth, Segment
from gemvec.storage.database import Database
from gemvec.storage.durable import translate_os_errors
from gemvec.storage.objects import ObjectPath
from gemvec.storage.places import free_bytes


class ContentObjects:
    """`Contents` in an object store."""

    def __init__(self, folder: ObjectPath, database: Database) -> None:
        self._folder = folder
        self._database = database

    def create(self, content_id: str) -> None:
        """Do nothing: the first segment begins it."""

    def open_sink(self, content_id: str) -> SegmentSink:
        """Return what makes segments."""
        return SegmentSink(self._folder / content_id)

    def record(self, connection: Connection, content_id: str, growth: Growth) -> None:
        """Add the segment."""
        if growth.segment is not None:
            rows.insert_segment(connection, content_id, growth.segment)

    def forget(self, content_id: str, growth: Growth) -> None:
        """Remove the segment, unless it is recorded after all: the news of a commit can be lost."""
        segment = growth.segment
        if segment is None:
            return
        with suppress(StorageFailure):  # otherwise it goes with the other segments
            with self._database.read() as connection:
                recorded = rows.list_segments(connection, content_id)
            if segment not in recorded:
                (self._folder / content_id / segment.name).unlink(missing_ok=True)

    def open(self, connection: Connection, content_id: str, size_bytes: int, sha256: str | None = None) -> FileContent:  # noqa: ARG002 - as of `Contents`
        """Return the segments; each has a checksum of its own.

        Raises:
            DataLost: they are not all of the bytes.
        """
        folder = self._folder / content_id
        segments = [each for each in rows.list_segments(connection, content_id) if each.start < size_bytes]
        found = sum(each.size_bytes for each in segments)
        if found != size_bytes:
            raise DataLost(f"{content_id} has {found} bytes in its objects; {size_bytes} are recorded.")
        return FileContent(tuple(FilePart(folder / each.name, each.size_bytes, each.crc32) for each in segments))

    def remove(self, content_id: str) -> None:
        """Remove the segments."""
        with translate_os_errors():
            (self._folder / content_id).remove_tree()

    def list_ids(self) -> set[str]:
        """Return the content ids that have segments."""
        with translate_os_errors():
            return self._folder.list_names()

    def find_lost(self, active: Collection[str]) -> set[str]:  # noqa: ARG002 - as of `Contents`
        """Return nothing: an upload without bytes has no segment yet."""
        return set()

    def free_bytes(self) -> int:
        """Return more than anybody uploads."""
        return free_bytes(self._folder)


class SegmentSink:
    """Collects bytes in a temporary file, and makes an object of them at each checkpoint."""

    def __init__(self, folder: ObjectPath) -> None:
        """Make objects in `folder`."""
        self._folder = folder
        self._spool: IO[bytes] | None = None
        self._start = self._size = self._crc32 = 0

    def write(self, data: memoryview, start: int) -> int:
        """Keep bytes until the next checkpoint."""
        if self._spool is None:
            self._spool = TemporaryFile(prefix="gemvec-")  # noqa: SIM115 - closed at the checkpoint
            self._start, self._size, self._crc32 = start, 0, 0
        self._spool.seek(self._size)
        self._spool.write(data)
        self._size += len(data)
        self._crc32 = zlib.crc32(data, self._crc32)
        return len(data)

    def sync(self) -> Segment | None:
        """Make an object of what was kept."""
        if self._spool is None:
            return None
        name = f"{self._start:015d}.{secrets.token_hex(4)}"
        self._spool.seek(0)
        blocks: Iterator[bytes] = iter(partial(self._spool.read, BLOCK_BYTES), b"")
        (self._folder / name).write(blocks)
        self.close()
        return Segment(start=self._start, size_bytes=self._size, name=name, crc32=self._crc32)

    def close(self) -> None:
        """Forget what was kept."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None
