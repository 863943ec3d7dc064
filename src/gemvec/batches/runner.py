"""The runner: claims chunks, keeps several in flight so that the model never waits, and checkpoints what is done.

Owners of batches take turns, chunk by chunk. An owner's chunks are claimed by priority, so a job with a higher priority
overtakes at the next chunk. When everything fails at once (no room on disk, no model), the job is parked: its chunk
goes back, it says why, and it is tried again after a pause that doubles. Nothing is lost by killing the process at any
point; stopping merely saves repeating chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import ParamSpec, TypeVar

from gemvec.batches.chunk import run_isolated
from gemvec.batches.chunk_files import ChunkFiles, estimate_bytes
from gemvec.batches.executor import Executor
from gemvec.batches.isolation import SUSPECT_CRASHES, Isolation
from gemvec.batches.job import ChunkResult, ChunkTask, Job
from gemvec.batches.pauses import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, Pauses
from gemvec.batches.queue import BatchQueue, Claimable, ToDo
from gemvec.batches.repair import Repairs
from gemvec.batches.store import BatchStore
from gemvec.batches.turns import Turns
from gemvec.embedding.caller import on_behalf_of
from gemvec.embedding.embedder import Embedder
from gemvec.errors import DataLost, GemvecError, StorageFailure, StorageFull
from gemvec.figures import Figure
from gemvec.logs import get_logger
from gemvec.memory import MemoryBudget
from gemvec.storage.threads import in_database_thread, in_file_thread

# A chunk that fails this often for an unknown reason fails its job.
_ATTEMPTS = 5
# How often to look when there is nothing to do, for expiry and for changes that other processes made in the database.
_POLL_SECONDS = 30.0
# The same where several servers share the store: what one of them accepts, all of them work on. One loop looks for all.
_SHARED_POLL_SECONDS = 1.0
_SWEEP_SECONDS = 3600.0

P = ParamSpec("P")
T = TypeVar("T")

_log = get_logger("batches")


class _AbandonedError(Exception):
    """The work on a chunk was stopped, because its job has ended."""


class BatchRunner:
    """Works on the jobs of one store; start and stop it in the same event loop.

    Attributes:
        store: what it works on.
        queue: its side of the store.
    """

    def __init__(
        self,
        store: BatchStore,
        embedder: Embedder,
        executor: Executor,
        *,
        memory: MemoryBudget,
        sweeps: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare to run; `start` starts.

        Args:
            store: what to work on.
            embedder: says what is served.
            executor: where chunks run, and how many at once.
            memory: what chunks take their memory from.
            sweeps: whether this runner is the one that ends and removes what is old; asked now and then.
        """
        self.store = store
        self.queue = BatchQueue(store)
        self._embedder = embedder
        self._executor = executor
        self._weights = sorted({model.weights for model in embedder.list_models()})
        self._memory = memory
        self._slots = executor.chunks_in_flight
        self._sweeps = sweeps
        self._repairs = Repairs(store, self.queue, self._run)
        self._pauses = Pauses()
        self._turns = Turns()
        self._store_turn = asyncio.Lock()
        self._attempts: Counter[tuple[int, int]] = Counter()
        self._wake = asyncio.Event()
        self._next_sweep_at = time.monotonic()
        self._is_stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._apart: dict[asyncio.Task[ChunkResult], int] = {}  # chunks that run apart, with the numbers of their jobs

    async def start(self) -> None:
        """Clean up after the last process, then start to work.

        Raises:
            StorageFailure: the database or the data folder cannot be used.
        """
        await in_database_thread(self.queue.recover, self._weights)
        steps = [self._work] * self._slots + [self._keep_time, self._sweep]
        self._tasks = [asyncio.create_task(self._repeat(step)) for step in steps]

    def chunk_requests(self, weights: str) -> int:
        """Return how many requests a chunk of a new batch should have."""
        return self._executor.chunk_requests(weights)

    def figures(self) -> Iterable[Figure]:
        """Return figures on where chunks run."""
        return self._executor.figures()

    async def repair(self, job: Job) -> bool:
        """Compute damaged results of an ended batch again; return whether that is under way.

        Raises:
            StorageFailure: a file cannot be read.
        """
        return await self._repairs.begin(job, self._weights)

    def notify(self) -> None:
        """Say that a batch was created, changed, cancelled or deleted; call it in the runner's event loop."""
        self._wake.set()
        self._wake = asyncio.Event()

    async def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Park: start nothing more, let chunks in flight finish for a moment, give back those that do not."""
        self._is_stopping = True
        self.notify()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._repairs.stop()
        await self._executor.close()
        with contextlib.suppress(StorageFailure):  # the next start does it again
            await in_database_thread(self.queue.release_all)

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self._is_stopping:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the runner lives as long as the server
                _log.error("the runner of batches failed and goes on", extra={"error": type(error).__name__})
                await asyncio.sleep(FIRST_PAUSE_SECONDS)

    async def _work(self) -> None:
        """Run chunks as long as there are any, then wait until there may be more."""
        wake = self._wake
        task = await self._durably(self.queue.claim, self._claimable())
        if task is None:
            await self._sleep(wake, min(_POLL_SECONDS, self._pauses.seconds_left()))
        while task is not None:
            task = await self._carry_out(task)

    def _claimable(self) -> Claimable:
        is_closed = self._is_stopping or self._turns.is_one_alone
        return Claimable(weights=() if is_closed else self._weights, parked=self._pauses.parked())

    async def _carry_out(self, task: ChunkTask) -> ChunkTask | None:
        """Run a chunk and count it; return the one that was claimed with that."""
        try:
            result = await (self._run_apart(task) if self._executor.is_apart else self._run(task))
            checkpoint = await self._durably(self.queue.checkpoint, task, result, self._claimable())
        except _AbandonedError:
            await self._durably(self.queue.abandon, task)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a chunk raises, the runner goes on
            await self._set_aside(task, error)
            return None
        self._attempts.pop((task.job_number, task.chunk_index), None)
        self._pauses.end(task.job_number)
        return checkpoint.next_task

    async def _run(self, task: ChunkTask) -> ChunkResult:
        """Run a chunk beside others; alone and here when it was in flight at several deaths of the server.

        One that runs apart cannot have killed the server.
        """
        if self._executor.is_apart or task.crashes < SUSPECT_CRASHES:
            async with self._turns.beside_others(), self._on_behalf_of_owner(task):
                return await self._executor.run(task)
        _log.warning(
            "a chunk that was in flight when the server died runs alone",
            extra={"batch": task.batch_id, "chunk": task.chunk_index, "crashes": task.crashes},
        )

        async def record(isolation: Isolation) -> None:
            await self._durably(self.queue.record_isolation, task, isolation)

        try:
            async with self._turns.alone(), self._on_behalf_of_owner(task):
                return await run_isolated(task, self._embedder, ChunkFiles(task), record)
        finally:
            self.notify()  # others may claim again

    async def _run_apart(self, task: ChunkTask) -> ChunkResult:
        """Run a chunk that is abandoned when its job ends.

        Raises:
            _AbandonedError: it was.
        """
        run = asyncio.create_task(self._run(task))
        self._apart[run] = task.job_number
        try:
            return await run
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise
            raise _AbandonedError from None
        finally:
            del self._apart[run]

    async def _abandon_ended(self) -> None:
        """Stop the work on chunks whose jobs have ended or are gone."""
        asked = dict(self._apart)  # more are begun meanwhile
        if not asked:
            return
        still_open = await self._durably(self.queue.list_open, set(asked.values()))
        for run, job_number in asked.items():
            if job_number not in still_open:
                run.cancel()

    @contextlib.asynccontextmanager
    async def _on_behalf_of_owner(self, task: ChunkTask) -> AsyncGenerator[None]:
        """Hold the memory that a chunk needs, after waiting for it as long as it takes; its owner takes turns."""
        size_bytes = await in_file_thread(estimate_bytes, task, self._embedder.get_model(task.model))
        async with self._memory.chunk(task.owner, size_bytes):
            with on_behalf_of(task.owner):
                yield

    async def _set_aside(self, task: ChunkTask, error: Exception) -> None:
        """Give a chunk back and park its job, or fail the job when there is no point in trying again."""
        extra: dict[str, object] = {"batch": task.batch_id, "chunk": task.chunk_index, "error": type(error).__name__}
        if _is_lost(error) and await in_database_thread(self._is_folder_there):
            words = error.message if isinstance(error, DataLost) else "The batch's input or results are damaged."
            await self._fail(task, "DATA_LOSS", words)
        elif self._is_stopping:
            await self._durably(self.queue.release, task)
        elif self._is_hopeless(task, error):
            _log.error("a chunk failed again and again", extra=extra)
            await self._fail(task, "INTERNAL", "Internal error encountered.")
        else:
            seconds = self._pauses.begin(task.job_number)
            if await self._durably(self.queue.release, task, _reason(error)):
                extra |= {"reason": _detail(error), "again_in_seconds": seconds}
                _log.warning("a batch is parked", extra=extra)

    def _is_folder_there(self) -> bool:
        try:
            self.store.check_folder()
        except StorageFailure:
            return False
        return True

    async def _fail(self, task: ChunkTask, status: str, message: str) -> None:
        await self._durably(self.queue.fail, task, status, message)
        self.notify()  # its results are to be written

    def _is_hopeless(self, task: ChunkTask, error: Exception) -> bool:
        """Whether a chunk has failed too often for an unknown reason; a full disk or a missing model may pass."""
        if isinstance(error, (GemvecError, OSError, MemoryError)):
            return False
        chunk = (task.job_number, task.chunk_index)
        self._attempts[chunk] += 1
        return self._attempts[chunk] >= _ATTEMPTS

    async def _keep_time(self) -> None:
        """See what there is to do: wake idle slots, end jobs that have expired or are ending; then wait."""
        wake = self._wake
        found = await self._durably(self.queue.look, self._claimable())
        if found.has_work and wake is self._wake:
            self.notify()
            wake = self._wake  # this loop has looked and is not to be woken by itself
        if await self._durably(self.queue.release_lost):
            self.notify()
        await self._abandon_ended()
        if not self._sweeps():
            await self._sleep(wake, self._poll_seconds)
            return
        left = self._seconds_left(found)
        has_expired = left <= 0 and await self._durably(self.queue.expire)
        if has_expired or found.has_ending:
            await self._settle()
        await self._sleep(wake, min(self._poll_seconds, left))

    async def _sweep(self) -> None:
        """Delete old jobs now and then. An object store may take minutes for it, so nothing waits for this."""
        wake = self._wake
        if self._sweeps() and time.monotonic() >= self._next_sweep_at and not self._repairs.turn.locked():
            self._next_sweep_at = time.monotonic() + _SWEEP_SECONDS
            async with self._repairs.turn:
                await self._retry(lambda: in_database_thread(self.queue.sweep))
        await self._sleep(wake, self._poll_seconds)

    def _seconds_left(self, found: ToDo) -> float:
        """Return in how many seconds the next job expires."""
        return math.inf if found.first_expiry is None else (found.first_expiry - self.store.clock()).total_seconds()

    @property
    def _poll_seconds(self) -> float:
        return _SHARED_POLL_SECONDS if self.store.database.shared_token else _POLL_SECONDS

    async def _settle(self) -> None:
        """Write the results of batches that end without success; they may be large, so no chunk waits for this."""
        with contextlib.suppress(StorageFailure):  # the next look at the clock does it again
            await in_database_thread(self.queue.settle)

    async def _sleep(self, wake: asyncio.Event, seconds: float) -> None:
        """Wait until something changes, but only for a limited time."""
        if self._is_stopping:
            return
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`: until Python 3.12 it loses a cancellation that comes together with what is waited for.
            async with asyncio.timeout(max(seconds, 0.01)):
                await wake.wait()

    async def _durably(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the store in a thread when it is this call's turn, and try again as `_retry` does."""

        async def call_in_turn() -> T:
            async with self._store_turn:  # SQLite takes one writer at a time; others would sleep and poll
                return await in_database_thread(call, *args, **kwargs)

        return await self._retry(call_in_turn)

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call the store, and try again for as long as the database cannot write.

        Raises:
            StorageFailure: a file that must be there is gone.
        """
        seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                return await call()
            except StorageFailure as error:
                if _is_lost(error):
                    raise
                _log.warning("the store of batches cannot be written", extra={"reason": _detail(error)})
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, MAX_PAUSE_SECONDS)


def _is_lost(error: Exception) -> bool:
    """Whether a file of the batch is gone: trying again cannot help."""
    return isinstance(error, DataLost) or (
        isinstance(error, StorageFailure) and isinstance(error.__cause__, FileNotFoundError)
    )


def _reason(error: Exception) -> str:
    """Return what to tell the batch's owner, without folders of this machine."""
    if isinstance(error, StorageFull):
        return "There is no room left to store results."
    return type(error).summary() if isinstance(error, GemvecError) else "Internal error encountered."


def _detail(error: Exception) -> str:
    """Return what to log."""
    return error.message if isinstance(error, GemvecError) else type(error).__name__
