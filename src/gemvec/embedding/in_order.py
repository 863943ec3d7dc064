"""`run_in_order`: parts of a call embedded several at a time, with their results in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def run_in_order(
    runs: Sequence[range], work: Callable[[range], Awaitable[list[T]]], *, max_concurrency: int
) -> list[T]:
    """Call `work` with each run, at most `max_concurrency` at a time; return all results in the order of the runs.

    The first error cancels everything that is still running, and is raised.
    """
    if len(runs) == 1:
        return await work(runs[0])
    results: list[list[T]] = [[] for _ in runs]
    positions = iter(range(len(runs)))

    async def take_turns() -> None:
        for position in positions:
            results[position] = await work(runs[position])

    workers = [asyncio.create_task(take_turns()) for _ in range(min(max_concurrency, len(runs)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [item for result in results for item in result]
