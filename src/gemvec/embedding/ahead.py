"""`embed_ahead`: a model kept busy while what it has embedded is written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

Group = TypeVar("Group")
Vectors = TypeVar("Vectors")


async def embed_ahead(
    groups: Iterator[Group],
    embed: Callable[[Group], Awaitable[Vectors]],
    write: Callable[[Group, Vectors], None],
    *,
    ahead: int,
) -> None:
    """Embed and write groups in order; while one is read or written, the model works on others.

    Args:
        groups: what to embed; advanced in a thread.
        embed: starts the model on a group.
        write: called in a thread with each group and its vectors, one at a time.
        ahead: how many groups may be embedded beside the one that is written next.

    Raises:
        What the three raise; groups before the failing one are written.
    """
    in_flight: deque[tuple[Group, asyncio.Future[Vectors]]] = deque()

    async def write_first() -> None:
        group, vectors = in_flight[0]
        await asyncio.to_thread(write, group, await vectors)
        in_flight.popleft()

    try:
        while (group := await asyncio.to_thread(next, groups, None)) is not None:
            in_flight.append((group, asyncio.ensure_future(embed(group))))
            if len(in_flight) > ahead or in_flight[0][1].done():
                await write_first()
        while in_flight:
            await write_first()
    finally:
        for _, vectors in in_flight:
            vectors.cancel()
        await asyncio.gather(*(vectors for _, vectors in in_flight), return_exceptions=True)
