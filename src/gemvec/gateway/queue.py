"""What waits to be sent to a server: the `Call` of each caller, and its texts in a `Queue`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gemvec.embedding.embed import Embedding, EmbedRequest


class Call:
    """What one caller asked for; a lower number came earlier."""

    def __init__(self, number: int, texts: int) -> None:
        self.number = number
        self.answer: asyncio.Future[list[Embedding]] = asyncio.get_running_loop().create_future()
        self.goes_alone = False
        self._embeddings: dict[int, Embedding] = {}
        self._texts = texts

    def deliver(self, position: int, embedding: Embedding) -> None:
        """Take one embedding; with the last one the caller is answered."""
        self._embeddings[position] = embedding
        if len(self._embeddings) == self._texts and not self.answer.done():
            self.answer.set_result([self._embeddings[each] for each in range(self._texts)])

    def fail(self, error: Exception) -> None:
        """Raise an error where the caller waits."""
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(frozen=True, slots=True)
class Item:
    """One text of a call: its place there, and how many tokens it may have."""

    call: Call
    position: int
    request: EmbedRequest
    tokens: int


class Queue:
    """What waits for one model with one priority, first come first."""

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.tokens = 0

    def append(self, items: Sequence[Item]) -> None:
        """Add texts at the end."""
        self.items.extend(items)
        self.tokens += sum(each.tokens for each in items)

    def put_back(self, items: Sequence[Item]) -> None:
        """Put texts that were taken back at the front, unless their caller has hung up."""
        waiting = [each for each in items if not each.call.answer.done()]
        self.items.extendleft(reversed(waiting))
        self.tokens += sum(each.tokens for each in waiting)

    def take(self, count: int) -> list[Item]:
        """Take the first texts."""
        taken = [self.items.popleft() for _ in range(count)]
        self.tokens -= sum(each.tokens for each in taken)
        return taken

    def take_all(self) -> list[Item]:
        """Take every text."""
        return self.take(len(self.items))

    def drop(self, call: Call) -> None:
        """Remove the waiting texts of a call."""
        waiting = [each for each in self.items if each.call is not call]
        if len(waiting) < len(self.items):
            self.items = deque(waiting)
            self.tokens = sum(each.tokens for each in waiting)
