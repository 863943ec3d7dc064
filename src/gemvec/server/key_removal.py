"""Removes what belonged to deleted keys: batches, files, uploads and counts.

`gemvec keys delete` only records the owner, because it may run on another machine than the data folder. The server does
the rest from time to time and deletes the record last, so after a kill it starts again.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from sqlalchemy import delete, select

from gemvec.batches.store import BatchStore
from gemvec.errors import BatchNotFound, UploadedFileNotFound
from gemvec.files.rows import cancel_uploads_of
from gemvec.files.store import FileStore
from gemvec.storage.database import Database
from gemvec.storage.schema import deleted_owners
from gemvec.storage.timestamps import utc_now
from gemvec.storage.usage import forget_usage

# A server caches a key for a second, and a call that has started may still make something.
_GRACE = timedelta(minutes=1)


def remove_what_deleted_keys_own(database: Database, files: FileStore, batches: BatchStore) -> int:
    """Remove everything that belongs to keys deleted a minute ago or longer; return how many keys that were.

    Raises:
        StorageFailure: something cannot be removed; calling again continues.
    """
    with database.read() as connection:
        since = utc_now() - _GRACE
        owners = list(connection.scalars(select(deleted_owners.c.owner).where(deleted_owners.c.deleted_at <= since)))
    for owner in owners:
        _remove_batches(batches, owner)
        _remove_files(files, owner)
        with database.write(is_way_out=True) as connection:
            cancel_uploads_of(connection, owner)  # the sweep of files removes their bytes
            forget_usage(connection, owner)
            connection.execute(delete(deleted_owners).where(deleted_owners.c.owner == owner))
    return len(owners)


def _remove_batches(batches: BatchStore, owner: str) -> None:
    while page := batches.list(owner).items:
        for job in page:
            with suppress(BatchNotFound):  # swept meanwhile
                batches.delete(job.batch_id, owner)


def _remove_files(files: FileStore, owner: str) -> None:
    while page := files.list(owner).items:
        for file in page:
            with suppress(UploadedFileNotFound):
                files.delete(file.file_id, owner)
