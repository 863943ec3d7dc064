"""`Executor`: where a chunk runs. In this process, or in processes of this machine; on a cluster, see the room `ray`.

An executor only computes. It never reads or writes the store: the runner does both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from gemvec.batches.chunk import run_chunk
from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.chunk_process import CHUNKS_EACH, PROCESSES, ChunkFailure, ChunkProcesses, OpenEmbedder
from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.batches.lines import CHUNK_REQUESTS, FAST_CHUNK_REQUESTS
from gemvec.embedding.embedder import Embedder
from gemvec.figures import Figure
from gemvec.logs import get_logger
from gemvec.storage.durable import Hook

# While one chunk is embedded the next ones are read, and the last ones written: four keep two streams full.
CHUNKS_IN_FLIGHT = 4
# Processes are started only for a batch with more chunks.
CHUNKS_WITHOUT_PROCESSES = 4
_IDLE_SECONDS = 60.0
# After processes died or could not be started, they are tried again after this time, and not with every chunk.
_PAUSE_SECONDS = 5.0

_log = get_logger("batches")


class Executor(Protocol):
    """Runs chunks somewhere with access to the paths in the task."""

    @property
    def chunks_in_flight(self) -> int:
        """How many chunks to run at once."""
        ...

    @property
    def is_apart(self) -> bool:
        """Whether a chunk cannot kill the server, and is worth abandoning when its batch has ended."""
        ...

    def chunk_requests(self, weights: str) -> int:
        """Return how many requests make a good chunk for a model."""
        ...

    async def run(self, task: ChunkTask) -> ChunkResult:
        """Run one chunk; called several times at once. Raises as `run_chunk`; cancelling it abandons the chunk."""
        ...

    def figures(self) -> Iterable[Figure]:
        """Return figures on where chunks run."""
        ...

    async def close(self) -> None:
        """Release everything; no chunk is running any more, or those that are running are abandoned."""
        ...


class LocalExecutor:
    """Runs chunks in this process: files in threads, vectors by the embedder's own scheduling."""

    chunks_in_flight = CHUNKS_IN_FLIGHT
    is_apart = False

    def __init__(self, embedder: Embedder, *, hook: Hook | None = None) -> None:
        """Run chunks with `embedder`; `hook` is called with each step of writing a part file, for crash tests."""
        self._embedder = embedder
        self._hook = hook

    def chunk_requests(self, weights: str) -> int:  # noqa: ARG002 - all are run alike
        """Return how many requests make a good chunk for a model."""
        return CHUNK_REQUESTS

    async def run(self, task: ChunkTask) -> ChunkResult:
        """Run one chunk."""
        return await run_chunk(task, self._embedder, ChunkFiles(task, hook=self._hook))

    def figures(self) -> Iterable[Figure]:
        """Return nothing: the embedder has its own."""
        return ()

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""


class ProcessExecutor:
    """Runs the chunks of large batches in separate processes; for models that are small and fast."""

    chunks_in_flight = CHUNKS_IN_FLIGHT
    is_apart = False

    def __init__(self, embedder: Embedder, open_embedder: OpenEmbedder, *, weights: Collection[str]) -> None:
        """Start nothing yet.

        Args:
            embedder: computes everything else in this process.
            open_embedder: picklable; opens the same in another process.
            weights: the models to do this for.
        """
        self._local = LocalExecutor(embedder)
        self._open_embedder = open_embedder
        self._weights = weights
        self._starting = asyncio.Lock()
        # Waiting for a process takes a thread; the event loop's own threads are few and serve interactive calls.
        self._waiters = ThreadPoolExecutor(PROCESSES * CHUNKS_EACH, thread_name_prefix="gemvec-chunks")
        self._not_before = 0.0  # in the event loop's time
        self._processes: ChunkProcesses | None = None
        self._under_way = 0  # chunks that were given to the processes, or wait for them to start
        self._is_closed = False
        self._idle_timer: asyncio.TimerHandle | None = None

    def chunk_requests(self, weights: str) -> int:
        """Return how many requests make a good chunk for a model."""
        return FAST_CHUNK_REQUESTS if weights in self._weights else self._local.chunk_requests(weights)

    async def run(self, task: ChunkTask) -> ChunkResult:
        """Run one chunk."""
        if task.weights not in self._weights or task.chunk_index < CHUNKS_WITHOUT_PROCESSES:
            return await self._local.run(task)
        return await self._run_beside(task) or await self._local.run(task)

    async def _run_beside(self, task: ChunkTask) -> ChunkResult | None:
        """Run a chunk in a process; None when none can take it now, or it failed there."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before:
            return None
        self._under_way += 1
        try:
            processes = await self._running()
            result = await loop.run_in_executor(self._waiters, processes.run, task)
        except OSError as error:  # it has ended, or no process can be started
            self._not_before = loop.time() + _PAUSE_SECONDS
            _log.warning("chunks go on in the server's own process", extra={"reason": str(error)})
            return None
        finally:
            self._under_way -= 1
            self._rest_later()
        if isinstance(result, ChunkFailure):
            extra = {"batch": task.batch_id, "chunk": task.chunk_index, "reason": result.reason}
            _log.warning("a chunk that failed in a process is run by the server itself", extra=extra)
            return None
        return result

    def figures(self) -> Iterable[Figure]:
        """Return nothing: what runs in processes is not counted."""
        return ()

    async def close(self) -> None:
        """End the processes, if there are any."""
        self._is_closed = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        await self._end_processes()
        await asyncio.to_thread(self._waiters.shutdown)
        await self._end_processes()  # those that were being started when their chunk was abandoned

    async def _end_processes(self) -> None:
        processes, self._processes = self._processes, None
        if processes is not None:
            await asyncio.to_thread(processes.close)

    async def _running(self) -> ChunkProcesses:
        async with self._starting:
            if self._processes is not None and self._processes.is_broken:
                await self._end_processes()
            if self._processes is None:
                return await asyncio.get_running_loop().run_in_executor(self._waiters, self._start)
            return self._processes

    def _start(self) -> ChunkProcesses:
        """Start the processes; noted here, in the thread, because the chunk that waits for them may be abandoned."""
        self._processes = ChunkProcesses(self._open_embedder)
        return self._processes

    def _rest_later(self) -> None:
        """End the processes when no chunk has needed them for a while."""
        if self._is_closed:
            return
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._rest)

    def _rest(self) -> None:
        if self._under_way:
            self._rest_later()
        elif self._processes is not None:
            asyncio.get_running_loop().run_in_executor(None, self._processes.close)
            self._processes = None
