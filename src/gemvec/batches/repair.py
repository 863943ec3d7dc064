"""Computing damaged results again, as long as their input is still there.

A part file of an ended batch that is gone, or has other bytes than were written, is computed and written again. The
batch stays as it ended: only the bytes of the part, their size and their checksum change. Whatever goes wrong leaves
the results as damaged as they were, and the next reader begins again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from gemvec.batches import rows
from gemvec.batches.chunk_files import check_input
from gemvec.batches.job import ChunkResult, ChunkState, ChunkTask, Job
from gemvec.batches.queue import BatchQueue
from gemvec.batches.results import is_whole
from gemvec.batches.store import BatchStore
from gemvec.errors import DataLost
from gemvec.logs import get_logger
from gemvec.storage.durable import translate_os_errors
from gemvec.storage.threads import in_database_thread, in_file_thread

_log = get_logger("batches")


class Repairs:
    """The repairs that are under way; belongs to one event loop.

    Attributes:
        turn: held while a part is written; leftovers are not swept then, because they look like such a part.
    """

    def __init__(
        self, store: BatchStore, queue: BatchQueue, run: Callable[[ChunkTask], Awaitable[ChunkResult]]
    ) -> None:
        """Repair batches of `store`, whose chunks `run` computes."""
        self._store = store
        self._queue = queue
        self._run = run
        self.turn = asyncio.Lock()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def begin(self, job: Job, weights: Collection[str]) -> bool:
        """Begin to compute again what is damaged of an ended batch, unless that is under way.

        Args:
            job: an ended batch.
            weights: what can be computed with now.

        Returns:
            Whether something is being computed again.

        Raises:
            StorageFailure: a file cannot be read.
        """
        if job.job_number in self._tasks:
            return True
        if job.weights not in weights:
            return False
        damaged = await in_file_thread(self._list_damaged, job)
        if damaged and job.job_number not in self._tasks:
            task = self._tasks[job.job_number] = asyncio.create_task(self._repair(job, damaged))
            task.add_done_callback(lambda _: self._tasks.pop(job.job_number))
        return bool(damaged)

    async def stop(self) -> None:
        """Abandon what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _list_damaged(self, job: Job) -> list[ChunkTask]:
        """Return the chunks whose results are damaged and whose input is not."""
        with self._store.database.read() as connection:
            done = rows.list_chunks(connection, job.job_number, state=ChunkState.DONE)
        tasks = [(chunk, self._queue.task_of(job, chunk)) for chunk in done]
        with translate_os_errors():
            return [task for chunk, task in tasks if not is_whole(task.part_path, chunk) and _has_input(task)]

    async def _repair(self, job: Job, damaged: Collection[ChunkTask]) -> None:
        for task in damaged:
            extra: dict[str, object] = {"batch": task.batch_id, "chunk": task.chunk_index}
            try:
                async with self.turn:
                    result = await self._run(task)
                    await in_database_thread(self._store.replace_part, job, task, result)
            except Exception as error:  # noqa: BLE001 - whatever it is, the results are as damaged as before
                _log.error("damaged results could not be computed again", extra=extra | {"error": type(error).__name__})
                return
            _log.warning("damaged results were computed again", extra=extra)


def _has_input(task: ChunkTask) -> bool:
    try:
        check_input(task)
    except DataLost:
        return False
    return True
