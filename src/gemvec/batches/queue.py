"""The queue of chunks for the runner: claim, checkpoint, release, fail, expire, recover.

Each call is one transaction. `BatchStore` is the side for callers.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from gemvec.batches import claims, rows
from gemvec.batches.claims import NextJob
from gemvec.batches.isolation import Isolation, parse_isolation
from gemvec.batches.job import Chunk, ChunkResult, ChunkState, ChunkTask, Job
from gemvec.batches.store import BatchStore
from gemvec.errors import BatchNotFound, StorageFailure
from gemvec.logs import get_logger
from gemvec.storage.durable import translate_os_errors
from gemvec.storage.servers import list_arrivals, lock_server, remove_server
from gemvec.storage.usage import Usage, add_usage
from gemvec.wire.batches import BatchState

_log = get_logger("batches")
# How long after the end of its batch a server that was paused may still write a part. One that does it even later, and
# dies before it removes the part, leaves it until the next start or until the batch is deleted.
_LATEST_PART = timedelta(days=1)
# The states of a chunk that explain a part file.
_HELD_STATES = {ChunkState.RUNNING, ChunkState.DONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimable:
    """What may be claimed.

    Attributes:
        weights: the weights that are served; jobs for other weights wait.
        parked: numbers of jobs to leave alone.
    """

    weights: Collection[str]
    parked: Collection[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The result of a checkpoint.

    Attributes:
        is_counted: False when its claim was void, because the job has ended or is gone.
        next_task: the chunk that was claimed in the same step, if there was one to claim.
    """

    is_counted: bool
    next_task: ChunkTask | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToDo:
    """What the database holds for a runner.

    Attributes:
        has_work: whether there is a chunk to claim.
        has_ending: whether there is a batch whose results are to be written.
        first_expiry: when the next open job expires; None without any.
    """

    has_work: bool
    has_ending: bool
    first_expiry: datetime | None


class _VoidClaimError(Exception):
    """Rolls a transaction back: this claim on the chunk is void."""


class BatchQueue:
    """The runner's side of a `BatchStore`."""

    def __init__(self, store: BatchStore) -> None:
        """Work on the jobs of `store`."""
        self._store = store
        self._database = store.database
        self._last_owner = ""
        self._turn_left = 0  # chunks that the last owner may still have before the next one's turn
        self._held: set[tuple[int, int, int]] = set()  # claims that somebody was told of: job, chunk, lease
        self._may_have_lost = False
        self._swept_at: datetime | None = None

    def look(self, claimable: Claimable) -> ToDo:
        """Return what there is to do, without a lock: an idle server asks this every second.

        Raises:
            StorageFailure: the database cannot be read.
        """
        with self._database.read() as connection:
            return ToDo(
                has_work=claims.has_claimable(connection, claimable.weights, claimable.parked),
                has_ending=bool(rows.list_ending_jobs(connection)),
                first_expiry=rows.first_expiry(connection),
            )

    def claim(self, claimable: Claimable) -> ChunkTask | None:
        """Claim the next chunk of the job that goes first: of the next owner's, highest priority, then oldest."""
        with self._telling(), self._database.write() as connection:
            task = self._claim(connection, claimable)
        return self._hold(task)

    @contextmanager
    def _telling(self) -> Generator[None]:
        """Note that a claim may have been committed without anybody learning of it."""
        try:
            yield
        except StorageFailure:
            self._may_have_lost = True
            raise

    def _hold(self, task: ChunkTask | None) -> ChunkTask | None:
        if task is not None:
            self._held.add(_claim_of(task))
        return task

    def release_lost(self) -> int:
        """Give back the chunks whose claim was committed without anybody learning of it; return how many."""
        if not self._may_have_lost:
            return 0
        with self._database.write() as connection:
            lost = [
                each for each in rows.list_claims(connection, self._database.shared_token) if each not in self._held
            ]
            for job_number, chunk_index, lease in lost:
                claims.release_claim(connection, job_number, chunk_index, lease)
        self._may_have_lost = False
        return len(lost)

    def _claim(self, connection: Connection, claimable: Claimable) -> ChunkTask | None:
        goes_on = self._turn_left > 0
        job = claims.next_job(
            connection, claimable.weights, claimable.parked, last_owner=self._last_owner, goes_on=goes_on
        )
        chunk = claims.claim_chunk(connection, job.job_number, self._database.shared_token) if job else None
        if job is None or chunk is None:
            return None
        begins = not goes_on or job.owner != self._last_owner
        self._turn_left = job.turn_chunks - 1 if begins else self._turn_left - 1
        self._last_owner = job.owner
        if chunk.isolation:  # what was tried when it was given back is not under way any more
            claims.record_isolation(connection, self.task_of(job, chunk), parse_isolation(chunk.isolation).at_rest())
        if job.state == BatchState.PENDING:
            started = {"state": BatchState.RUNNING, "waiting_reason": None, "updated_at": self._store.clock()}
            rows.update_job(connection, job.job_number, **started)
        return self.task_of(job, chunk)

    def task_of(self, job: NextJob | Job, chunk: Chunk) -> ChunkTask:
        """Return the work to do for a chunk."""
        folder = self._store.folder
        return ChunkTask(
            job_number=job.job_number,
            batch_id=job.batch_id,
            owner=job.owner,
            model=job.model,
            weights=job.weights,
            chunk_index=chunk.chunk_index,
            lease=chunk.lease,
            input_path=folder.input_path(job.batch_id),
            input_offset=chunk.input_offset,
            input_bytes=chunk.input_bytes,
            input_crc32=chunk.input_crc32,
            request_count=chunk.request_count,
            part_path=folder.part_path(job.batch_id, chunk.chunk_index, chunk.lease),
            crashes=chunk.crashes,
            isolation=parse_isolation(chunk.isolation) if chunk.isolation else None,
        )

    def checkpoint(self, task: ChunkTask, result: ChunkResult, claimable: Claimable | None = None) -> Checkpoint:
        """Count a chunk whose part file is on disk, end the job with its last chunk, and claim the next one.

        All in one transaction, which is half of what a chunk costs here. When the claim on the chunk is void, its part
        file is removed instead. Where several servers share the store, nothing is claimed: two servers that hold the
        row of one job and wait for that of the other's would wait for each other.
        """
        if self._database.shared_token:
            claimable = None
        try:
            with self._telling(), self._database.write() as connection:
                is_last = self._count(connection, task, result)
                following = self._claim(connection, claimable) if claimable else None
        except _VoidClaimError:
            self._held.discard(_claim_of(task))
            if self._is_counted(task):  # an earlier try was committed, and the news of it was lost
                return Checkpoint(is_counted=True, next_task=None)
            self._discard(task)
            return Checkpoint(is_counted=False, next_task=None)
        self._held.discard(_claim_of(task))
        if is_last:
            _log.info("batch finished", extra={"batch": task.batch_id})
        return Checkpoint(is_counted=True, next_task=self._hold(following))

    def list_open(self, job_numbers: Collection[int]) -> set[int]:
        """Return those of these jobs that are worked on."""
        with self._database.read() as connection:
            jobs = [rows.find_job_by_number(connection, each) for each in job_numbers]
        return {job.job_number for job in jobs if job is not None and _is_open(job)}

    def abandon(self, task: ChunkTask) -> None:
        """Remove what was written for a chunk whose work was stopped, and give it back if its job goes on."""
        self.release(task)
        self._discard(task)

    def _is_counted(self, task: ChunkTask) -> bool:
        """Whether this very claim on a chunk is counted, so that its part file belongs to the results."""
        with self._database.read() as connection:
            done = rows.list_chunks(connection, task.job_number, state=ChunkState.DONE)
        return any((each.chunk_index, each.lease) == (task.chunk_index, task.lease) for each in done)

    def _discard(self, task: ChunkTask) -> None:
        """Remove the part file of a void claim; of a deleted batch also the folder, which the file kept alive."""
        with translate_os_errors():
            task.part_path.unlink(missing_ok=True)
        with self._database.read() as connection:
            is_gone = rows.find_job_by_number(connection, task.job_number) is None
        if is_gone:
            self._store.folder.remove(task.batch_id)

    def _count(self, connection: Connection, task: ChunkTask, result: ChunkResult) -> bool:
        """Count a chunk, end its job if it was the last one, and return whether it was."""
        now = self._store.clock()
        pending_count = claims.count_result(connection, task.job_number, result, now)
        if pending_count is None or not claims.finish_chunk(connection, task, result):
            raise _VoidClaimError
        if task.owner:
            used = Usage(texts=result.successful_count, tokens=result.token_count, last_used_at=now)
            add_usage(connection, task.owner, used)
        if pending_count:
            return False
        job = rows.find_job_by_number(connection, task.job_number)
        assert job is not None
        self._store.end(connection, job, BatchState.SUCCEEDED)
        return True

    def record_isolation(self, task: ChunkTask, isolation: Isolation) -> None:
        """Record what is tried next in a chunk that is suspected of killing the server."""
        with self._database.write() as connection:
            claims.record_isolation(connection, task, isolation)

    def release(self, task: ChunkTask, waiting_reason: str | None = None) -> bool:
        """Give a chunk back; with a reason, its job is pending again and says why. Return whether the job is open."""
        with self._database.write() as connection:
            job = rows.find_job_by_number(connection, task.job_number)
            is_open = job is not None and _is_open(job)
            if job is not None and is_open:
                claims.release_chunk(connection, task)
                if waiting_reason is not None:
                    rows.update_job(connection, job.job_number, state=BatchState.PENDING, waiting_reason=waiting_reason)
        self._held.discard(_claim_of(task))
        return is_open

    def fail(self, task: ChunkTask, status: str, message: str) -> None:
        """End the job of a chunk that cannot go on; nothing happens when it has ended or is gone."""
        with self._database.write(is_way_out=True) as connection:
            job = rows.find_job_by_number(connection, task.job_number)
            is_open = job is not None and _is_open(job)
            if job is not None and is_open:
                self._store.end(connection, job, BatchState.FAILED, status=status, message=message)
        self._held.discard(_claim_of(task))
        if is_open:
            _log.error("batch failed", extra={"batch": task.batch_id, "reason": message})

    def expire(self) -> int:
        """End the jobs whose time is up; return how many."""
        now = self._store.clock()
        with self._database.write(is_way_out=True) as connection:
            expired = rows.list_open_jobs(connection, expired_at=now)
            for job in expired:
                message = "The batch was not finished in time."
                self._store.end(connection, job, BatchState.EXPIRED, status="DEADLINE_EXCEEDED", message=message)
        if expired:
            _log.warning("batches expired", extra={"batches": len(expired)})
        return len(expired)

    def settle(self) -> int:
        """Write the results of the batches that are ending, and end them; return how many have to wait.

        Raises:
            StorageFailure: the database cannot be read.
        """
        with self._database.read() as connection:
            ending = rows.list_ending_jobs(connection)
        waiting = 0
        for job_number in ending:
            try:
                self._store.settle(job_number)
            except StorageFailure as error:
                waiting += 1
                _log.warning("the results of a batch cannot be written yet", extra={"reason": error.message})
        return waiting

    def release_all(self) -> int:
        """Give back every claimed chunk; return how many. Call it only when no chunk is being computed."""
        with self._database.write(is_way_out=True) as connection:
            return rows.release_all_chunks(connection, self._database.shared_token)

    def recover(self, weights: Collection[str]) -> None:
        """Clean up after a crash, before anything else happens in the data folder.

        Claims of the process that died are given back, and its death is counted in them. Part files that were never
        counted are removed, and so are folders of batches that were never accepted or are already deleted. Jobs whose
        model is not served say so. Where several servers share the store, this server does only the last of these;
        `release_dead` and `sweep` do the rest.
        """
        if self._database.shared_token:
            self._explain_waiting(self._list_pending_jobs(), weights)
            return
        with self._database.write(is_way_out=True) as connection:
            released = rows.release_chunks_after_crash(connection)
        orphans, removed = self.sweep_leftovers()
        with self._database.read() as connection:
            open_jobs = rows.list_open_jobs(connection)
        self._explain_waiting(open_jobs, weights)
        if open_jobs or orphans:
            counts = {"open": len(open_jobs), "chunks_again": released, "orphans": orphans, "void_parts": removed}
            _log.info("batches resumed", extra=counts)

    def _list_pending_jobs(self) -> list[Job]:
        with self._database.read() as connection:
            return [job for job in rows.list_open_jobs(connection) if job.state is BatchState.PENDING]

    def release_dead(self, token: str) -> bool:
        """Give back what a server that died had claimed, and remove it from those that share the store.

        Returns:
            False if it was gone already, or must be tried again because a transaction of that server is still open.
        """
        with self._database.write(is_way_out=True) as connection:
            if not lock_server(connection, token):
                return False
            remove_server(connection, token)
            released = rows.release_chunks_after_crash(connection, token)
        _log.warning("a server that shared the store is gone", extra={"chunks_again": released})
        return True

    def leave(self) -> None:
        """Give back what this server has claimed, and remove it from those that share the store."""
        token = self._database.shared_token
        assert token is not None
        with self._database.write(is_way_out=True) as connection:
            rows.release_all_chunks(connection, token)
            remove_server(connection, token)

    def sweep_leftovers(self) -> tuple[int, int]:
        """Remove folders without a batch and parts of void claims of open jobs; return how many of each.

        Safe at any time: names are read before the rows, and the row that explains a name exists before it.
        """
        there = self._store.folder.list_batch_ids()
        with self._database.read() as connection:
            # In this order: a job is added in the moment in which its arrival goes.
            known = list_arrivals(connection) | rows.list_batch_ids(connection)
            open_jobs = rows.list_open_jobs(connection)
        orphans = there - known
        for batch_id in orphans:
            self._store.folder.remove(batch_id)
        return len(orphans), sum(self._remove_void_parts(job) for job in open_jobs)

    def _remove_void_parts(self, job: Job) -> int:
        """Remove the files of a batch that no claim explains; a claim is in the database before its part is written."""
        folder = self._store.folder
        there = folder.list_parts(job.batch_id)
        with self._database.read() as connection:
            now = rows.find_job_by_number(connection, job.job_number)
            held = [each for each in rows.list_chunks(connection, job.job_number) if each.state in _HELD_STATES]
        explained = {folder.part_path(job.batch_id, chunk.chunk_index, chunk.lease).name for chunk in held}
        has_errors = now is None or not _is_open(now)  # or will have them soon
        void = {name for name in there - explained if not (has_errors and folder.has_errors(name))}
        folder.remove_parts(job.batch_id, void)
        return len(void)

    def _explain_waiting(self, open_jobs: Collection[Job], weights: Collection[str]) -> None:
        waiting = [job for job in open_jobs if job.weights not in weights]
        for job in waiting:
            reason = f"Waits for models/{job.model} with the weights {job.weights}, which are not served now."
            with self._database.write(is_way_out=True) as connection:
                rows.update_job(connection, job.job_number, state=BatchState.PENDING, waiting_reason=reason)
        if waiting:
            missing = ", ".join(sorted({job.weights for job in waiting}))
            _log.warning("batches wait for weights that are not served", extra={"weights": missing})

    def sweep(self) -> int:
        """Delete the batches that ended longer ago than they are kept; return how many."""
        with self._database.read() as connection:
            old = rows.list_jobs_ended_before(connection, self._store.clock() - self._store.retention)
        for job in old:
            with suppress(BatchNotFound):  # its owner was faster
                self._store.delete(job.batch_id, job.owner)
        self._sweep_ended()
        if self._database.shared_token:  # a single server does it when it starts
            self.sweep_leftovers()
        return len(old)

    def _sweep_ended(self) -> None:
        """Remove the parts of void claims from batches that have ended, where a process died before it did.

        The first sweep looks at all of them, and later ones at those that have ended lately.
        """
        now = self._store.clock()
        since = self._swept_at and self._swept_at - _LATEST_PART
        with self._database.read() as connection:
            ended = rows.list_jobs_ended_before(connection, now, since=since)
        for job in ended:
            self._remove_void_parts(job)
        self._swept_at = now


def _claim_of(task: ChunkTask) -> tuple[int, int, int]:
    return task.job_number, task.chunk_index, task.lease


def _is_open(job: Job) -> bool:
    return job.ending_state is None and not job.state.is_ended
