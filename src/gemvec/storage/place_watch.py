"""Whether the place where bytes are kept answers: asked now and then, and never waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gemvec.errors import StorageFailure
from gemvec.storage.durable import Place
from gemvec.storage.hold import holds_store
from gemvec.storage.objects import ObjectPath

# A balancer asks each second, and a store may count requests.
_FRESH_SECONDS = 10.0
# A store that is away is asked again for 20 seconds; a balancer waits for a second at most.
_TIMEOUT_SECONDS = 0.5


class PlaceWatch:
    """Looks for the id of the store in the data folder or the object store; used in one event loop."""

    def __init__(self, place: Place, store_id: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Watch `place`, which holds the id `store_id`; `clock` measures time in seconds."""
        self._place = place
        self._store_id = store_id
        # A thread of its own: the others may all be busy with the bytes of files while the place answers.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gemvec-place")
        self._clock = clock
        self._look: asyncio.Task[str | None] | None = None
        self._begun_at = 0.0

    async def trouble(self) -> str | None:
        """Return what is wrong with the place, in a sentence for everybody; None if nothing is.

        The answer is at most ten seconds old.
        """
        now = self._clock()
        if self._look is None or (self._look.done() and now - self._begun_at >= _FRESH_SECONDS):
            self._look = asyncio.create_task(self._find_trouble())
            self._begun_at = now
        done, _ = await asyncio.wait([self._look], timeout=_TIMEOUT_SECONDS)
        return self._look.result() if done else self._no_answer()

    async def _find_trouble(self) -> str | None:
        try:
            is_there = await asyncio.get_running_loop().run_in_executor(
                self._thread, holds_store, self._place, self._store_id
            )
        except (StorageFailure, OSError):
            return self._no_answer()
        name = "object store" if isinstance(self._place, ObjectPath) else "data folder"
        return None if is_there else f"The {name} does not hold the id of this store; maybe it is another one."

    def _no_answer(self) -> str:
        if isinstance(self._place, ObjectPath):
            return "The object store does not answer, or it refuses access."
        return "The data folder does not answer."
