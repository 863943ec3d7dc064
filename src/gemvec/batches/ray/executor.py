"""`RayExecutor`: chunks run on a Ray cluster. The server's side: it starts the driver again when that has ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe

from gemvec.batches.chunk_process import Wire
from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.batches.lines import CHUNK_REQUESTS, FAST_CHUNK_REQUESTS
from gemvec.batches.ray.messages import (
    CHUNKS_EACH,
    Abandon,
    ClusterSpec,
    Connected,
    Failed,
    NotConnected,
    Notice,
    Outcome,
    PoolStatus,
    Run,
)
from gemvec.errors import ClusterUnavailable
from gemvec.figures import Figure
from gemvec.logs import get_logger
from gemvec.settings import process_environ

# Joining a cluster takes one or two seconds.
_CONNECT_SECONDS = 120.0
# How long an abandoned chunk is waited for, so that its part file is not written after it was removed.
_ABANDON_SECONDS = 5.0
# Nothing phones home; what the cluster's own head reports is its operator's choice.
_ENVIRON = {"RAY_USAGE_STATS_ENABLED": "0"}

_log = get_logger("batches")


class ChunkFailedError(Exception):
    """A chunk failed on a node for a reason that is not known to pass; the log has it."""


class RayExecutor:
    """Runs chunks on the actors of a Ray cluster."""

    is_apart = True

    def __init__(self, spec: ClusterSpec, *, fast: Collection[str] = ()) -> None:
        """Join the cluster.

        Args:
            spec: which cluster, and what its actors are like.
            fast: weights that are so fast that a larger chunk is better for them.

        Raises:
            ClusterUnavailable: it cannot be joined; the message says why.
        """
        self._spec = spec
        self._fast = fast
        self.chunks_in_flight = CHUNKS_EACH * spec.max_actors
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="gemvec-ray")
        self._starting = asyncio.Lock()
        self._restarting: asyncio.Future[None] | None = None
        self._is_closed = False
        self._before = PoolStatus()
        self._driver = _Driver(spec)

    def chunk_requests(self, weights: str) -> int:
        """Return how many requests make a good chunk for a model."""
        return FAST_CHUNK_REQUESTS if weights in self._fast else CHUNK_REQUESTS

    async def run(self, task: ChunkTask) -> ChunkResult:
        """Run one chunk.

        Raises:
            ClusterUnavailable: it cannot be computed now.
            StorageFailure: as `run_chunk`.
        """
        driver = await self._running()
        outcome = await driver.run(task, self._threads)
        if outcome.error is not None:
            raise outcome.error
        if outcome.failure is not None:
            raise _error_of(task, outcome.failure)
        if outcome.result is None:  # it was stopped with the driver
            raise _ended()
        return outcome.result

    def figures(self) -> Iterable[Figure]:
        """Return figures on the actors and what is given to them."""
        now, lost, refused = self._driver.status, self._before.lost, self._before.refused
        actors, chunks = "Actors on the Ray cluster", "Chunks of batches on the Ray cluster"
        yield Figure(name="ray_actors", summary=actors, value=now.ready, labels={"state": "ready"})
        yield Figure(name="ray_actors", summary=actors, value=now.starting, labels={"state": "starting"})
        yield Figure(name="ray_chunks", summary=chunks, value=now.computing, labels={"state": "computing"})
        yield Figure(name="ray_chunks", summary=chunks, value=now.waiting, labels={"state": "waiting"})
        yield Figure(name="ray_lost_actors", summary="Actors that were lost", value=lost + now.lost, is_total=True)
        yield Figure(
            name="ray_refused_actors",
            summary="Actors whose node cannot compute, such as with another version of gemvec",
            value=refused + now.refused,
            is_total=True,
        )

    async def close(self) -> None:
        """Leave the cluster; its actors end with that."""
        self._is_closed = True
        async with self._starting:
            await asyncio.to_thread(self._driver.close)
        self._threads.shutdown(wait=False)

    async def _running(self) -> _Driver:
        """Return the driver, a new one if it has ended.

        Raises:
            ClusterUnavailable: it cannot join the cluster.
        """
        async with self._starting:
            if self._is_closed:
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
        self._driver = _Driver(self._spec)
        before, last = self._before, ended.status
        self._before = PoolStatus(lost=before.lost + last.lost, refused=before.refused + last.refused)
        if self._is_closed:  # meanwhile, and nobody waited for this one
            self._driver.close()


class _Driver:
    """The driver's process, as the server sees it."""

    def __init__(self, spec: ClusterSpec) -> None:
        """Start it, and wait until it has joined the cluster.

        Raises:
            ClusterUnavailable: it cannot.
        """
        self.status = PoolStatus()
        self.is_broken = False
        self._sending = threading.Lock()
        self._numbers = iter(range(sys.maxsize))
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Outcome]]] = {}
        self._wire, theirs = Pipe()
        self._process = _start(theirs)
        try:
            self._join(spec)
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._listen, name="gemvec-ray-answers", daemon=True).start()

    def _join(self, spec: ClusterSpec) -> None:
        answer: Connected | NotConnected = NotConnected(f"it did not answer within {_CONNECT_SECONDS:g} seconds")
        try:
            self._wire.send(spec)
            if self._wire.poll(_CONNECT_SECONDS):
                answer = self._wire.recv()
        except (EOFError, OSError):
            answer = NotConnected(f"the driver has ended with code {self._process.wait()}")
        if isinstance(answer, NotConnected):
            raise ClusterUnavailable(f"The Ray cluster {spec.address} cannot be joined: {answer.reason}.")

    async def run(self, task: ChunkTask, threads: ThreadPoolExecutor) -> Outcome:
        """Run a chunk; cancelling it abandons it.

        Raises:
            ClusterUnavailable: the driver has ended.
        """
        loop = asyncio.get_running_loop()
        number, answer = next(self._numbers), loop.create_future()
        self._waiting[number] = loop, answer
        try:
            await loop.run_in_executor(threads, self._send, Run(number, task))
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            loop.run_in_executor(threads, self._send, Abandon(number))
            await asyncio.wait([answer], timeout=_ABANDON_SECONDS)
            raise
        finally:
            self._waiting.pop(number, None)
            answer.add_done_callback(_ignore)

    def _send(self, message: Run | Abandon) -> None:
        try:
            with self._sending:
                self._wire.send(message)
        except OSError as error:
            raise _ended() from error

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._take(self._wire.recv())
        self.is_broken = True
        for number in list(self._waiting):
            self._settle(number, _ended())

    def _take(self, message: PoolStatus | Notice | Outcome) -> None:
        if isinstance(message, PoolStatus):
            self.status = message
        elif isinstance(message, Notice):
            where = {"node": message.node} if message.node else {}
            _log.warning(message.message, extra={"reason": message.reason, **where})
        else:
            self._settle(message.number, message)

    def _settle(self, number: int, answer: Outcome | ClusterUnavailable) -> None:
        loop, future = self._waiting.get(number, (None, None))
        if loop is not None and future is not None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_resolve, future, answer)

    def close(self) -> None:
        """End it, even while it works; a half-written part file belongs to no chunk."""
        self.is_broken = True
        self._process.kill()
        self._process.wait()
        self._wire.close()


def _start(theirs: Wire) -> subprocess.Popen[bytes]:
    """Start the driver with its end of the connection, which is closed here."""
    with theirs:
        return subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            # -P: a server may run in a folder whose files have the names of modules
            [sys.executable, "-P", "-c", "from gemvec.batches.ray.driver import serve; serve()", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**process_environ(), **_ENVIRON},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # Ray repeats there what its own log has
        )


def _ended() -> ClusterUnavailable:
    return ClusterUnavailable("The driver of the Ray cluster has ended; it is started again.")


def _error_of(task: ChunkTask, failure: Failed) -> Exception:
    extra = {"batch": task.batch_id, "chunk": task.chunk_index, "reason": failure.reason}
    _log.warning("a chunk failed on the Ray cluster", extra=extra)
    return ClusterUnavailable(f"A chunk failed there: {failure.reason}.") if failure.may_pass else ChunkFailedError()


def _resolve(future: asyncio.Future[Outcome], answer: Outcome | ClusterUnavailable) -> None:
    if future.done():
        return
    if isinstance(answer, Outcome):
        future.set_result(answer)
    else:
        future.set_exception(answer)


def _ignore(abandoned: asyncio.Future[Outcome] | asyncio.Future[None]) -> None:
    """Look at how it ended, so that asyncio does not complain that nobody did."""
    if not abandoned.cancelled():
        abandoned.exception()
