"""Chunks run side by side, but a chunk that is suspected of killing the server runs alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Turns:
    """Lets chunks run side by side, and one alone."""

    def __init__(self) -> None:
        self._running = 0
        self._waiting = 0
        self._changed = asyncio.Condition()

    @property
    def is_one_alone(self) -> bool:
        """Whether a chunk runs alone or waits to run alone, so that nothing else should begin."""
        return self._waiting > 0

    @asynccontextmanager
    async def beside_others(self) -> AsyncGenerator[None]:
        """Run beside others, as soon as no chunk runs alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting)
            self._running += 1
        try:
            yield
        finally:
            await self._leave()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Run alone, as soon as those that run have finished."""
        self._waiting += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._running)
                self._running += 1
            try:
                yield
            finally:
                await self._leave()
        finally:
            self._waiting -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _leave(self) -> None:
        async with self._changed:
            self._running -= 1
            self._changed.notify_all()
