"""The store of batches: the truth, in two tables, and the bytes beside it.

Every call is synchronous, safe from any thread, and one transaction if it changes anything. What callers may do is
here; what the runner does to a job is in `queue.py`. Another owner's batch is not found, like one that never existed.
"""

from __future__ import annotations

import re
import secrets
import string
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from gemvec.batches import rows
from gemvec.batches.folder import BatchFolder
from gemvec.batches.job import ChunkResult, ChunkTask, Job, NewBatch
from gemvec.batches.lines import MAX_REQUESTS, LineSpan, index_lines
from gemvec.batches.results import FileOutput, finished_output, inline_bytes, inline_responses, write_output
from gemvec.errors import (
    BatchNotCancellable,
    BatchNotFound,
    DataLost,
    FailedPrecondition,
    HoldLost,
    InvalidRequest,
    StorageFailure,
    StorageFull,
)
from gemvec.figures import Figure
from gemvec.files.file import FileSource
from gemvec.files.limits import LimitsOf, OwnerLimits, usual_limits
from gemvec.files.rows import delete_file
from gemvec.files.store import FileStore
from gemvec.storage.database import Database
from gemvec.storage.durable import Place, translate_os_errors
from gemvec.storage.hold import has_store_id
from gemvec.storage.pages import Page, cut_page, page_size_within, parse_page_token
from gemvec.storage.servers import delete_arrival, insert_arrival
from gemvec.storage.stored_bytes import count_stored_bytes
from gemvec.storage.timestamps import utc_now
from gemvec.wire.batches import BatchState, BatchUpdate

# What the name of a file of results begins with; the batch's id follows.
RESULTS_PREFIX = "batch-"
_ID_LENGTH = 36
_ID_ALPHABET = string.ascii_lowercase + string.digits
_JOB_NUMBER = re.compile(r"[0-9]{1,18}")  # int64, however many digits
_DEFAULT_PAGE_SIZE = 50
_MAX_PAGE_SIZE = 100
# The results of a cancelled batch with this many requests left are written in a few tenths of a second.
_SETTLED_AT_ONCE = 20_000
# A value of a vector in a result, as JSON, at most.
_VALUE_BYTES = 13
_NO_ROOM = "There is no room left to store results."


class BatchStore:
    """Batches of every owner, in one database and one data folder."""

    def __init__(
        self,
        database: Database,
        files: FileStore,
        data_dir: Place,
        *,
        expiry: timedelta = timedelta(hours=48),
        retention: timedelta = timedelta(days=42),
        max_requests: int = MAX_REQUESTS,
        limits_of: LimitsOf = usual_limits,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Open the store.

        Args:
            database: where jobs and chunks are.
            files: where inputs come from and results go.
            data_dir: bytes go into its folder `batches`; the data folder, or a place in an object store.
            expiry: how long a batch may wait and run.
            retention: how long an ended batch is kept with its input and results.
            max_requests: most requests in a batch.
            limits_of: says what an owner may have.
            clock: the present moment, aware.
        """
        self.database = database
        self.files = files
        self.folder = BatchFolder(data_dir)
        self.expiry = expiry
        self.retention = retention
        self._max_requests = max_requests
        self._limits_of = limits_of
        self.clock = clock
        self._data_dir = data_dir
        self._has_store_id = has_store_id(data_dir)
        self._settling: set[int] = set()
        self._settling_lock = threading.Lock()

    def create_inline(self, new: NewBatch, lines: Iterable[bytes]) -> Job:
        """Accept a batch whose requests came with it; it exists after any crash once this returns.

        Args:
            new: what is asked for.
            lines: the requests as lines of input, without line feeds.

        Raises:
            InvalidRequest: there is no request, or the priority is too high.
            QuotaExceeded: the owner has too many open batches, or there is no room for it within its quota.
            StorageFull: there is no room for it.
        """
        job = self._job(new, None)

        def spans() -> list[LineSpan]:
            path = self.folder.write_input(job.batch_id, lines)
            with translate_os_errors():
                size_bytes = path.stat().st_size
            return self._index(path, size_bytes, new)

        return self._accept(job, spans, new)

    def create_from_file(self, new: NewBatch, file_id: str) -> Job:
        """Accept a batch whose requests are in a file; from then on the file may be deleted or expire.

        Raises:
            UploadedFileNotFound: the file does not exist, has expired, or is somebody else's.
            InvalidRequest: it holds no request, or too many, or the priority is too high.
            QuotaExceeded: the owner has too many open batches, or there is no room for its results within its quota.
            FailedPrecondition: it is the results of another batch.
            DataLost: its bytes are not those that were uploaded.
        """
        file = self.files.get(file_id, new.owner)
        if file.source is not FileSource.UPLOADED:
            raise FailedPrecondition(f"files/{file_id} holds the results of a batch and cannot be the input of one.")
        job = self._job(new, file_id)

        def link(target: Place) -> None:
            self.files.open_content(file_id, new.owner).check()
            self.files.link_content(file_id, new.owner, target)

        def spans() -> list[LineSpan]:
            return self._index(self.folder.link_input(job.batch_id, link), file.size_bytes, new)

        return self._accept(job, spans, new)

    def _index(self, path: Place, size_bytes: int, new: NewBatch) -> list[LineSpan]:
        return list(index_lines(path, size_bytes, chunk_requests=new.chunk_requests, max_requests=self._max_requests))

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
            ending_state=None,
            input_file_id=file_id,
            output_file_id=None,
            request_count=0,
            input_bytes=0,
            result_bytes=0,
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

    def _accept(self, job: Job, hold_input: Callable[[], list[LineSpan]], new: NewBatch) -> Job:
        """Store the input, and when that is durable add the job with the chunks that were found in it."""
        limits = self._limits_of(job.owner)
        limits.check_priority(job.priority)
        with self.database.read() as connection:  # before its input is stored
            self._check_limits(connection, limits, job)
        try:
            self._announce(job)
            spans = _some(hold_input())
            request_count = sum(span.request_count for span in spans)
            counted = replace(
                job,
                request_count=request_count,
                input_bytes=sum(span.size_bytes for span in spans),
                result_bytes=request_count * new.values * _VALUE_BYTES,
            )
            with self.database.write() as connection:
                self._check_limits(connection, limits, counted)
                self._check_announced(connection, job)
                return rows.insert_job(connection, counted, spans)
        except BaseException:
            # If the connection breaks at the commit, nobody knows whether there is a row; a start removes a folder
            # that has none.
            if not self._may_exist(job):
                self.folder.remove(job.batch_id)
                self._retract(job)
            raise

    def _announce(self, job: Job) -> None:
        """Where several servers share the store, keep the others from removing an input without a job."""
        if token := self.database.shared_token:
            with self.database.write() as connection:
                insert_arrival(connection, job.batch_id, token)

    def _check_announced(self, connection: Connection, job: Job) -> None:
        """Make sure that the others have not taken this server for dead and removed the input.

        Raises:
            HoldLost: they may have.
        """
        if self.database.shared_token and not delete_arrival(connection, job.batch_id):
            raise HoldLost

    def _retract(self, job: Job) -> None:
        if self.database.shared_token:
            with suppress(StorageFailure), self.database.write(is_way_out=True) as connection:
                delete_arrival(connection, job.batch_id)

    def _check_limits(self, connection: Connection, limits: OwnerLimits, job: Job) -> None:
        """Make sure that an owner may have one more batch.

        Raises:
            QuotaExceeded: it has too many open ones, or keeps too much.
        """
        limits.check_open_batches(rows.count_open_jobs(connection, job.owner) + 1)
        more_bytes = job.result_bytes if job.input_file_id else job.result_bytes + job.input_bytes
        limits.check_stored_bytes(count_stored_bytes(connection, job.owner, self.clock()) + more_bytes)

    def _may_exist(self, job: Job) -> bool:
        try:
            with self.database.read() as connection:
                return rows.find_job(connection, job.batch_id, job.owner) is not None
        except StorageFailure:
            return True

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
        limit = page_size_within(page_size, default=_DEFAULT_PAGE_SIZE, largest=_MAX_PAGE_SIZE)
        before = _number_of(page_token) if page_token else None
        with self.database.read() as connection:
            found = rows.list_jobs(connection, owner, limit + 1, before)
        return cut_page(found, limit, lambda job: (job.created_at, str(job.job_number)))

    def figures(self) -> Iterable[Figure]:
        """Return how many batches are kept, of all owners, in every state."""
        with self.database.read() as connection:
            counts = dict.fromkeys(BatchState, 0) | rows.count_by_state(connection)
        summary = "Stored batches, by state."
        return [
            Figure(name="batches", summary=summary, value=count, labels={"state": state})
            for state, count in counts.items()
        ]

    def update(self, batch_id: str, owner: str, changes: BatchUpdate) -> Job:
        """Change a batch's display name, its priority, or both; return it as it is then.

        Raises:
            BatchNotFound: it does not exist or is somebody else's.
            InvalidRequest: the priority is too high.
        """
        if changes.priority is not None:
            self._limits_of(owner).check_priority(changes.priority)
        given = {"display_name": changes.display_name, "priority": changes.priority}
        values = {name: value for name, value in given.items() if value is not None}
        with self.database.write() as connection:
            job = self._find(connection, batch_id, owner, for_update=True)
            if values:
                rows.update_job(connection, job.job_number, updated_at=self.clock(), **values)
            return self._find(connection, batch_id, owner)

    def cancel(self, batch_id: str, owner: str) -> None:
        """End a batch; what is finished stays, what is being computed is thrown away.

        No more of it is computed. It is CANCELLED at once or, if it came as a large file or the disk is full, as soon
        as its results are written. A second cancel changes nothing.

        Raises:
            BatchNotFound: it does not exist or is somebody else's.
            BatchNotCancellable: it has ended in another state.
        """
        with self.database.write(is_way_out=True) as connection:
            job = self._find(connection, batch_id, owner, for_update=True)
            state = job.ending_state or job.state
            if state is BatchState.CANCELLED:
                return
            if state.is_ended:
                raise BatchNotCancellable(f"batches/{batch_id} has already ended: BATCH_STATE_{state}.")
            self.end(connection, job, BatchState.CANCELLED, status="CANCELLED", message="The batch was cancelled.")
        if job.pending_count <= _SETTLED_AT_ONCE:
            with suppress(StorageFailure):  # it is cancelled anyway, and the runner settles it later
                self.settle(job.job_number)

    def delete(self, batch_id: str, owner: str) -> None:
        """Remove a batch, its input and its results; one that runs is cancelled first.

        Raises:
            BatchNotFound: it does not exist or is somebody else's.
        """
        with self.database.write(is_way_out=True) as connection:
            job = self._find(connection, batch_id, owner, for_update=True)
            if job.output_file_id is not None:
                delete_file(connection, owner, job.output_file_id)
            rows.delete_job(connection, job.job_number)
        self.folder.remove(batch_id)

    def inline_output(self, job: Job) -> Callable[[], Iterator[bytes]]:
        """Return what yields the responses of an ended inline batch as elements of a JSON array, commas included.

        There is one for every request; those that were never computed have the batch's error. It may be called again
        and does not use the database. It raises BatchNotFound if the batch has been deleted meanwhile; until then, it
        has yielded the responses of whole chunks.

        Raises:
            BatchNotFound: the batch has been deleted already.
        """
        with self.database.read() as connection:
            self._find(connection, job.batch_id, job.owner)
            chunks = rows.list_chunks(connection, job.job_number)

        def check() -> None:
            self.check_folder()
            self.get(job.batch_id, job.owner)

        return lambda: inline_responses(self.folder, job, chunks, check)

    def replace_part(self, job: Job, task: ChunkTask, result: ChunkResult) -> None:
        """Note that the results of a chunk of an ended batch were written again, with other bytes.

        Raises:
            DataLost: they are not as many as they were.
        """
        with self.database.write() as connection:
            if not rows.replace_part(connection, task, result):
                raise DataLost(f"The results of batches/{job.batch_id} cannot be computed as they were.")
            if job.output_file_id is not None:
                self.files.replace_part(connection, job.owner, job.output_file_id, task.part_path, result.part_crc32)

    def check_folder(self) -> None:
        """Make sure that the data folder is there, so that nothing counts as lost while it is not mounted.

        Raises:
            StorageFailure: it is not there; its file system may come back.
        """
        if self._has_store_id and not has_store_id(self._data_dir):
            raise StorageFailure("The data folder is missing.")

    def inline_output_bytes(self, job: Job) -> int:
        """Return about how large the responses of an ended inline batch are."""
        with self.database.read() as connection:
            chunks = rows.list_chunks(connection, job.job_number)
        return inline_bytes(self.folder, job, chunks)

    def end(
        self,
        connection: Connection,
        job: Job,
        state: BatchState,
        *,
        status: str | None = None,
        message: str | None = None,
    ) -> None:
        """End an open job, inside the caller's transaction; no more of it is computed.

        A batch that came as a file and ends without success is only ending after this: `settle` writes an error at the
        place of every request that was not computed. Every other batch has ended.

        Args:
            connection: a writing transaction that holds the job's row.
            job: the job, open.
            state: an ended one.
            status: google.rpc.Code name, unless it succeeded.
            message: goes with the status.
        """
        is_file = job.input_file_id is not None
        reason = {"error_status": status, "error_message": message, "waiting_reason": None}
        if is_file and state is not BatchState.SUCCEEDED:
            rows.update_job(connection, job.job_number, ending_state=state, updated_at=self.clock(), **reason)
            return
        output = None
        if is_file:
            output = finished_output(self.folder, job, rows.list_chunks(connection, job.job_number))
        self._end(connection, job, state, output, **reason)

    def settle(self, job_number: int) -> None:
        """Write the results of a batch that is ending, and end it; do nothing if that is done or under way.

        Raises:
            StorageFull: there is no room; the batch stays as it is and says so, and this can be called again.
            StorageFailure: something cannot be read or written.
        """
        with self._settling_lock:
            if job_number in self._settling:
                return
            self._settling.add(job_number)
        try:
            self._settle(job_number)
        finally:
            with self._settling_lock:
                self._settling.discard(job_number)

    def _settle(self, job_number: int) -> None:
        with self.database.read() as connection:
            job = rows.find_job_by_number(connection, job_number)
            chunks = rows.list_chunks(connection, job_number)
        if job is None or job.ending_state is None or job.state.is_ended:
            return
        self.check_folder()
        try:
            output = write_output(self.folder, job, chunks)
            with self.database.write() as connection:
                now = rows.find_job_by_number(connection, job_number)
                if now is not None and now.state.is_ended:
                    return  # another server was faster
                if now is not None:
                    self._end(connection, job, job.ending_state, output, waiting_reason=None)
                    return
        except StorageFailure as error:
            if self._is_known(job_number):
                if isinstance(error, StorageFull):
                    self._explain(job_number, _NO_ROOM)
                raise
        self.folder.remove(job.batch_id)  # it was deleted meanwhile

    def _is_known(self, job_number: int) -> bool:
        with self.database.read() as connection:
            return rows.find_job_by_number(connection, job_number) is not None

    def _explain(self, job_number: int, reason: str) -> None:
        with suppress(StorageFailure), self.database.write() as connection:
            rows.update_job(connection, job_number, waiting_reason=reason)

    def _end(
        self, connection: Connection, job: Job, state: BatchState, output: FileOutput | None, **values: Any
    ) -> None:
        """Mark a job as ended, and make its results a file if its input was a file."""
        successful_count, now = job.successful_count, self.clock()
        if output is None:  # no file counts for its results
            values["result_bytes"] = inline_bytes(self.folder, job, rows.list_chunks(connection, job.job_number))
        else:
            successful_count = output.successful_count
            values["output_file_id"] = RESULTS_PREFIX + job.batch_id
            self.files.create_from_parts(
                connection,
                job.owner,
                values["output_file_id"],
                [path for path, _ in output.parts],
                checksums=[crc32 for _, crc32 in output.parts],
                display_name=job.display_name,
                expiry=self.retention,
            )
        rows.update_job(
            connection,
            job.job_number,
            state=state,
            ending_state=None,
            successful_count=successful_count,
            failed_count=job.request_count - successful_count,
            updated_at=now,
            ended_at=now,
            **values,
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
