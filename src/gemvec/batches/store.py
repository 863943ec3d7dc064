"""The store of batches: the truth, in two tables, and the bytes beside it.

Every call is synchronous, safe from any thread, and one transaction where it changes anything. What callers may do is
here; what the runner does to a job is in `queue.py`. Another owner's batch is not found, like one that never was.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from gemvec.batches import rows
from gemvec.batches.folder import BatchFolder
from gemvec.batches.job import ChunkState, Job, NewBatch
from gemvec.batches.lines import LineSpan, index_lines
from gemvec.batches.results import inline_responses
from gemvec.errors import BatchNotCancellable, BatchNotFound, FailedPrecondition, InvalidRequest
from gemvec.files.file import FileSource
from gemvec.files.rows import delete_file
from gemvec.files.store import FileStore
from gemvec.storage.database import Database
from gemvec.storage.pages import Page, cut_page, page_size_within, parse_page_token
from gemvec.storage.timestamps import utc_now
from gemvec.wire.batches import BatchState, BatchUpdate

_ID_LENGTH = 36
_ID_ALPHABET = string.ascii_lowercase + string.digits
_JOB_NUMBER = re.compile(r"[0-9]{1,18}")  # an int64, whatever the digits
_DEFAULT_PAGE_SIZE = 50
_LARGEST_PAGE_SIZE = 100  # inline results are in the list


class BatchStore:
    """Batches of every owner, in one database and one data folder."""

    def __init__(
        self,
        database: Database,
        files: FileStore,
        data_dir: Path,
        *,
        expiry: timedelta = timedelta(hours=48),
        retention: timedelta = timedelta(days=42),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Open the store.

        Args:
            database: where jobs and chunks are.
            files: where inputs come from and results go.
            data_dir: bytes go into its folder `batches`.
            expiry: how long a batch may wait and run.
            retention: how long an ended batch is kept with its input and results.
            clock: the present moment, aware.
        """
        self.database = database
        self.files = files
        self.folder = BatchFolder(data_dir)
        self.expiry = expiry
        self.retention = retention
        self.clock = clock

    def create_inline(self, new: NewBatch, lines: Iterable[bytes]) -> Job:
        """Accept a batch whose requests came with it; it exists after any crash once this returns.

        Args:
            new: what is asked for.
            lines: the requests as lines of input, without line feeds.

        Raises:
            InvalidRequest: there is no request.
            StorageFull: there is no room for it.
        """
        job = self._job(new, None)

        def spans() -> list[LineSpan]:
            path = self.folder.write_input(job.batch_id, lines)
            return list(index_lines(path, path.stat().st_size, chunk_requests=new.chunk_requests))

        return self._accept(job, spans)

    def create_from_file(self, new: NewBatch, file_id: str) -> Job:
        """Accept a batch whose requests are in a file; from then on the file may be deleted or expire.

        Raises:
            UploadedFileNotFound: the file does not exist, has expired, or is somebody else's.
            InvalidRequest: it holds no request.
            FailedPrecondition: it is the results of another batch.
        """
        file = self.files.get(file_id, new.owner)
        if file.source is not FileSource.UPLOADED:
            raise FailedPrecondition(f"files/{file_id} holds the results of a batch and cannot be the input of one.")
        job = self._job(new, file_id)

        def link(target: Path) -> None:
            self.files.link_content(file_id, new.owner, target)

        def spans() -> list[LineSpan]:
            path = self.folder.link_input(job.batch_id, link)
            return list(index_lines(path, file.size_bytes, chunk_requests=new.chunk_requests))

        return self._accept(job, spans)

    def _job(self, new: NewBatch, file_id: str | None) -> Job:
        now = self.clock()
        return Job(
            job_number=0,
            batch_id="".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH)),
            owner=new.owner,
            model=new.model,
            weights=new.weights,
            display_name=new.display_name,
            priority=new.priority,
            state=BatchState.PENDING,
            input_file_id=file_id,
            output_file_id=None,
            request_count=0,
            successful_count=0,
            failed_count=0,
            error_status=None,
            error_message=None,
            waiting_reason=None,
            created_at=now,
            updated_at=now,
            ended_at=None,
            expires_at=now + self.expiry,
        )

    def _accept(self, job: Job, hold_input: Callable[[], list[LineSpan]]) -> Job:
        """Hold the input, and when that is durable add the job with the chunks that were found in it."""
        try:
            spans = _some(hold_input())
            counted = replace(job, request_count=sum(span.request_count for span in spans))
            with self.database.write() as connection:
                return rows.insert_job(connection, counted, spans)
        except BaseException:
            self.folder.remove(job.batch_id)
            raise

    def get(self, batch_id: str, owner: str) -> Job:
        """Return a batch.

        Raises:
            BatchNotFound: it does not exist or is somebody else's.
        """
        with self.database.read() as connection:
            return self._find(connection, batch_id, owner)

    def list(self, owner: str, *, page_size: int | None = None, page_token: str | None = None) -> Page[Job]:
        """Return a page of an owner's batches, newest first.

        Args:
            owner: whose batches.
            page_size: how many; 50 when None or 0, 100 at most.
            page_token: from the page before; None or "" for the first.

        Raises:
            InvalidRequest: the page size is negative or the token is not ours.
        """
        limit = page_size_within(page_size, default=_DEFAULT_PAGE_SIZE, largest=_LARGEST_PAGE_SIZE)
        before = _number_of(page_token) if page_token else None
        with self.database.read() as connection:
            found = rows.list_jobs(connection, owner, limit + 1, before)
        return cut_page(found, limit, lambda job: (job.created_at, str(job.job_number)))

    def count_by_state(self) -> dict[BatchState, int]:
        """Return how many batches are kept, of all owners, in every state."""
        with self.database.read() as connection:
            return dict.fromkeys(BatchState, 0) | rows.count_by_state(connection)

    def update(self, batch_id: str, owner: str, changes: BatchUpdate) -> Job:
        """Change a batch's display name, its priority, or both; return it as it is then.

        Raises:
            BatchNotFound: it does not exist or is somebody else's.
        """
        given = {"display_name": changes.display_name, "priority": changes.priority}
        values = {name: value for name, value in given.items() if value is not None}
        with self.database.write() as connection:
            job = self._find(connection, batch_id, owner, for_update=True)
            if values:
                rows.update_job(connection, job.job_number, updated_at=self.clock(), **values)
            return self._find(connection, batch_id, owner)

    def cancel(self, batch_id: str, owner: str) -> None:
        """End a batch now; what is finished stays, what is being computed is thrown away.

        A second cancel changes nothing.

        Raises:
            BatchNotFound: it does not exist or is somebody else's.
            BatchNotCancellable: it has ended otherwise.
        """
        with self.database.write() as connection:
            job = self._find(connection, batch_id, owner, for_update=True)
            if job.state is BatchState.CANCELLED:
                return
            if job.state.is_ended:
                raise BatchNotCancellable(f"batches/{batch_id} has already ended: BATCH_STATE_{job.state}.")
            self.end(connection, job, BatchState.CANCELLED, status="CANCELLED", message="The batch was cancelled.")

    def delete(self, batch_id: str, owner: str) -> None:
        """Remove a batch, its input and its results; one that runs is cancelled first.

        Raises:
            BatchNotFound: it does not exist or is somebody else's.
        """
        with self.database.write() as connection:
            job = self._find(connection, batch_id, owner, for_update=True)
            if job.output_file_id is not None:
                delete_file(connection, owner, job.output_file_id)
            rows.delete_job(connection, job.job_number)
        self.folder.remove(batch_id)

    def inline_output(self, job: Job) -> Callable[[], Iterator[bytes]]:
        """Return what yields the responses of an ended inline batch as elements of a JSON array, commas included.

        There is one for every request; those that were never computed have the batch's error. It may be called again
        and asks the database for nothing; it raises BatchNotFound where the batch has been deleted meanwhile, and what
        it yielded are the responses of whole chunks.

        Raises:
            BatchNotFound: the batch has been deleted already.
        """
        with self.database.read() as connection:
            self._find(connection, job.batch_id, job.owner)
            chunks = rows.list_chunks(connection, job.job_number)
        return lambda: inline_responses(self.folder, job, chunks, lambda: self.get(job.batch_id, job.owner))

    def end(
        self,
        connection: Connection,
        job: Job,
        state: BatchState,
        *,
        status: str | None = None,
        message: str | None = None,
    ) -> None:
        """Bring an open job to its end, inside the caller's transaction.

        The results of a batch that came as a file become a file in the same transaction.

        Args:
            connection: a writing transaction that holds the job's row.
            job: the job, open.
            state: an ended one.
            status: google.rpc.Code name, unless it succeeded.
            message: goes with the status.
        """
        done = rows.list_chunks(connection, job.job_number, state=ChunkState.DONE) if job.input_file_id else []
        parts = [self.folder.part_path(job.batch_id, chunk.chunk_index, chunk.lease) for chunk in done]
        if state is not BatchState.SUCCEEDED:  # what is left of a damaged batch is better than an error
            parts = [part for part in parts if part.exists()]
        output_file_id = f"batch-{job.batch_id}" if parts else None
        now = self.clock()
        if output_file_id is not None:
            self.files.create_from_parts(
                connection, job.owner, output_file_id, parts, display_name=job.display_name, expiry=self.retention
            )
        rows.update_job(
            connection,
            job.job_number,
            state=state,
            output_file_id=output_file_id,
            error_status=status,
            error_message=message,
            waiting_reason=None,
            updated_at=now,
            ended_at=now,
        )

    def _find(self, connection: Connection, batch_id: str, owner: str, *, for_update: bool = False) -> Job:
        job = rows.find_job(connection, batch_id, owner, for_update=for_update)
        if job is None:
            raise BatchNotFound(f"batches/{batch_id} does not exist.")
        return job


def _some(spans: list[LineSpan]) -> list[LineSpan]:
    if not spans:
        raise InvalidRequest("* batch.input_config: it holds no request\n", field="batch.input_config")
    return spans


def _number_of(page_token: str) -> int:
    _, number = parse_page_token(page_token)
    if not _JOB_NUMBER.fullmatch(number):
        raise InvalidRequest("* page_token: the page token is not valid\n", field="page_token")
    return int(number)
