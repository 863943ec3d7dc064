"""`DriverProcess`: the driver, as the process that has started it sees it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe

from gemvec.batches.chunk_process import Wire
from gemvec.errors import ClusterUnavailable
from gemvec.ray.messages import Abandon, ClusterSpec, Connected, NotConnected, Notice, Outcome, PoolStatus, Run, Work
from gemvec.settings import process_environ

# Joining a cluster takes one or two seconds; where something else than Ray listens, Ray never gives up.
_CONNECT_SECONDS = 120.0
_LOOK_SECONDS = 0.1
# How long abandoned work is waited for, so that a part file is not written after it was removed.
_ABANDON_SECONDS = 5.0
# Nothing phones home; what the cluster's own head reports is its operator's choice.
_ENVIRON = {"RAY_USAGE_STATS_ENABLED": "0"}


class DriverEndedError(Exception):
    """The driver has ended, and what it was given can be given to another."""


class DriverProcess:
    """A driver that has joined the cluster.

    Attributes:
        status: what its pool of actors does.
        is_broken: whether it has ended.
    """

    def __init__(self, spec: ClusterSpec, on_notice: Callable[[Notice], None], is_left: threading.Event) -> None:
        """Start it, and wait until it has joined the cluster.

        Args:
            spec: which cluster, and what its actors are like.
            on_notice: called from a thread with what its user should know.
            is_left: set when nobody waits for it any more.

        Raises:
            ClusterUnavailable: it cannot.
        """
        self.status = PoolStatus()
        self.is_broken = False
        self._on_notice = on_notice
        self._sending = threading.Lock()
        self._numbers = iter(range(sys.maxsize))
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Outcome]]] = {}
        self._wire, theirs = Pipe()
        self._process = _start(theirs)
        try:
            self._join(spec, is_left)
        except BaseException:
            self.close()
            raise
        self._listener = threading.Thread(target=self._listen, name="gemvec-ray-answers", daemon=True)
        self._listener.start()

    def _join(self, spec: ClusterSpec, is_left: threading.Event) -> None:
        answer: Connected | NotConnected = NotConnected(f"it did not answer within {_CONNECT_SECONDS:g} seconds")
        try:
            self._wire.send(spec)
            deadline = time.monotonic() + _CONNECT_SECONDS
            while time.monotonic() < deadline and not is_left.is_set():
                if self._wire.poll(_LOOK_SECONDS):
                    answer = self._wire.recv()
                    break
        except (EOFError, OSError):
            answer = NotConnected(f"the driver has ended with code {self._process.wait()}")
        if isinstance(answer, NotConnected):
            raise ClusterUnavailable(f"The Ray cluster {spec.address} cannot be joined: {answer.reason}.")

    async def run(self, work: Work, threads: ThreadPoolExecutor) -> Outcome:
        """Have work done; cancelling it abandons it.

        Raises:
            DriverEndedError: the driver has ended.
        """
        loop = asyncio.get_running_loop()
        number, answer = next(self._numbers), loop.create_future()
        self._waiting[number] = loop, answer
        try:
            await loop.run_in_executor(threads, self._send, Run(number, work))
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            with suppress(RuntimeError):  # the cluster was left meanwhile
                loop.run_in_executor(threads, self._send, Abandon(number)).add_done_callback(_ignore)
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
            # Until what it had sent is read, it does not count as ended, and the next work would be given to it too.
            self._listener.join(_ABANDON_SECONDS)
            raise DriverEndedError from error

    def _listen(self) -> None:
        try:
            with suppress(EOFError, OSError):
                while True:
                    self._take(self._wire.recv())
        finally:  # also where a message cannot be read, so that nobody waits endlessly
            self.is_broken = True
            for number in list(self._waiting):
                self._settle(number, DriverEndedError())

    def _take(self, message: PoolStatus | Notice | Outcome) -> None:
        if isinstance(message, PoolStatus):
            self.status = message
        elif isinstance(message, Notice):
            self._on_notice(message)
        else:
            self._settle(message.number, message)

    def _settle(self, number: int, answer: Outcome | DriverEndedError) -> None:
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
            [sys.executable, "-P", "-c", "from gemvec.ray.driver import serve; serve()", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**process_environ(), **_ENVIRON},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # Ray repeats there what its own log has
        )


def _resolve(future: asyncio.Future[Outcome], answer: Outcome | DriverEndedError) -> None:
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
