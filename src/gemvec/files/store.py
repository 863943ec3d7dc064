"""The store of files: rows in the database, bytes in the data folder or in an object store.

Every call is synchronous and safe from any thread. Another owner's file is not found, like one that never existed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest

from sqlalchemy import Connection

from gemvec.errors import FailedPrecondition, GemvecError, UploadedFileNotFound
from gemvec.figures import Figure
from gemvec.files import rows
from gemvec.files.content import Contents, FileContent, FilePart
from gemvec.files.content_folder import ContentFolder
from gemvec.files.content_objects import ContentObjects
from gemvec.files.file import FileSource, StoredFile
from gemvec.files.limits import FileLimits, LimitsOf, usual_limits
from gemvec.files.upload_store import UploadStore
from gemvec.storage.database import Database
from gemvec.storage.durable import Place, translate_os_errors, write_durably
from gemvec.storage.objects import ObjectPath
from gemvec.storage.pages import Page, cut_page, page_size_within, parse_page_token
from gemvec.storage.places import link_or_copy, name_below, remove_files, size_of, stats_of
from gemvec.storage.timestamps import utc_now

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 10, 100  # Google's limits for files.list


class FileStore:
    """Files of every owner, in one database and one place for bytes.

    Attributes:
        uploads: the uploads in progress.
    """

    def __init__(
        self,
        database: Database,
        data_dir: Place,
        *,
        limits: FileLimits | None = None,
        limits_of: LimitsOf = usual_limits,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Open the store.

        Args:
            database: where rows go.
            data_dir: bytes go into its folder `files`; the parts of result files lie elsewhere inside it. The data
                folder, or a place in an object store.
            limits: sizes and expiry; Google's when None.
            limits_of: says what an owner may have.
            clock: the present moment, aware.
        """
        self._limits = limits or FileLimits()
        self._database = database
        self._data_dir = data_dir.resolve()
        self._contents = _open_contents(self._data_dir, database)
        self._clock = clock
        self.uploads = UploadStore(database, self._contents, self._limits, clock, limits_of)

    def create(
        self,
        owner: str,
        blocks: Iterable[bytes],
        *,
        file_id: str | None = None,
        display_name: str = "",
        mime_type: str = "",
    ) -> StoredFile:
        """Store a whole file at once; its bytes may come in blocks. If it fails, nothing is left behind.

        Raises what `UploadStore.start`, `append` and `finalize` raise.
        """
        upload = self.uploads.start(owner, file_id=file_id, display_name=display_name, mime_type=mime_type)
        try:
            self.uploads.append(upload.upload_id, 0, blocks)
            return self.uploads.finalize(upload.upload_id)
        except BaseException:
            with contextlib.suppress(GemvecError):  # the first error is the one to report
                self.uploads.cancel(upload.upload_id)
            raise

    def create_from_parts(
        self,
        connection: Connection,
        owner: str,
        file_id: str,
        parts: Sequence[Place],
        *,
        checksums: Sequence[int | None] = (),
        display_name: str = "",
        mime_type: str = "application/jsonl",
        expiry: timedelta | None = None,
    ) -> StoredFile:
        """Make a file from part files that are already on disk, in order, without copying them.

        From then on the parts belong to the file: they are deleted with it, and when it expires. Everything happens in
        the caller's transaction, so that a batch ends and gets its results in one step.

        Args:
            connection: from `Database.write`.
            owner: whose file it is.
            file_id: `batch-<id>`; up to 64 characters.
            parts: complete files in the data folder, or objects.
            checksums: CRC-32 of each, if known.
            display_name: a human-readable name.
            mime_type: what the bytes are.
            expiry: how long the file is kept; None for as long as an upload.

        Raises:
            FileAlreadyExists: the name is taken; the transaction cannot be continued.
        """
        with translate_os_errors():
            sized = [
                (self._name_of(path), size_of(path, stat), crc32)
                for path, stat, crc32 in zip_longest(parts, stats_of(parts), checksums)
            ]
        now = self._clock()
        file = StoredFile(
            file_id=file_id,
            owner=owner,
            display_name=display_name,
            mime_type=mime_type,
            size_bytes=sum(size for _, size, _ in sized),
            sha256=None,
            source=FileSource.GENERATED,
            created_at=now,
            updated_at=now,
            expires_at=now + (expiry or self._limits.expiry),
        )
        rows.insert_file(connection, file, None)
        rows.insert_parts(connection, file, sized)
        return file

    def replace_part(self, connection: Connection, owner: str, file_id: str, path: Place, crc32: int | None) -> None:
        """Note that a part of a file was written again, in the caller's transaction.

        Args:
            connection: from `Database.write`.
            owner: whose file it is.
            file_id: which file; nothing happens if it is gone.
            path: the part.
            crc32: of its bytes now.
        """
        with translate_os_errors():
            name, size_bytes = self._name_of(path), path.stat().st_size
        rows.update_part(connection, owner, file_id, (name, size_bytes, crc32), self._clock())

    def get(self, file_id: str, owner: str) -> StoredFile:
        """Return a file.

        Raises:
            UploadedFileNotFound: it does not exist, has expired, or is somebody else's.
        """
        with self._database.read() as connection:
            return self._find(connection, file_id, owner)

    def list(self, owner: str, *, page_size: int | None = None, page_token: str | None = None) -> Page[StoredFile]:
        """Return a page of an owner's files, newest first.

        Args:
            owner: whose files.
            page_size: how many; 10 when None or 0, 100 at most.
            page_token: from the page before; None or "" for the first.

        Raises:
            InvalidRequest: the page size is negative or the token is not ours.
        """
        limit = page_size_within(page_size, default=DEFAULT_PAGE_SIZE, largest=MAX_PAGE_SIZE)
        before = parse_page_token(page_token) if page_token else None
        with self._database.read() as connection:
            found = rows.list_files(connection, owner, self._clock(), limit + 1, before)
        return cut_page(found, limit, lambda file: (file.created_at, file.file_id))

    def figures(self) -> Iterable[Figure]:
        """Return figures of the store, including results of batches."""
        with self._database.read() as connection:
            count, size_bytes = rows.count_files(connection)
        return (
            Figure(name="files", summary="Stored files, including results of batches.", value=count),
            Figure(name="file_bytes", summary="Size of stored files on disk.", value=size_bytes),
        )

    def open_content(self, file_id: str, owner: str) -> FileContent:
        """Return where a file's bytes are, to read them in whole or in part.

        Raises:
            UploadedFileNotFound: it does not exist, has expired, or is somebody else's.
        """
        with self._database.read() as connection:
            file = self._find(connection, file_id, owner)
            return self._open(connection, file)

    def link_content(self, file_id: str, owner: str, target: Place) -> None:
        """Give a file's bytes a second name that outlives the file: a hard link, or a copy if there are none.

        Args:
            file_id: which file.
            owner: whose it is.
            target: the new name; its folder exists, the name does not.

        Raises:
            UploadedFileNotFound: it does not exist, has expired, or is somebody else's.
            FailedPrecondition: the file holds the results of a batch.
        """
        with self._database.read() as connection:
            file = self._find(connection, file_id, owner)
            content = self._open(connection, file)
        if file.source is FileSource.GENERATED:
            raise FailedPrecondition("A file of batch results cannot be read as an input.")
        if len(content.parts) != 1:
            write_durably(target, content.read())
            return
        with translate_os_errors():
            try:
                link_or_copy(content.parts[0].path, target)
            except FileNotFoundError:
                raise UploadedFileNotFound from None

    def delete(self, file_id: str, owner: str) -> None:
        """Delete a file and its bytes.

        Raises:
            UploadedFileNotFound: it does not exist, has expired, or is somebody else's.
        """
        self.get(file_id, owner)
        self._remove(owner, file_id)

    def sweep(self) -> int:
        """Remove expired files, and bytes without a row; return how many files and leftovers were removed.

        Safe at any time: the names are read before the rows, and a row exists before its bytes.
        """
        self._database.keep_reserve()
        self.uploads.sweep()
        with self._database.read() as connection:
            expired = rows.list_expired_files(connection, self._clock())
        removed = sum(self._remove(owner, file_id) for owner, file_id in expired)
        there = self._contents.list_ids()
        with self._database.read() as connection:
            orphans = there - rows.list_content_ids(connection)
        for content_id in orphans:
            self._contents.remove(content_id)
        with self._database.write(is_way_out=True) as connection:
            rows.delete_unused_segments(connection)
        return removed + len(orphans)

    def _find(self, connection: Connection, file_id: str, owner: str) -> StoredFile:
        file = rows.find_file(connection, owner, file_id, self._clock())
        if file is None:
            raise UploadedFileNotFound(f"files/{file_id} does not exist or has expired.")
        return file

    def _open(self, connection: Connection, file: StoredFile) -> FileContent:
        content_id, parts = rows.find_content(connection, file.owner, file.file_id)
        if content_id is not None:
            return self._contents.open(connection, content_id, file.size_bytes, file.sha256)
        return FileContent(tuple(FilePart(self._data_dir / path, size, crc32=crc32) for path, size, crc32 in parts))

    def _name_of(self, path: Place) -> str:
        """Return the name of a part in the data folder."""
        return name_below(path, self._data_dir)

    def _remove(self, owner: str, file_id: str) -> int:
        with self._database.write(is_way_out=True) as connection:
            content_id, parts = rows.find_content(connection, owner, file_id)
            was_there = rows.delete_file(connection, owner, file_id)
        if content_id is not None:
            self._contents.remove(content_id)
        with translate_os_errors():
            remove_files([self._data_dir / path for path, _, _ in parts])
        return int(was_there)


def _open_contents(data_dir: Place, database: Database) -> Contents:
    if isinstance(data_dir, ObjectPath):
        return ContentObjects(data_dir / "files", database)
    return ContentFolder(data_dir / "files")
