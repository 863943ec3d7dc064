"""One memory budget for everything in flight: bodies, the objects of their JSON, answers, chunks of batches.

A request has a `Reservation` that grows with what the request needs and ends with it. One that does not fit waits
briefly for others to finish, and is then refused with the time after which to try again. A chunk of a batch waits for
as long as it takes. No caller can hold the whole budget, so that the others find room whatever one of them does.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from gemvec.errors import InvalidRequest, Overloaded
from gemvec.figures import Figure
from gemvec.settings import default_variable, read_variable

UNLIMITED = 2**62

# The most that one caller may hold, and the most that all chunks of batches may hold together.
_CALLER_SHARE, _BATCHES_SHARE = 1 / 2, 1 / 4
_WAIT_SECONDS = 2.0
_RETRY_SECONDS = 2.0
# Measured memory of JSON as Python objects: each object or list, and each value after the first.
_CONTAINER_BYTES, _VALUE_BYTES = 240, 64
# For glibc, the variable and the tunable of an option, the option, and its value: how many heaps all threads share, of
# which each keeps free memory; and the size from which memory is no part of a heap, which otherwise grows to 32 MiB.
_SPARING_OPTIONS = (
    ("MALLOC_ARENA_MAX", "arena_max", -8, 2),
    ("MALLOC_MMAP_THRESHOLD_", "mmap_threshold", -3, 2**20),
)
_is_sparing = ContextVar("is_sparing", default=False)


def json_bytes(text: bytes) -> int:
    """Estimate the memory of JSON as objects; brackets and commas inside strings make the estimate too large."""
    containers = text.count(b"{") + text.count(b"[")
    return len(text) + containers * _CONTAINER_BYTES + text.count(b",") * _VALUE_BYTES


def give_back() -> None:
    """Give memory that is free back to the system, which the C library of Linux does not do by itself."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


@contextmanager
def sparing_memory() -> Generator[None]:
    """Let the libraries of this process take little memory: for a command, before it starts threads.

    Threads share two heaps, and what is large is never part of one, so that it is given back when it is freed; glibc
    would make more of either large. What the user has told glibc about them stays. Arrow, when it is first loaded
    meanwhile, uses the heap that everything else uses; its own keeps what was free.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # musl has none
        for variable, tunable, option, value in _SPARING_OPTIONS:
            if not read_variable(variable) and f"glibc.malloc.{tunable}=" not in (
                read_variable("GLIBC_TUNABLES") or ""
            ):
                mallopt(option, value)
    outer = _is_sparing.set(True)
    try:
        with default_variable("ARROW_DEFAULT_MEMORY_POOL", "system"):
            yield
    finally:
        _is_sparing.reset(outer)


def is_sparing() -> bool:
    """Whether this is a command that spares memory."""
    return _is_sparing.get()


@dataclass(slots=True, eq=False)
class _Share:
    """Memory held by a caller, or by all batches together."""

    limit_bytes: int
    used_bytes: int = 0
    holders: int = 0  # open reservations

    def has_room(self, size_bytes: int) -> bool:
        return self.used_bytes + size_bytes <= self.limit_bytes


@dataclass(slots=True, eq=False)
class _Claim:
    """A request for memory."""

    size_bytes: int
    shares: tuple[_Share, ...]
    order: tuple[bool, int]  # requests before chunks of batches, then in order of arrival
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def queue(self) -> tuple[_Share, bool]:
        """The queue that it waits in: a caller's claims are granted one after the other."""
        return self.shares[-1], self.order[0]

    @property
    def is_due(self) -> bool:
        """Whether there is room for it in every share that it counts against."""
        return all(share.has_room(self.size_bytes) for share in self.shares)


class MemoryBudget:
    """How much memory everything in flight may take; belongs to one event loop, so it has no lock.

    Attributes:
        limit_bytes: how much it may take.
        caller_bytes: how much of it one caller may take.
        batches_bytes: how much of it chunks of batches may take.
        used_bytes: how much is taken now.
        refused: how many requests were refused because of it.
        wait_seconds: how long a request may wait for it, all its waiting together.
    """

    def __init__(self, limit_bytes: int = UNLIMITED, *, wait_seconds: float = _WAIT_SECONDS) -> None:
        """Start with nothing taken.

        Args:
            limit_bytes: how much memory there is.
            wait_seconds: how long a request may wait for it, all its waiting together.
        """
        self.limit_bytes = limit_bytes
        self.caller_bytes = int(limit_bytes * _CALLER_SHARE)
        self.batches_bytes = int(limit_bytes * _BATCHES_SHARE)
        self.used_bytes = 0
        self.refused = 0
        self.wait_seconds = wait_seconds
        self._batches = _Share(self.batches_bytes)
        self._callers: dict[str, _Share] = {}
        self._queues: dict[tuple[_Share, bool], deque[_Claim]] = {}
        self._claims = 0

    @contextmanager
    def reservation(self, caller: str) -> Generator[Reservation]:
        """Give a request its reservation, which is empty at first and is freed afterwards.

        Args:
            caller: whose share it counts against.
        """
        with self._share_of(caller) as share:
            reservation = Reservation(self, share)
            try:
                yield reservation
            finally:
                self._free((share,), reservation.held_bytes)

    @asynccontextmanager
    async def chunk(self, owner: str, size_bytes: int) -> AsyncGenerator[None]:
        """Hold the memory of a chunk of a batch during the block, and wait for it as long as it takes.

        Requests go first. A chunk that is larger than what batches may take waits until it has all of that.

        Args:
            owner: whose share it counts against, too; "" for anonymous callers.
            size_bytes: what the chunk needs.
        """
        size_bytes = min(size_bytes, self.batches_bytes)
        with self._share_of(owner) as caller:
            shares = (self._batches, caller) if owner else (self._batches,)
            await self._take(size_bytes, shares, wait_seconds=None)
            try:
                yield
            finally:
                self._free(shares, size_bytes)

    async def take(self, size_bytes: int, share: _Share, wait_seconds: float) -> None:
        """Take memory for a request, after a short wait if there is not enough.

        Raises:
            Overloaded: there is still not enough.
        """
        try:
            await self._take(size_bytes, (share,), wait_seconds=wait_seconds)
        except TimeoutError:
            self.refused += 1
            is_own = not share.has_room(size_bytes)
            whose, limit = ("one caller", self.caller_bytes) if is_own else ("requests", self.limit_bytes)
            raise Overloaded(
                f"The server's memory for {whose} ({limit} bytes) is used up: try again, or send less.",
                retry_after_seconds=_RETRY_SECONDS,
            ) from None

    def figures(self) -> Iterable[Figure]:
        """Return the size and the use of the budget, for metrics."""
        waiting = sum(map(len, self._queues.values()))
        yield Figure(name="memory_budget_bytes", summary="Memory for everything in flight.", value=self.limit_bytes)
        yield Figure(name="memory_used_bytes", summary="Memory that is taken.", value=self.used_bytes)
        yield Figure(
            name="memory_batches_bytes",
            summary="The part of it that chunks of batches have.",
            value=self._batches.used_bytes,
        )
        yield Figure(name="memory_waiting", summary="Requests and chunks that wait for memory.", value=waiting)
        yield Figure(
            name="memory_refusals",
            summary="Requests refused because the budget was used up or too small.",
            value=self.refused,
            is_total=True,
        )

    @contextmanager
    def _share_of(self, caller: str) -> Generator[_Share]:
        """Give a caller's share, which is forgotten when nobody uses it."""
        share = self._callers.setdefault(caller, _Share(self.caller_bytes))
        share.holders += 1
        try:
            yield share
        finally:
            share.holders -= 1
            if not share.holders:
                del self._callers[caller]

    async def _take(self, size_bytes: int, shares: tuple[_Share, ...], *, wait_seconds: float | None) -> None:
        self._claims += 1
        claim = _Claim(size_bytes, shares, (wait_seconds is None, self._claims))
        self._queues.setdefault(claim.queue, deque()).append(claim)
        self._grant()
        if claim.turn.done():
            return
        try:
            async with asyncio.timeout(wait_seconds):
                await claim.turn
        except BaseException:
            self._give_up(claim)
            raise

    def _grant(self) -> None:
        """Grant what is due, in order, for as long as there is room."""
        while (first := self._first()) is not None and self.used_bytes + first.size_bytes <= self.limit_bytes:
            self._leave_queue(first)
            if not first.turn.done():
                self._use(first.shares, first.size_bytes)
                first.turn.set_result(None)

    def _first(self) -> _Claim | None:
        due = [queue[0] for queue in self._queues.values() if queue[0].is_due]
        return min(due, key=lambda claim: claim.order, default=None)

    def _give_up(self, claim: _Claim) -> None:
        if claim.turn.done() and not claim.turn.cancelled():  # its turn came at the same moment
            self._free(claim.shares, claim.size_bytes)
        elif claim in self._queues.get(claim.queue, ()):
            self._leave_queue(claim)
            self._grant()

    def _leave_queue(self, claim: _Claim) -> None:
        queue = self._queues[claim.queue]
        queue.remove(claim)
        if not queue:
            del self._queues[claim.queue]

    def _use(self, shares: tuple[_Share, ...], size_bytes: int) -> None:
        self.used_bytes += size_bytes
        for share in shares:
            share.used_bytes += size_bytes

    def _free(self, shares: tuple[_Share, ...], size_bytes: int) -> None:
        self._use(shares, -size_bytes)
        self._grant()


class Reservation:
    """What one request has taken of the budget.

    Attributes:
        held_bytes: how much it is.
    """

    def __init__(self, budget: MemoryBudget, share: _Share) -> None:
        """Begin with nothing; `MemoryBudget.reservation` makes it."""
        self._budget = budget
        self._share = share
        self._wait_seconds = budget.wait_seconds
        self.held_bytes = 0

    async def grow(self, more_bytes: int, what: str) -> None:
        """Take more.

        Args:
            more_bytes: how much more.
            what: what it is for, in words for an error.

        Raises:
            InvalidRequest: the request alone needs more than one caller may hold.
            Overloaded: others, or other requests of the same caller, take what it needs.
        """
        if self.held_bytes + more_bytes > self._budget.caller_bytes:
            self._budget.refused += 1
            raise InvalidRequest(
                f"The {what} of this request would take {more_bytes} bytes of memory, and one caller may take "
                f"{self._budget.caller_bytes} of this server's {self._budget.limit_bytes}. Send less at once."
            )
        started = time.monotonic()
        await self._budget.take(more_bytes, self._share, self._wait_seconds)
        self.held_bytes += more_bytes
        self._wait_seconds -= time.monotonic() - started
