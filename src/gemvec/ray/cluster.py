"""`Cluster`: a Ray cluster that this process gives work to, by a driver that is started again when it has ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gemvec.batches.job import ChunkResult
from gemvec.errors import ClusterUnavailable
from gemvec.ray.driver_process import DriverEndedError, DriverProcess
from gemvec.ray.messages import Call, ClusterSpec, Embedded, Failed, Notice, Outcome, PoolStatus, Returned, Texts, Work

# Work is given to so many drivers, if each of them ends.
_DRIVERS_EACH = 3


class Cluster:
    """Takes work and returns what became of it; used from one event loop."""

    def __init__(
        self, spec: ClusterSpec, on_notice: Callable[[Notice], None], *, is_left: threading.Event | None = None
    ) -> None:
        """Join the cluster.

        Args:
            spec: which cluster, and what its actors are like.
            on_notice: called from a thread with what the user should know.
            is_left: may be set by another thread, so that the cluster is not waited for any longer.

        Raises:
            ClusterUnavailable: it cannot be joined; the message says why.
        """
        self._spec = spec
        self._on_notice = on_notice
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="gemvec-ray")
        self._starting = asyncio.Lock()
        self._restarting: asyncio.Future[None] | None = None
        self._is_left = is_left or threading.Event()
        self._before = PoolStatus()
        self._driver = DriverProcess(spec, on_notice, self._is_left)

    @property
    def status(self) -> PoolStatus:
        """What the pool of actors does now, with the losses of all drivers so far."""
        now, before = self._driver.status, self._before
        return replace(now, lost=before.lost + now.lost, refused=before.refused + now.refused)

    async def run(self, work: Work) -> Outcome:
        """Have work done; cancelling it abandons it.

        Raises:
            DriverEndedError: the driver has ended; the next work gets another one.
            ClusterUnavailable: the cluster cannot be joined any more.
        """
        driver = await self._running()
        return await driver.run(work, self._threads)

    async def run_again(self, work: Texts | Call) -> Embedded | Returned | Failed:
        """Have work done, by another driver if one ends.

        Returns:
            The answer, or why there is none.

        Raises:
            ClusterUnavailable: the cluster cannot be joined any more, or its drivers do not last.
            InvalidRequest: it asks for what cannot be done.
        """
        for _ in range(_DRIVERS_EACH):
            try:
                outcome = await self.run(work)
            except DriverEndedError:
                continue
            if outcome.error is not None:
                raise outcome.error
            answer = outcome.failure or outcome.result
            if answer is not None:
                assert not isinstance(answer, ChunkResult)
                return answer
        raise ClusterUnavailable("The driver of the Ray cluster has ended.")

    async def close(self) -> None:
        """Leave the cluster; its actors end with that."""
        self._is_left.set()
        async with self._starting:
            await asyncio.to_thread(self._driver.close)
        self._threads.shutdown(wait=False)

    async def _running(self) -> DriverProcess:
        """Return the driver, a new one if it has ended.

        Raises:
            ClusterUnavailable: it cannot join the cluster.
        """
        async with self._starting:
            if self._is_left.is_set():
                raise ClusterUnavailable
            if self._driver.is_broken:
                if self._restarting is None or self._restarting.done():
                    self._restarting = asyncio.get_running_loop().run_in_executor(self._threads, self._restart)
                    self._restarting.add_done_callback(_ignore)
                # Shielded: the caller that asked for it may leave before it is there; then the next one uses it.
                await asyncio.shield(self._restarting)
            return self._driver

    def _restart(self) -> None:
        ended = self._driver
        ended.close()
        self._driver = DriverProcess(self._spec, self._on_notice, self._is_left)
        before, last = self._before, ended.status
        self._before = PoolStatus(lost=before.lost + last.lost, refused=before.refused + last.refused)
        if self._is_left.is_set():  # meanwhile, and nobody waited for this one
            self._driver.close()


def _ignore(abandoned: asyncio.Future[None]) -> None:
    """Look at how it ended, so that asyncio does not complain that nobody did."""
    if not abandoned.cancelled():
        abandoned.exception()
