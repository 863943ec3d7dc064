"""One event loop in a thread of its own, so that sync and async methods run the same coroutines.

Sync methods work inside Jupyter's running loop, connections outlive `asyncio.run`, and an in-process model always sees
the same loop. The thread starts with the first call, once per process; a forked child starts its own. At exit,
everything that was adopted is closed, then the loop.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
C = TypeVar("C", bound="Closable")

_EXIT_SECONDS = 5.0  # loading a model cannot be interrupted; the process then ends without waiting


class Closable(Protocol):
    """Something that holds connections or a model."""

    async def close(self) -> None:
        """Release them."""
        ...


class _Loop(asyncio.SelectorEventLoop):
    """A loop that a forked child drops without closing it: that would unregister the parent's sockets."""

    def __del__(self) -> None:
        pass


class BackgroundLoop:
    """A running event loop and its thread."""

    def __init__(self) -> None:
        self._loop = _Loop()
        self._adopted: set[Closable] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gemvec-client", daemon=True)
        self._thread.start()

    @property
    def is_this_thread(self) -> bool:
        """Whether the caller runs on this loop, and so must not wait for it."""
        return threading.current_thread() is self._thread

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def adopt(self, closable: Closable) -> None:
        """Close `closable` when the process exits, unless `release` has closed it before."""
        self._adopted.add(closable)

    def release(self, closable: Closable) -> Future[None] | None:
        """Start closing `closable`; return None if that has been done already."""
        if closable not in self._adopted:
            return None
        self._adopted.discard(closable)
        return self.submit(closable.close())

    def stop(self) -> None:
        """Close what was adopted, cancel what is still running, and end the thread."""
        with contextlib.suppress(TimeoutError):
            self.submit(self._finish()).result(_EXIT_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _finish(self) -> None:
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        adopted, self._adopted = self._adopted, set()
        await asyncio.gather(*(each.close() for each in adopted), return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


class _Process:
    """The background loop of this process, created when it is first needed."""

    def __init__(self) -> None:
        self._abandoned: list[BackgroundLoop | None] = []
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._loop: BackgroundLoop | None = None

    def abandon(self) -> None:
        """Start again in a forked child, where the parent's thread does not run; keep its loop from being freed."""
        self._abandoned.append(self._loop)
        self._start()

    def loop(self) -> BackgroundLoop:
        """Return the loop; start it if necessary."""
        with self._lock:
            if self._loop is None:
                self._loop = BackgroundLoop()
            return self._loop

    def stop(self) -> None:
        """Stop the loop if there is one."""
        if self._loop is not None:
            self._loop.stop()
            self._loop = None


_process = _Process()
atexit.register(_process.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.abandon)


def background_loop() -> BackgroundLoop:
    """Return this process' background loop; start it if necessary."""
    return _process.loop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the background loop and wait for it; an interrupt cancels it.

    Raises:
        RuntimeError: called on the background loop itself.
    """
    loop = background_loop()
    if loop.is_this_thread:
        work.close()
        raise RuntimeError("the background loop cannot wait for itself")
    future = loop.submit(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def arun(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the background loop and await it from any other loop; cancelling the caller cancels it."""
    return await asyncio.wrap_future(background_loop().submit(work))


class Held(Generic[C]):
    """An object on this process' background loop that is closed when its owner is closed or freed."""

    def __init__(self, value: C, *, owner: object) -> None:
        self.value = value
        self._loop = background_loop()
        self._pid = os.getpid()
        self._loop.adopt(value)
        # The garbage collector may call this in any thread, so closing is only started.
        self._finalizer = weakref.finalize(owner, _release_here, self._pid, self._loop, value)
        self._finalizer.atexit = False

    @property
    def is_usable(self) -> bool:
        """Whether it was opened by this process."""
        return self._pid == os.getpid()

    def close(self) -> None:
        """Close it and wait until it is closed."""
        future = self._finalizer()
        if future is not None:
            future.result()

    async def aclose(self) -> None:
        """Close it; can be awaited from any other loop."""
        future = self._finalizer()
        if future is not None:
            await asyncio.wrap_future(future)


def _release_here(pid: int, loop: BackgroundLoop, value: Closable) -> Future[None] | None:
    return loop.release(value) if pid == os.getpid() else None
