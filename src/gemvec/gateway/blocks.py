"""Blocks of an answer on their way from the thread of an exchange to the event loop: `Blocks`."""

from __future__ import annotations

import asyncio
import threading

# The exchange waits when so many blocks wait for a slow caller.
MAX_WAITING = 2


class Blocks:
    """The blocks of one answer, in order; made in the event loop that takes them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(MAX_WAITING)
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def write(self, block: bytes) -> None:
        """Add a block, from the thread of the exchange, as soon as there is room."""
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, block)

    def end(self) -> None:
        """Say, in the event loop, that there are no more."""
        self._waiting.put_nowait(None)

    async def take(self) -> bytes | None:
        """Return the next block; None at the end."""
        block = await self._waiting.get()
        if block is not None:
            self._room.release()
        return block

    def leave(self) -> None:
        """Take no more: let a thread go that still waits for room after its exchange was ended."""
        self._room.release()
