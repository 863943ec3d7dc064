"""Work during which actors died. Lines are run again, then alone and in halves, until the one that kills is found.

The search is the one of `batches/isolation.py`. It needs no record in the database: what dies is an actor, and if the
server dies too, the search begins anew. So that a line is not blamed for what was an accident, it must be alone with an
actor at two deaths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gemvec.batches.chunk_lines import KILLER, ChunkLines
from gemvec.batches.isolation import SUSPECT_CRASHES, Isolation
from gemvec.ray.messages import Answer, Computed, Failed, Lines, Piece
from gemvec.ray.pool import ActorLostError, ActorPool


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
    return await _Search(pool, lines).run()


async def compute_piece(pool: ActorPool, piece: Piece) -> Answer | Failed:
    """Return the answer to a piece that is not searched for what kills: it fails when actors have died of it.

    Raises:
        ClusterUnavailable: no actor can be had.
    """
    deaths = 0
    while deaths <= SUSPECT_CRASHES:
        try:
            return await pool.compute(piece)
        except ActorLostError as lost:
            deaths += lost.is_suspect
    reason = f"{deaths} actors died one after the other while they worked on it"
    return Failed(reason, may_pass=False, is_deadly=True)


def _computed(answer: Answer) -> Computed:
    assert isinstance(answer, Computed)
    return answer


class _Search:
    """The search for the lines of one chunk that kill actors."""

    def __init__(self, pool: ActorPool, lines: Lines) -> None:
        self._pool = pool
        self._lines = lines
        self._isolation = Isolation(((0, len(lines.lines)),))
        self._found: dict[int, Computed] = {}
        self._suspects: set[int] = set()

    async def run(self) -> list[Computed] | Failed:
        while (index := self._next()) is not None:
            first, count = self._isolation.ranges[index]
            part = replace(self._lines, lines=self._lines.lines[first : first + count])
            try:
                computed = await self._pool.compute(part, is_alone=True)
            except ActorLostError as lost:
                if lost.is_suspect:
                    self._halve(index)
                continue
            if isinstance(computed, Failed):
                return computed
            self._found[first] = _computed(computed)
        self._found |= {line: _killer(self._lines.model) for line in self._isolation.killers}
        return [self._found[first] for first in sorted(self._found)]

    def _next(self) -> int | None:
        """Return the index of a range that is not computed yet; None when all are."""
        ranges = self._isolation.ranges
        return next((index for index, (first, _) in enumerate(ranges) if first not in self._found), None)

    def _halve(self, index: int) -> None:
        first, count = self._isolation.ranges[index]
        if count == 1 and first not in self._suspects:
            self._suspects.add(first)
            return
        self._isolation = self._isolation.begin(index).after_crash()


def _killer(model: str) -> Computed:
    """Return the answer at the place of a line that is never tried again; it was never read, so it has no key."""
    part = np.frombuffer(b"".join(ChunkLines(model).format([KILLER])), np.uint8)
    return Computed(part=part, successful_count=0, failed_count=1, token_count=0)


def blocks_of(answers: Sequence[Computed], block_bytes: int = 2**18) -> Iterator[bytes]:
    """Yield the bytes of a part file; not all are copied at once."""
    for each in answers:
        for start in range(0, len(each.part), block_bytes):
            yield each.part[start : start + block_bytes].tobytes()
