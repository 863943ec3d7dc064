"""The SQL of files and uploads: each function runs one or two statements in an open transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select, true, union, update
from sqlalchemy.exc import IntegrityError

from gemvec.errors import FileAlreadyExists, UploadNotActive
from gemvec.files.file import FileSource, StoredFile
from gemvec.files.upload import Segment, Upload, UploadState
from gemvec.storage.schema import file_parts, files, segments, uploads

_FILE_COLUMNS = [column for column in files.c if column.name != "content_id"]


def _file(row: RowMapping) -> StoredFile:
    values: dict[str, Any] = {**row, "source": FileSource(row["source"])}
    return StoredFile(**values)


def upload_key(upload_id: str) -> str:
    """Return the hash that the database keeps instead of an upload's secret."""
    return hashlib.sha256(upload_id.encode("utf-8", "surrogatepass")).hexdigest()


def _is_named(owner: str, file_id: str) -> Any:
    return and_(files.c.owner == owner, files.c.file_id == file_id)


def find_file(connection: Connection, owner: str, file_id: str, now: datetime) -> StoredFile | None:
    """Return a file that exists and has not expired."""
    query = select(*_FILE_COLUMNS).where(_is_named(owner, file_id), files.c.expires_at > now)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _file(row)


def find_file_of_content(connection: Connection, content_id: str, now: datetime) -> StoredFile | None:
    """Return the file that was made from an upload."""
    query = select(*_FILE_COLUMNS).where(files.c.content_id == content_id, files.c.expires_at > now)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _file(row)


def list_files(
    connection: Connection, owner: str, now: datetime, limit: int, before: tuple[datetime, str] | None
) -> list[StoredFile]:
    """Return up to `limit` files, newest first, that come after `before` in that order."""
    query = select(*_FILE_COLUMNS).where(files.c.owner == owner, files.c.expires_at > now)
    if before is not None:
        query = query.where(
            or_(
                files.c.created_at < before[0],
                and_(files.c.created_at == before[0], files.c.file_id < before[1]),
            )
        )
    query = query.order_by(files.c.created_at.desc(), files.c.file_id.desc()).limit(limit)
    return [_file(row) for row in connection.execute(query).mappings()]


def insert_file(connection: Connection, file: StoredFile, content_id: str | None) -> None:
    """Add a file.

    Raises:
        FileAlreadyExists: the owner has a file with this name; the transaction cannot be continued.
    """
    try:
        connection.execute(insert(files), {**asdict(file), "content_id": content_id})
    except IntegrityError as error:
        raise FileAlreadyExists(f"files/{file.file_id} exists already.") from error


def insert_parts(connection: Connection, file: StoredFile, parts: Sequence[tuple[str, int, int | None]]) -> None:
    """Record the part files of a file, as (path in the data folder, size, CRC-32)."""
    named = {"owner": file.owner, "file_id": file.file_id}
    values = [
        {**named, "position": position, "path": path, "size_bytes": size, "crc32": crc32}
        for position, (path, size, crc32) in enumerate(parts)
    ]
    if values:
        connection.execute(insert(file_parts), values)


def update_part(
    connection: Connection, owner: str, file_id: str, part: tuple[str, int, int | None], now: datetime
) -> None:
    """Change the size and CRC-32 of the part at a path, and the size of its file."""
    path, size, crc32 = part
    is_of_file = (file_parts.c.owner == owner) & (file_parts.c.file_id == file_id)
    connection.execute(
        update(file_parts).where(is_of_file, file_parts.c.path == path).values(size_bytes=size, crc32=crc32)
    )
    whole = select(func.sum(file_parts.c.size_bytes)).where(is_of_file).scalar_subquery()
    connection.execute(update(files).where(_is_named(owner, file_id)).values(size_bytes=whole, updated_at=now))


def find_content(
    connection: Connection, owner: str, file_id: str
) -> tuple[str | None, list[tuple[str, int, int | None]]]:
    """Return a file's content id, or the (path, size, CRC-32) of its parts in order."""
    content_id = connection.scalar(select(files.c.content_id).where(_is_named(owner, file_id)))
    if content_id is not None:
        return content_id, []
    query = (
        select(file_parts.c.path, file_parts.c.size_bytes, file_parts.c.crc32)
        .where(file_parts.c.owner == owner, file_parts.c.file_id == file_id)
        .order_by(file_parts.c.position)
    )
    return None, [(row.path, row.size_bytes, row.crc32) for row in connection.execute(query)]


def delete_file(connection: Connection, owner: str, file_id: str) -> bool:
    """Remove a file and the list of its parts; return whether it was there."""
    return connection.execute(delete(files).where(_is_named(owner, file_id))).rowcount > 0


def delete_expired_namesake(connection: Connection, file: StoredFile) -> None:
    """Remove an expired upload that still has the name of a new file; its bytes are left to the sweep."""
    connection.execute(
        delete(files).where(
            _is_named(file.owner, file.file_id), files.c.expires_at <= file.created_at, files.c.content_id.is_not(None)
        )
    )


def list_expired_files(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """Return (owner, file id) of every file that has expired."""
    query = select(files.c.owner, files.c.file_id).where(files.c.expires_at <= now)
    return [(row.owner, row.file_id) for row in connection.execute(query)]


def insert_upload(connection: Connection, upload: Upload) -> None:
    """Add an upload."""
    connection.execute(insert(uploads), {**asdict(upload), "upload_id": upload_key(upload.upload_id)})


def find_upload(connection: Connection, upload_id: str, now: datetime) -> Upload | None:
    """Return an upload that exists and has not expired."""
    query = select(uploads).where(uploads.c.upload_id == upload_key(upload_id), uploads.c.expires_at > now)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    values: dict[str, Any] = {**row, "upload_id": upload_id, "state": UploadState(row["state"])}
    return Upload(**values)


def advance_upload(
    connection: Connection,
    upload_id: str,
    *,
    received_bytes: int | None = None,
    state: UploadState | None = None,
    before: int | None = None,
) -> None:
    """Move an active upload forward.

    Args:
        connection: a writing transaction.
        upload_id: which upload.
        received_bytes: how many bytes are durable now.
        state: its new state.
        before: how many bytes must be recorded until now; None for any number.

    Raises:
        UploadNotActive: it is not active, or another server has recorded bytes.
    """
    is_as_expected = true() if before is None else uploads.c.received_bytes == before
    changes = {"received_bytes": received_bytes, "state": state}
    changed = connection.execute(
        update(uploads)
        .where(uploads.c.upload_id == upload_key(upload_id), uploads.c.state == UploadState.ACTIVE, is_as_expected)
        .values({name: value for name, value in changes.items() if value is not None})
    )
    if not changed.rowcount:
        raise UploadNotActive


def delete_expired_uploads(connection: Connection, now: datetime) -> None:
    """Delete expired uploads."""
    connection.execute(delete(uploads).where(uploads.c.expires_at <= now))


def list_active_keys(connection: Connection, now: datetime) -> set[str]:
    """Return the keys of active uploads."""
    is_active = and_(uploads.c.state == UploadState.ACTIVE, uploads.c.expires_at > now)
    return set(connection.scalars(select(uploads.c.upload_id).where(is_active)))


def list_active_content_ids(connection: Connection) -> set[str]:
    """Return the content ids of active uploads."""
    return set(connection.scalars(select(uploads.c.content_id).where(uploads.c.state == UploadState.ACTIVE)))


def cancel_uploads_of_content(connection: Connection, content_ids: Collection[str]) -> None:
    """Cancel the active uploads that have these content ids."""
    for content_id in content_ids:
        is_lost = and_(uploads.c.content_id == content_id, uploads.c.state == UploadState.ACTIVE)
        connection.execute(update(uploads).where(is_lost).values(state=UploadState.CANCELLED))


def insert_segment(connection: Connection, content_id: str, segment: Segment) -> None:
    """Add an object to the content of an upload."""
    connection.execute(insert(segments), {**asdict(segment), "content_id": content_id})


def list_segments(connection: Connection, content_id: str) -> list[Segment]:
    """Return the objects of a content, in order."""
    columns = (segments.c.start, segments.c.size_bytes, segments.c.name, segments.c.crc32)
    query = select(*columns).where(segments.c.content_id == content_id).order_by(segments.c.start)
    return [Segment(**row) for row in connection.execute(query).mappings()]


def delete_unused_segments(connection: Connection) -> None:
    """Forget the objects of contents that no file and no active upload has."""
    used = union(
        select(files.c.content_id).where(files.c.content_id.is_not(None)),
        select(uploads.c.content_id).where(uploads.c.state == UploadState.ACTIVE),
    )
    connection.execute(delete(segments).where(segments.c.content_id.not_in(used)))


def cancel_uploads_of(connection: Connection, owner: str) -> None:
    """Cancel an owner's active uploads; the sweep removes their bytes."""
    active = and_(uploads.c.owner == owner, uploads.c.state == UploadState.ACTIVE)
    connection.execute(update(uploads).where(active).values(state=UploadState.CANCELLED))


def list_content_ids(connection: Connection) -> set[str]:
    """Return every content id that a file or an active upload has."""
    of_uploads = select(uploads.c.content_id).where(uploads.c.state == UploadState.ACTIVE)
    of_files = select(files.c.content_id).where(files.c.content_id.is_not(None))
    return {content_id for query in (of_uploads, of_files) for content_id in connection.scalars(query) if content_id}


def count_files(connection: Connection) -> tuple[int, int]:
    """Return how many files there are and their total size."""
    row = connection.execute(select(func.count(), func.sum(files.c.size_bytes)).select_from(files)).one()
    return row[0], int(row[1] or 0)


def count_open_uploads(connection: Connection, owner: str, now: datetime) -> int:
    """Return how many uploads of an owner were begun and are not finished."""
    query = select(func.count()).where(
        uploads.c.owner == owner, uploads.c.state == UploadState.ACTIVE, uploads.c.expires_at > now
    )
    return connection.scalar(query) or 0


def count_owner_bytes(connection: Connection, owner: str, now: datetime, *, without: str = "") -> int:
    """Return the total size of an owner's uploaded files; active uploads count with their announced size.

    Args:
        connection: an open transaction.
        owner: whose files.
        now: uploads and files that have expired by then do not count.
        without: id of an upload to leave out.
    """
    stored = connection.scalar(
        select(func.coalesce(func.sum(files.c.size_bytes), 0)).where(
            files.c.owner == owner, files.c.source == FileSource.UPLOADED, files.c.expires_at > now
        )
    )
    coming = connection.scalar(
        select(func.coalesce(func.sum(func.coalesce(uploads.c.declared_bytes, uploads.c.received_bytes)), 0)).where(
            uploads.c.owner == owner,
            uploads.c.state == UploadState.ACTIVE,
            uploads.c.expires_at > now,
            uploads.c.upload_id != upload_key(without),
        )
    )
    return int(stored or 0) + int(coming or 0)
