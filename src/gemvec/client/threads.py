"""Threads for what blocks: `in_thread` awaits work that is done in a daemon thread, which is then used again.

An exchange with a server may last minutes, and the end of the process must not wait for it, as it does for the threads
of `concurrent.futures`. Starting a thread costs three times as much as waking one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_IDLE_SECONDS = 10.0

Job = Callable[[], Callable[[], None]]  # does the work, and returns what tells the caller


class _Worker(threading.Thread):
    """A thread that does one job after another, and ends when none has come for a while."""

    def __init__(self) -> None:
        super().__init__(name="gemvec-http", daemon=True)
        self._jobs: SimpleQueue[Job] = SimpleQueue()

    def give(self, job: Job) -> None:
        """Let it do `job` next."""
        self._jobs.put(job)

    def run(self) -> None:
        """Work until nobody wants it any more."""
        while self._work_once() or not self._is_retired():
            pass

    def _work_once(self) -> bool:
        """Do the next job; return False if none came."""
        try:
            job = self._jobs.get(timeout=_IDLE_SECONDS)
        except Empty:
            return False
        tell = job()
        # Free before its caller knows, so that the caller's next job finds it.
        _idle.append(self)
        tell()
        return True

    def _is_retired(self) -> bool:
        """Whether nobody can give it another job; somebody may just have taken it for one."""
        try:
            _idle.remove(self)
        except ValueError:
            return False
        return True


_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a daemon thread of its own and await its result; cancelling does not end the work."""
    future: Future[T] = Future()

    def settle() -> Callable[[], None]:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 # raised again where it is awaited
            failure = error  # `error` is unbound at the end of this block
            return lambda: future.set_exception(failure)
        return lambda: future.set_result(result)

    future.set_running_or_notify_cancel()
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
        worker.start()
    worker.give(settle)
    return await asyncio.wrap_future(future)
