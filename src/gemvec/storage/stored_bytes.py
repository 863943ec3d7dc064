"""How much an owner keeps: files, uploads that are under way, and the inputs and results of batches without a file.

An input is a second name of a file's bytes. It counts as soon as the file is gone, or a caller could fill the disk by
deleting the file of each batch.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, exists, func, select

from gemvec.storage.schema import files, jobs, uploads

_ACTIVE = "active"  # UploadState.ACTIVE, which the room of files defines


def count_stored_bytes(connection: Connection, owner: str, now: datetime, *, without_upload: str = "") -> int:
    """Return how many bytes an owner keeps, or has announced.

    Args:
        connection: an open transaction.
        owner: whose they are.
        now: what has expired by then does not count.
        without_upload: key of an upload to leave out.
    """
    of_files = select(func.sum(files.c.size_bytes)).where(files.c.owner == owner, files.c.expires_at > now)
    announced = func.coalesce(uploads.c.declared_bytes, uploads.c.received_bytes)
    of_uploads = select(func.sum(announced)).where(
        uploads.c.owner == owner,
        uploads.c.state == _ACTIVE,
        uploads.c.expires_at > now,
        uploads.c.upload_id != without_upload,
    )
    of_results = select(func.sum(jobs.c.result_bytes)).where(jobs.c.owner == owner, jobs.c.output_file_id.is_(None))
    # A file that was made later only has the same name.
    has_file = exists().where(
        and_(
            files.c.owner == jobs.c.owner,
            files.c.file_id == jobs.c.input_file_id,
            files.c.created_at <= jobs.c.created_at,
            files.c.expires_at > now,
        )
    )
    of_inputs = select(func.sum(jobs.c.input_bytes)).where(jobs.c.owner == owner, ~has_file)
    queries = (of_files, of_uploads, of_results, of_inputs)
    return sum(int(connection.scalar(query) or 0) for query in queries)
