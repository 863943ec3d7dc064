"""The uploads of a store: start, write, query, cancel, finalize.

Requests for one upload run one after the other; different uploads run at the same time.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import Connection

from gemvec.errors import (
    FileAlreadyExists,
    GemvecError,
    InvalidRequest,
    QuotaExceeded,
    StorageFull,
    UploadedFileNotFound,
    UploadNotActive,
    UploadNotFound,
)
from gemvec.files import rows
from gemvec.files.content import Contents
from gemvec.files.file import FileSource, StoredFile
from gemvec.files.limits import FileLimits, LimitsOf, OwnerLimits, check_description, check_file_id, usual_limits
from gemvec.files.upload import Digest, Growth, Upload, UploadState, UploadWriter, digest_of
from gemvec.storage.database import Database
from gemvec.storage.stored_bytes import count_stored_bytes

_ID_LENGTH = 12
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_LOCKS = 64  # uploads that share a lock wait only for each other's start and end, not for the bytes


class UploadStore:
    """The uploads of every owner; use it as `FileStore.uploads`."""

    def __init__(
        self,
        database: Database,
        contents: Contents,
        limits: FileLimits,
        clock: Callable[[], datetime],
        limits_of: LimitsOf = usual_limits,
    ) -> None:
        self._database = database
        self._contents = contents
        self._limits = limits
        self._clock = clock
        self._limits_of = limits_of
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        self._writers: dict[str, UploadWriter] = {}
        self._digests: dict[str, Digest] = {}

    def start(
        self,
        owner: str,
        *,
        file_id: str | None = None,
        display_name: str = "",
        mime_type: str = "",
        declared_bytes: int | None = None,
    ) -> Upload:
        """Begin an upload.

        Args:
            owner: whose file it will be; "" for anonymous callers.
            file_id: the id the caller wants, bare or after `files/`; None for a random one.
            display_name: a human-readable name.
            mime_type: any string.
            declared_bytes: how many bytes will come, if the caller knows.

        Raises:
            InvalidRequest: a name or the size is not valid.
            FileAlreadyExists: the name is taken.
            QuotaExceeded: the owner's quota is used up, or too many of its uploads are open.
            StorageFull: the disk is full.
        """
        chosen = None if file_id is None else check_file_id(file_id)
        check_description(display_name, mime_type)
        self._limits.check_size(declared_bytes or 0)
        if self._contents.free_bytes() < (declared_bytes or 0):
            raise StorageFull
        now = self._clock()
        upload = Upload(
            upload_id=secrets.token_urlsafe(32),
            owner=owner,
            file_id=chosen or "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH)),
            display_name=display_name,
            mime_type=mime_type,
            declared_bytes=declared_bytes,
            received_bytes=0,
            state=UploadState.ACTIVE,
            content_id=secrets.token_hex(16),
            created_at=now,
            expires_at=now + self._limits.expiry,
        )
        self._insert(upload)
        return upload

    def open_append(self, upload_id: str, offset: int) -> UploadWriter:
        """Take over an upload to write from `offset` on; afterwards close the writer, or abandon it after an error.

        An earlier request that still writes to the same upload is ended: the new request comes from the same client.

        Raises:
            UploadNotFound: there is no such upload.
            UploadNotActive: it was cancelled.
            InvalidRequest: the offset is negative or leaves a gap.
        """
        with self._lock_of(upload_id):
            self._close_writer(upload_id)
            upload = self.get(upload_id)
            if upload.state is UploadState.CANCELLED:
                raise UploadNotActive("The upload was cancelled.")
            if not 0 <= offset <= upload.received_bytes:
                raise InvalidRequest(
                    f"* offset: {offset} does not continue the {upload.received_bytes} bytes received\n",
                    field="offset",
                )
            writer = UploadWriter(
                self._contents.open_sink(upload.content_id),
                offset=offset,
                received_bytes=upload.received_bytes,
                digest=self._digest_of(upload),
                check=lambda size: self._check_growth(upload, size),
                record=lambda growth: self._record(upload, growth),
            )
            self._writers[rows.upload_key(upload_id)] = writer
            return writer

    def append(self, upload_id: str, offset: int, blocks: Iterable[bytes]) -> Upload:
        """Write blocks from `offset` on and return the upload afterwards.

        Raises what `open_append` and `UploadWriter.write` raise.
        """
        writer = self.open_append(upload_id, offset)
        try:
            for block in blocks:
                writer.write(block)
        except BaseException:
            writer.abandon()
            raise
        writer.close()
        return self.get(upload_id)

    def get(self, upload_id: str) -> Upload:
        """Return an upload as recorded.

        Raises:
            UploadNotFound: there is none, or it has expired.
        """
        with self._database.read() as connection:
            upload = rows.find_upload(connection, upload_id, self._clock())
        if upload is None:
            raise UploadNotFound
        return upload

    def query(self, upload_id: str) -> Upload:
        """Return an upload, including everything that a request in progress has sent so far.

        Raises:
            UploadNotFound: there is none, or it has expired.
        """
        if writer := self._writers.get(rows.upload_key(upload_id)):
            writer.checkpoint()
        return self.get(upload_id)

    def finalize(self, upload_id: str) -> StoredFile:
        """Turn an upload into a file; a second call returns the same file.

        Raises:
            UploadNotFound: there is no such upload.
            UploadedFileNotFound: it was finalized and the file has been deleted since.
            UploadNotActive: it was cancelled.
            InvalidRequest: fewer bytes came than were declared.
            FileAlreadyExists: the name was taken in the meantime.
        """
        with self._lock_of(upload_id):
            self._close_writer(upload_id)
            upload = self.get(upload_id)
            if upload.state is UploadState.FINAL:
                return self._file_of(upload)
            if upload.state is UploadState.CANCELLED:
                raise UploadNotActive("The upload was cancelled.")
            if upload.declared_bytes not in {None, upload.received_bytes}:
                raise InvalidRequest(
                    f"* file.size_bytes: {upload.declared_bytes} were declared, {upload.received_bytes} received\n",
                    field="file.size_bytes",
                )
            file = self._describe(upload)
            with self._database.write() as connection:
                rows.advance_upload(connection, upload_id, state=UploadState.FINAL, before=upload.received_bytes)
                rows.delete_expired_namesake(connection, file)
                rows.insert_file(connection, file, upload.content_id)
            self._digests.pop(rows.upload_key(upload_id), None)
            return file

    def cancel(self, upload_id: str) -> None:
        """Cancel an upload and free its bytes; a second call does nothing.

        Raises:
            UploadNotFound: there is no such upload.
            UploadNotActive: it is complete; delete the file instead.
        """
        with self._lock_of(upload_id):
            self._close_writer(upload_id)
            upload = self.get(upload_id)
            if upload.state is UploadState.FINAL:
                raise UploadNotActive("The upload is complete; delete the file instead.")
            if upload.state is UploadState.ACTIVE:
                with self._database.write(is_way_out=True) as connection:
                    rows.advance_upload(connection, upload_id, state=UploadState.CANCELLED)
            self._digests.pop(rows.upload_key(upload_id), None)
            self._contents.remove(upload.content_id)

    def sweep(self) -> None:
        """Delete expired uploads; the file store's sweep removes their bytes."""
        with self._database.write(is_way_out=True) as connection:
            rows.delete_expired_uploads(connection, self._clock())
        self.forget_ended()

    def forget_ended(self) -> None:
        """Forget what is kept in memory for uploads that have ended, here or at a server that shares the store."""
        kept = {*self._writers, *self._digests}  # before the look: an upload is in the database before it is here
        if not kept:
            return
        with self._database.read() as connection:
            ended = kept - rows.list_active_keys(connection, self._clock())
        for key in ended:
            self._writers.pop(key, None)
            self._digests.pop(key, None)

    def recover(self) -> None:
        """Cancel the uploads that a crash left without bytes; call it before the first request."""
        with self._database.write(is_way_out=True) as connection:
            lost = self._contents.find_lost(rows.list_active_content_ids(connection))
            rows.cancel_uploads_of_content(connection, lost)

    def _lock_of(self, upload_id: str) -> threading.Lock:
        return self._locks[hash(upload_id) % _LOCKS]

    def _insert(self, upload: Upload) -> None:
        limits = self._limits_of(upload.owner)
        with self._database.write() as connection:
            limits.check_open_uploads(rows.count_open_uploads(connection, upload.owner, self._clock()) + 1)
            if rows.find_file(connection, upload.owner, upload.file_id, upload.created_at):
                raise FileAlreadyExists(f"files/{upload.file_id} exists already.")
            self._check_quota(connection, limits, upload, upload.declared_bytes or 0)
            rows.insert_upload(connection, upload)
        try:
            self._contents.create(upload.content_id)
        except GemvecError:
            with self._database.write() as connection:
                rows.advance_upload(connection, upload.upload_id, state=UploadState.CANCELLED)
            raise

    def _check_quota(self, connection: Connection, limits: OwnerLimits, upload: Upload, size_bytes: int) -> None:
        upload_key = rows.upload_key(upload.upload_id)
        stored = count_stored_bytes(connection, upload.owner, self._clock(), without_upload=upload_key)
        limits.check_stored_bytes(stored + size_bytes)
        taken = rows.count_owner_bytes(connection, upload.owner, self._clock(), without=upload.upload_id)
        if taken + size_bytes > self._limits.max_owner_bytes:
            raise QuotaExceeded

    def _check_growth(self, upload: Upload, size_bytes: int) -> None:
        if upload.state is UploadState.FINAL:
            raise UploadNotActive("The upload is complete.")
        self._limits.check_size(size_bytes)
        if upload.declared_bytes is not None and size_bytes > upload.declared_bytes:
            raise InvalidRequest(
                f"* file.size_bytes: {upload.declared_bytes} were declared, {size_bytes} or more came\n",
                field="file.size_bytes",
            )

    def _record(self, upload: Upload, growth: Growth) -> None:
        before = growth.before if growth.segment else None  # only segments can be of two servers at once
        try:
            limits = self._limits_of(upload.owner) if upload.declared_bytes is None else None
            with self._database.write() as connection:
                if limits is not None:
                    self._check_quota(connection, limits, upload, growth.after)
                rows.advance_upload(connection, upload.upload_id, received_bytes=growth.after, before=before)
                self._contents.record(connection, upload.content_id, growth)
        except GemvecError:
            self._contents.forget(upload.content_id, growth)
            raise

    def _close_writer(self, upload_id: str) -> None:
        if writer := self._writers.pop(rows.upload_key(upload_id), None):
            writer.abandon()

    def _digest_of(self, upload: Upload) -> Digest:
        if upload.state is not UploadState.ACTIVE:
            return Digest()  # nothing will be added to it
        key = rows.upload_key(upload.upload_id)
        digest = self._digests.get(key)
        if digest is None or digest.size_bytes != upload.received_bytes:
            with self._database.read() as connection:
                content = self._contents.open(connection, upload.content_id, upload.received_bytes)
            digest = digest_of(content.read(0, upload.received_bytes))
            self._digests[key] = digest
        return digest

    def _describe(self, upload: Upload) -> StoredFile:
        now = self._clock()
        return StoredFile(
            file_id=upload.file_id,
            owner=upload.owner,
            display_name=upload.display_name,
            mime_type=upload.mime_type,
            size_bytes=upload.received_bytes,
            sha256=self._digest_of(upload).sha256.hexdigest(),
            source=FileSource.UPLOADED,
            created_at=now,
            updated_at=now,
            expires_at=now + self._limits.expiry,
        )

    def _file_of(self, upload: Upload) -> StoredFile:
        with self._database.read() as connection:
            file = rows.find_file_of_content(connection, upload.content_id, self._clock())
        if file is None:
            raise UploadedFileNotFound
        return file
