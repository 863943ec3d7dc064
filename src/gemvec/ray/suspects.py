"""Work during which actors died. It is run again, then alone and in halves, until the line or text that kills is found.

The search is the one of `batches/isolation.py`. It needs no record in the database: what dies is an actor, and if the
server dies too, the search begins anew. So that a line is not blamed for what was an accident, it must be alone with an
actor at two deaths.

Texts of a corpus are searched in the same way if they fail on every node: nobody gives them back, as a server does with
the chunks of a batch.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from gemvec.batches.chunk_lines import KILLER, ChunkLines
from gemvec.batches.isolation import SUSPECT_CRASHES, Isolation
from gemvec.embedding.positions import at_positions
from gemvec.errors import InvalidRequest, TextNotComputed
from gemvec.ray.messages import Answer, Call, Computed, Embedded, Failed, Lines, Returned, Texts
from gemvec.ray.pool import ActorLostError, ActorPool

# Texts that fail on a node for a reason that may pass are tried again after these pauses.
_PAUSES_SECONDS = (1.0, 5.0)
_DEATHS = "the actors that computed it died"

_Part = TypeVar("_Part", Lines, Texts)


async def compute_lines(pool: ActorPool, lines: Lines) -> list[Computed] | Failed:
    """Return the answers to the lines of a chunk, in order, whatever happens to actors.

    Raises:
        ClusterUnavailable: no actor can be had.
    """
    deaths = 0
    while deaths < SUSPECT_CRASHES:
        try:
            computed = await pool.compute(lines)
        except ActorLostError as lost:
            deaths += lost.is_suspect
        else:
            return computed if isinstance(computed, Failed) else [_computed(computed)]
    search = _LineSearch(pool, lines, len(lines.lines))
    if (failed := await search.run()) is not None:
        return failed
    found = {first: _computed(each) for first, each in search.found.items()}
    found |= {line: _killer(lines.model) for line in search.killers}
    return [found[first] for first in sorted(found)]


async def compute_texts(pool: ActorPool, texts: Texts) -> Embedded | Failed:
    """Return the vectors of texts, whatever happens to actors; if they fail on every node, why and which text.

    Raises:
        ClusterUnavailable: no actor can be had.
    """
    deaths, shuns, pauses = 0, set[str](), iter(_PAUSES_SECONDS)
    while deaths < SUSPECT_CRASHES:
        try:
            answer = await pool.compute(texts, shuns=shuns)
        except ActorLostError as lost:
            deaths += lost.is_suspect
            continue
        if not isinstance(answer, Failed):
            return _embedded(answer)
        if answer.error is not None:
            return answer
        shuns.add(answer.node)
        pause = next(pauses, None)
        if pause is None or not answer.may_pass:
            break
        await asyncio.sleep(pause)
    search = _TextSearch(pool, texts, len(texts.requests), shuns)
    if (failed := await search.run()) is not None:
        return failed
    if search.killers:
        error = TextNotComputed(search.reason, index=search.killers[0])
        return Failed(search.reason, may_pass=False, error=error)
    return Embedded([each for first in sorted(search.found) for each in _embedded(search.found[first]).embeddings])


async def compute_call(pool: ActorPool, call: Call) -> Returned | Failed:
    """Return what a call returns; it fails when actors have died of it.

    Raises:
        ClusterUnavailable: no actor can be had.
    """
    deaths = 0
    while deaths <= SUSPECT_CRASHES:
        try:
            answer = await pool.compute(call)
        except ActorLostError as lost:
            deaths += lost.is_suspect
        else:
            assert isinstance(answer, (Returned, Failed))
            return answer
    reason = f"{deaths} actors died one after the other while they worked on it"
    return Failed(reason, may_pass=False, is_deadly=True)


def _computed(answer: Answer) -> Computed:
    assert isinstance(answer, Computed)
    return answer


def _embedded(answer: Answer) -> Embedded:
    assert isinstance(answer, Embedded)
    return answer


class _Search(ABC, Generic[_Part]):
    """The search for what kills actors in one piece.

    Attributes:
        found: the answers to what was computed, by the position of its first line or text.
        killers: the positions of what was given up.
        reason: why it was.
    """

    def __init__(self, pool: ActorPool, whole: _Part, count: int, shuns: Collection[str] = ()) -> None:
        self._pool = pool
        self._shuns = {*shuns}  # nodes where a part has failed, which may be the fault of the node
        self._whole = whole
        self._isolation = Isolation(((0, count),))
        self._suspects: set[int] = set()
        self.found: dict[int, Answer] = {}
        self.reason = ""

    @property
    def killers(self) -> Sequence[int]:
        return self._isolation.killers

    async def run(self) -> Failed | None:
        """Compute everything but what kills; return why that is not possible, or None.

        Raises:
            ClusterUnavailable: no actor can be had.
        """
        while (index := self._next()) is not None:
            first, count = self._isolation.ranges[index]
            try:
                answer = await self._pool.compute(self._cut(first, count), is_alone=True, shuns=self._shuns)
            except ActorLostError as lost:
                if lost.is_suspect:
                    self._halve(index, _DEATHS)
                continue
            if not isinstance(answer, Failed):
                self.found[first] = answer
            elif (final := self._find_final(answer, range(first, first + count))) is not None:
                return final
            else:
                self._shuns.add(answer.node)
                self._halve(index, answer.reason)
        return None

    def _next(self) -> int | None:
        """Return the index of a range that is not computed yet; None when all are."""
        ranges = self._isolation.ranges
        return next((index for index, (first, _) in enumerate(ranges) if first not in self.found), None)

    def _halve(self, index: int, reason: str) -> None:
        self.reason = reason
        first, count = self._isolation.ranges[index]
        if count == 1 and first not in self._suspects:
            self._suspects.add(first)
            return
        self._isolation = self._isolation.begin(index).after_crash()

    @abstractmethod
    def _cut(self, first: int, count: int) -> _Part: ...

    @abstractmethod
    def _find_final(self, failed: Failed, positions: range) -> Failed | None:
        """Return the failure of the whole piece if that of one part decides it."""


class _LineSearch(_Search[Lines]):
    """A chunk that fails is given back by its server."""

    def _cut(self, first: int, count: int) -> Lines:
        return replace(self._whole, lines=self._whole.lines[first : first + count])

    def _find_final(self, failed: Failed, positions: range) -> Failed | None:  # noqa: ARG002
        return failed


class _TextSearch(_Search[Texts]):
    """Ends with the first text that was given up, because its document is then left out with all of its texts."""

    def _next(self) -> int | None:
        return None if self.killers else super()._next()

    def _cut(self, first: int, count: int) -> Texts:
        return replace(self._whole, requests=self._whole.requests[first : first + count])

    def _find_final(self, failed: Failed, positions: range) -> Failed | None:
        if isinstance(failed.error, InvalidRequest):
            return replace(failed, error=at_positions(failed.error, positions))
        return None


def _killer(model: str) -> Computed:
    """Return the answer at the place of a line that is never tried again; it was never read, so it has no key."""
    part = np.frombuffer(b"".join(ChunkLines(model).format([KILLER])), np.uint8)
    return Computed(part=part, successful_count=0, failed_count=1, token_count=0)


def blocks_of(answers: Sequence[Computed], block_bytes: int = 2**18) -> Iterator[bytes]:
    """Yield the bytes of a part file; not all are copied at once."""
    for each in answers:
        for start in range(0, len(each.part), block_bytes):
            yield each.part[start : start + block_bytes].tobytes()
