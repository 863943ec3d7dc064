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

    The next group is read before it is needed: those in flight share micro-batches, so all may end at the same time.

    Args:
        groups: what to embed; advanced in a thread.
        embed: starts the model on a group.
        write: called in a thread with each group and its vectors, one at a time.
        ahead: how many groups may be embedded beside the one that is written next.

    Raises:
        What the three raise. Groups before one that cannot be embedded or written are written; before one that cannot
        be read, those in flight are lost.
    """
    in_flight: deque[tuple[Group, asyncio.Future[Vectors]]] = deque()

    async def read() -> Group | None:
        return await asyncio.to_thread(next, groups, None)

    def start(group: Group) -> None:
        in_flight.append((group, asyncio.ensure_future(embed(group))))

    try:
        upcoming = await read()
        while in_flight or upcoming is not None:
            while upcoming is not None and len(in_flight) <= ahead and not (in_flight and in_flight[0][1].done()):
                start(upcoming)
                upcoming = await read()
            vectors = await in_flight[0][1]
            group, _ = in_flight.popleft()
            if upcoming is not None:  # the model does not wait for what is written
                start(upcoming)
            await asyncio.to_thread(write, group, vectors)
            upcoming = None if upcoming is None else await read()
    finally:
        for _, vectors in in_flight:
            vectors.cancel()
        await asyncio.gather(*(vectors for _, vectors in in_flight), return_exceptions=True)
