"""One budget of memory for everything in flight: bodies, what becomes of their JSON, and answers.

Every request has a `Reservation` that grows as it learns what it needs and ends with it. What does not fit waits
briefly for others to finish, in the order of asking, and is then refused with the time to try again.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.requests import Request

from gemvec.errors import InvalidRequest, Overloaded
from gemvec.figures import Figure
from gemvec.files.content import BLOCK_BYTES
from gemvec.settings import Settings

# The share of what the process may have; the model, the interpreter and batches need the rest.
_SHARE = 0.4
_WAIT_SECONDS = 2.0
_RETRY_SECONDS = 2.0

_UNLIMITED = 2**62

# Bodies up to here are not worth counting; `--max-connections` bounds them together.
FREE_BYTES = 16 * 1024
# What an upload holds of its body: a block, and the pieces it is made of.
STREAM_BYTES = 2 * BLOCK_BYTES
# What JSON costs as Python objects, measured: each object or list, and each value beside the first.
_CONTAINER_BYTES, _VALUE_BYTES = 240, 64
# A vector's value in an answer: a float32, its JSON, and the same once more in the whole.
ANSWER_VALUE_BYTES = 26


class MemoryBudget:
    """How much memory requests may take together; one event loop's, so no lock.

    Attributes:
        limit_bytes: what they may take.
        used_bytes: what they take now.
        refused: how many requests were refused because of it.
    """

    def __init__(self, limit_bytes: int, *, wait_seconds: float = _WAIT_SECONDS) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.refused = 0
        self._wait_seconds = wait_seconds
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextmanager
    def reservation(self) -> Generator[Reservation]:
        """Give a request its reservation, empty at first; what it holds is free again afterwards."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self._free(reservation.held_bytes)

    def figures(self) -> Iterable[Figure]:
        """Return how much there is and is taken, for metrics."""
        yield Figure(name="memory_budget_bytes", summary="Memory for requests in flight.", value=self.limit_bytes)
        yield Figure(name="memory_used_bytes", summary="What they take of it.", value=self.used_bytes)
        yield Figure(
            name="memory_refusals",
            summary="Requests that were refused because it was taken or too small.",
            value=self.refused,
            is_total=True,
        )

    async def take(self, wanted: int) -> None:
        """Take memory, after a short wait where it is not there.

        Raises:
            Overloaded: it is still not there.
        """
        if not self._waiting and self.used_bytes + wanted <= self.limit_bytes:
            self.used_bytes += wanted
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (wanted, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            self._give_up(entry)
            if not isinstance(error, TimeoutError):
                raise
            self.refused += 1
            raise Overloaded(
                f"The server's memory for requests ({self.limit_bytes} bytes) is taken; try again soon, or send less.",
                retry_after_seconds=_RETRY_SECONDS,
            ) from None

    def _give_up(self, entry: tuple[int, asyncio.Future[None]]) -> None:
        wanted, turn = entry
        if turn.done() and not turn.cancelled():  # its turn came at the same moment
            self._free(wanted)
        elif entry in self._waiting:
            self._waiting.remove(entry)
            self._free(0)

    def _free(self, size: int) -> None:
        self.used_bytes -= size
        while self._waiting and self.used_bytes + self._waiting[0][0] <= self.limit_bytes:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self.used_bytes += wanted
                turn.set_result(None)


class Reservation:
    """What one request has taken of the budget.

    Attributes:
        held_bytes: how much it is.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.held_bytes = 0

    async def grow(self, more_bytes: int, what: str) -> None:
        """Take more.

        Args:
            more_bytes: how much more.
            what: what it is for, as an error says it.

        Raises:
            InvalidRequest: the request alone needs more than there is for all.
            Overloaded: others take what it needs.
        """
        limit_bytes = self._budget.limit_bytes
        if self.held_bytes + more_bytes > limit_bytes:
            self._budget.refused += 1
            raise InvalidRequest(
                f"The {what} of this request would take {more_bytes} bytes of memory, and this server has "
                f"{limit_bytes} for all requests together. Send less at once."
            )
        await self._budget.take(more_bytes)
        self.held_bytes += more_bytes


def reservation_of(request: Request) -> Reservation:
    """Return the reservation of `request`."""
    reservation: Reservation = request.scope["state"]["memory"]
    return reservation


def json_bytes(body: bytes) -> int:
    """Estimate the memory that a body's JSON takes as objects; brackets and commas inside texts make it too large."""
    containers = body.count(b"{") + body.count(b"[")
    return len(body) + containers * _CONTAINER_BYTES + body.count(b",") * _VALUE_BYTES


def budget_bytes(settings: Settings) -> int:
    """Return the budget that the settings say, or a share of what this process may have."""
    return settings.memory_budget or int(_SHARE * available_bytes())


def available_bytes(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory that this process may have: of its control groups or its limits, else of the machine."""
    return min(_machine_bytes(), _address_space_bytes(), *_cgroup_limits(proc, root))


def _cgroup_limits(proc: Path, root: Path) -> Iterator[int]:
    """Yield the limits of this process' control group and of those around it, in either version of the interface."""
    lines = proc.read_text().splitlines() if proc.is_file() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        folder = top / path.lstrip("/")
        for each in (folder, *folder.parents):
            yield _read_limit(each / name)
            if each == top:
                break
    yield _UNLIMITED


def _read_limit(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return _UNLIMITED
    return int(text) if text.isdecimal() and int(text) > 0 else _UNLIMITED


def _address_space_bytes() -> int:
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return _UNLIMITED
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def _machine_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        return _UNLIMITED
