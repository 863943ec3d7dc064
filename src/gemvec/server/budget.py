"""One memory budget for all requests in flight: their bodies, the objects of their JSON, and answers.

Every request has a `Reservation` that grows with what the request needs and ends with it. A request that does not fit
waits briefly for others to finish, in order, and is then refused with the time after which to try again.
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

# The share of the process' memory; the model, the interpreter and batches need the rest.
_SHARE = 0.4
_WAIT_SECONDS = 2.0
_RETRY_SECONDS = 2.0

_UNLIMITED = 2**62

# Bodies up to this size are not counted; `--max-connections` bounds them together.
FREE_BYTES = 16 * 1024
# The memory of an upload: a block of its body, and the pieces that the block is made of.
STREAM_BYTES = 2 * BLOCK_BYTES
# Measured memory of JSON as Python objects: each object or list, and each value after the first.
_CONTAINER_BYTES, _VALUE_BYTES = 240, 64
# A vector's value in an answer: a float32, its JSON, and the JSON again in the whole answer.
ANSWER_VALUE_BYTES = 26


class MemoryBudget:
    """How much memory requests may take together; belongs to one event loop, so it has no lock.

    Attributes:
        limit_bytes: how much they may take.
        used_bytes: how much they take now.
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
        """Give a request its reservation, which is empty at first and is freed afterwards."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self._free(reservation.held_bytes)

    def figures(self) -> Iterable[Figure]:
        """Return the size and the use of the budget, for metrics."""
        yield Figure(name="memory_budget_bytes", summary="Memory for requests in flight.", value=self.limit_bytes)
        yield Figure(name="memory_used_bytes", summary="Memory that they use.", value=self.used_bytes)
        yield Figure(
            name="memory_refusals",
            summary="Requests refused because the budget was used up or too small.",
            value=self.refused,
            is_total=True,
        )

    async def take(self, wanted: int) -> None:
        """Take memory, after a short wait if there is not enough.

        Raises:
            Overloaded: there is still not enough.
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
                f"The server's memory for requests ({self.limit_bytes} bytes) is used up: try again, or send less.",
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
            what: what it is for, in words for an error.

        Raises:
            InvalidRequest: the request alone needs more than the whole budget.
            Overloaded: other requests take what it needs.
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
    """Estimate the memory of a body's JSON as objects; brackets and commas inside texts make the estimate too large."""
    containers = body.count(b"{") + body.count(b"[")
    return len(body) + containers * _CONTAINER_BYTES + body.count(b",") * _VALUE_BYTES


def budget_bytes(settings: Settings) -> int:
    """Return the budget from the settings, or a share of the memory that this process may have."""
    return settings.memory_budget or int(_SHARE * available_bytes())


def available_bytes(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory that this process may have: that of its control groups or limits, or of the machine."""
    return min(_machine_bytes(), _address_space_bytes(), *_cgroup_limits(proc, root))


def _cgroup_limits(proc: Path, root: Path) -> Iterator[int]:
    """Yield the limits of this process' control group and of its parents, in either version of the interface."""
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
