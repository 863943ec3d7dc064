"""An upload: its state, and the writer that takes the bytes of one request.

The idea: `received_bytes` in the database is the truth and grows only when the bytes are durable. Bytes beyond it are
left over from a crash and are overwritten. A repeated range is skipped, and a gap is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from gemvec.errors import GemvecError, UploadNotActive
from gemvec.storage.durable import translate_os_errors

if TYPE_CHECKING:
    from hashlib import _Hash as Hash  # pyright: ignore[reportPrivateUsage] # the type has no public name

CHECKPOINT_BYTES = 32 * 2**20


class UploadState(StrEnum):
    """State of an upload; `final` and `cancelled` never change."""

    ACTIVE = "active"
    FINAL = "final"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A resumable upload.

    Attributes:
        upload_id: the secret in the upload URL.
        owner: whose file it will be.
        file_id: the id that the file will have.
        display_name: a human-readable name, "" when none was given.
        mime_type: what the uploader gave, "" when nothing was given.
        declared_bytes: the size that was announced, or None.
        received_bytes: what is safely stored.
        state: see `UploadState`.
        content_id: name of the bytes.
        created_at: when it started.
        expires_at: from then on it is not found.
    """

    upload_id: str = field(repr=False)
    owner: str
    file_id: str
    display_name: str
    mime_type: str
    declared_bytes: int | None
    received_bytes: int
    state: UploadState
    content_id: str
    created_at: datetime
    expires_at: datetime


@dataclass(slots=True)
class Digest:
    """SHA-256 of the first `size_bytes` of an upload; kept only in memory, computed again if it is lost."""

    sha256: Hash = field(default_factory=hashlib.sha256)
    size_bytes: int = 0

    def update(self, block: bytes | memoryview) -> None:
        """Add the bytes that follow."""
        self.sha256.update(block)
        self.size_bytes += len(block)


def digest_of(blocks: Iterable[bytes]) -> Digest:
    """Return the digest of bytes that come in blocks."""
    digest = Digest()
    for block in blocks:
        digest.update(block)
    return digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Bytes of an upload that became an object of their own.

    Attributes:
        start: where they begin in the upload.
        size_bytes: how many they are.
        name: of the object, in the folder of the upload's content.
        crc32: of the bytes.
    """

    start: int
    size_bytes: int
    name: str
    crc32: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A step of an upload that is to be recorded.

    Attributes:
        before: how many bytes were recorded.
        after: how many are durable now.
        segment: the object that has the new ones; None if they were appended to a file.
    """

    before: int
    after: int
    segment: Segment | None


class Sink(Protocol):
    """Takes the bytes of an upload in order; used by one thread at a time. All methods raise OSError."""

    def write(self, data: memoryview, start: int) -> int:
        """Take bytes that belong at `start`; return how many were taken."""
        ...

    def sync(self) -> Segment | None:
        """Make what was taken durable; return the object that it became, if it became one."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class UploadWriter:
    """Writes the bytes of one request from its offset on; usable from any thread, but one at a time.

    Bytes that an earlier request sent are skipped. Every 32 MiB, and when it is closed, new bytes are made durable
    and recorded, so a broken request loses nothing that arrived before its last checkpoint.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        offset: int,
        received_bytes: int,
        digest: Digest,
        check: Callable[[int], None],
        record: Callable[[Growth], None],
    ) -> None:
        """Prepare to write.

        Args:
            sink: takes the upload's bytes.
            offset: where the request's first byte belongs; at most `received_bytes`.
            received_bytes: how many bytes are already stored.
            digest: of exactly those bytes.
            check: raises when an upload may not grow to this size.
            record: records what is durable; raises when the upload is no longer active.
        """
        self._sink = sink
        self._offset = offset
        self._received: int = received_bytes
        self._recorded: int = received_bytes
        self._digest = digest
        self._check = check
        self._record = record
        self._is_closed = False
        self._lock = threading.Lock()

    def write(self, block: bytes) -> None:
        """Add the bytes that follow.

        Raises:
            UploadNotActive: another request took over, or the upload has ended.
            InvalidRequest: more bytes came than were declared, or than one file may have.
            QuotaExceeded: the owner's quota is used up.
            StorageFull: the disk is full.
        """
        with self._lock:
            if self._is_closed:
                raise UploadNotActive
            repeated = min(max(0, self._received - self._offset), len(block))
            self._offset += len(block)
            fresh = memoryview(block)[repeated:]
            if fresh:
                self._check(self._received + len(fresh))
                self._append(fresh)
            if self._received - self._recorded >= CHECKPOINT_BYTES:
                self._checkpoint()

    def checkpoint(self) -> None:
        """Make the bytes so far durable and record them; once the writer is closed, nothing happens."""
        with self._lock:
            if not self._is_closed:
                self._checkpoint()

    def close(self) -> None:
        """Make the bytes so far durable and accept no more; a second call does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                self._checkpoint()
            finally:
                self._sink.close()

    def abandon(self) -> None:
        """Close after an error: keep what can still be made durable, and raise nothing."""
        with contextlib.suppress(GemvecError):
            self.close()

    def _append(self, fresh: memoryview) -> None:
        with translate_os_errors():
            while fresh:
                written = self._sink.write(fresh, self._received)
                self._digest.update(fresh[:written])
                self._received += written
                fresh = fresh[written:]

    def _checkpoint(self) -> None:
        if self._received == self._recorded:
            return
        with translate_os_errors():
            segment = self._sink.sync()
        growth = Growth(before=self._recorded, after=self._received, segment=segment)
        try:
            self._record(growth)
        except BaseException:
            if segment is not None and not self._is_closed:
                # The object is not counted, so a later checkpoint must not count what came after it.
                self._is_closed = True
                self._sink.close()
            raise
        self._recorded = self._received
