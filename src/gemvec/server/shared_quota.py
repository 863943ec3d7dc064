"""`SharedMeter`: rate limits of callers whose calls go to several servers, counted in the database that these share.

A server takes a share of what a window has left, a 64th of the limit or what the call needs, and counts within it by
itself. So a key never gets more than its limit from all servers together. It may be refused when up to a 64th of the
limit is unused at each of the other servers. Windows are those of `QuotaMeter`, on the database's clock.

While the database does not answer, embedding goes on and each server counts by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from gemvec.errors import StorageFailure
from gemvec.server.quota import Quota, exceeded
from gemvec.storage.database import Database
from gemvec.storage.rates import Asked, Share, Window, give_back, limit_waiting, take_shares
from gemvec.storage.threads import in_key_thread

_SHARES_OF_A_LIMIT = 64
# How long it counts what others had left: then a server may have given something back.
_KNOWN_SECONDS = 1.0
# How long a database that did not answer is not asked again; a call that asks may wait as long.
_ALONE_SECONDS = 5.0
_MAX_WINDOWS = 10_000  # ended windows are dropped when there are more


@dataclass(slots=True)
class _Held:
    """What this server knows of one window."""

    closes_at: float  # on the meter's clock
    ends_at: int | None = None  # on the database's clock; None if it was not asked
    unspent: int = 0  # taken and not yet used
    spent: int = 0  # used here
    limit: int = 0  # when the database was asked
    left: int = 0  # what the database had left then
    known_until: float = 0.0  # on the meter's clock

    def fits(self, cost: int, quota: Quota, now: float) -> bool:
        """Say whether so much may fit, as far as is known."""
        is_known = now < self.known_until and self.limit == quota.limit
        return cost <= quota.limit and (not is_known or cost <= self.unspent + self.left)

    def covers(self, cost: int, quota: Quota) -> bool:
        """Say whether what is held is enough; what was taken under another limit is not used."""
        return self.unspent >= cost and self.limit == quota.limit

    def ask(self, window: Window, quota: Quota, cost: int) -> Asked:
        """Return the question for a share that covers the cost; what is held goes back with it."""
        unused, self.unspent = self.unspent, 0
        return Asked(
            window=window,
            needed=cost,
            wanted=max(cost, quota.limit // _SHARES_OF_A_LIMIT),
            limit=quota.limit,
            seconds=quota.window_seconds,
            unused=unused,
            ends_at=self.ends_at,
        )

    def take(self, share: Share, quota: Quota, asked_at: float, answered_at: float) -> None:
        """Hold what the database gave between these two moments of the meter's clock."""
        if self.ends_at != share.ends_at:  # another window
            self.ends_at, self.spent = share.ends_at, 0
        self.unspent = share.taken
        self.closes_at = asked_at + share.seconds_left  # the database's end, or a little earlier
        self.limit, self.left, self.known_until = quota.limit, share.left, answered_at + _KNOWN_SECONDS

    def take_alone(self, cost: int, quota: Quota, unused: int, now: float) -> None:
        """Hold what covers the cost while the database does not answer: the limit is then that of this server."""
        free = quota.limit - self.spent
        self.unspent = max(cost, min(unused, free)) if cost <= free else 0
        self.limit, self.left, self.known_until = quota.limit, free - self.unspent, now + _KNOWN_SECONDS


class SharedMeter:
    """Counts in PostgreSQL what callers use of their quotas, for one event loop; a `Meter`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._held: dict[Window, _Held] = {}
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._alone_until = float("-inf")

    async def spend(self, caller: str, model: str, quotas: Sequence[Quota], *, requests: int, tokens: int) -> None:
        """See `Meter.spend`."""
        costs = {"requests": requests, "tokens": tokens}
        while True:
            self.check(caller, model, quotas, requests=requests, tokens=tokens)
            held = [(each, self._find(caller, model, each)) for each in quotas]
            if all(window.covers(costs[quota.unit], quota) for quota, window in held):
                break
            await self._take(caller, model, [(each, costs[each.unit]) for each in quotas])
        for quota, window in held:
            window.unspent -= costs[quota.unit]
            window.spent += costs[quota.unit]

    def check(self, caller: str, model: str, quotas: Sequence[Quota], *, requests: int, tokens: int) -> None:
        """See `Meter.check`."""
        now, costs = self._clock(), {"requests": requests, "tokens": tokens}
        held = [(each, self._find(caller, model, each)) for each in quotas]
        full = [(quota, window) for quota, window in held if not window.fits(costs[quota.unit], quota, now)]
        if full:
            seconds = max(window.closes_at for _, window in full) - now
            too_large = [quota for quota, _ in full if costs[quota.unit] > quota.limit]
            raise exceeded(model, [quota for quota, _ in full], seconds, too_large, costs)

    async def give_back(self) -> None:
        """Let the other servers use what this one has not; called when it stops."""
        now = self._clock()
        unspent = {window: held for window, held in self._held.items() if held.closes_at > now and held.unspent}
        with suppress(StorageFailure):  # it counts as used until the windows end
            await in_key_thread(self._write_back, unspent)

    async def _take(self, caller: str, model: str, wanted: Sequence[tuple[Quota, int]]) -> None:
        """Take what is missing; afterwards it is held, or known not to fit."""
        lock = self._asking.setdefault(caller, asyncio.Lock())
        async with lock:  # calls that come together ask once
            found = [(quota, cost, self._find(caller, model, quota)) for quota, cost in wanted]
            if not all(held.fits(cost, quota, self._clock()) for quota, cost, held in found):
                return
            lacking = [each for each in found if not each[2].covers(each[1], each[0])]
            asked = [held.ask(_window(caller, model, quota), quota, cost) for quota, cost, held in lacking]
            asked_at = self._clock()
            shares = await self._ask_database(asked)
            answered_at = self._clock()
            for (quota, cost, held), question, share in zip(lacking, asked, shares, strict=True):
                if share is None:
                    held.take_alone(cost, quota, question.unused, answered_at)
                else:
                    held.take(share, quota, asked_at, answered_at)

    async def _ask_database(self, asked: Sequence[Asked]) -> Sequence[Share | None]:
        """Return what the database gives; None for each if it does not answer."""
        if asked and self._clock() >= self._alone_until:
            try:
                return await in_key_thread(self._read_shares, asked)
            except StorageFailure:
                self._alone_until = self._clock() + _ALONE_SECONDS
        return [None] * len(asked)

    def _read_shares(self, asked: Sequence[Asked]) -> list[Share]:
        with self._transaction() as connection:
            return take_shares(connection, asked)

    def _write_back(self, unspent: dict[Window, _Held]) -> None:
        with self._transaction() as connection:
            for window, held in sorted(
                unspent.items(), key=lambda each: (each[0].owner, each[0].model, each[0].quota_id)
            ):
                if held.ends_at is not None:
                    give_back(connection, window, held.ends_at, held.unspent)

    @contextmanager
    def _transaction(self) -> Generator[Connection]:
        with self._database.join() as connection:  # also while the others take this server for dead
            limit_waiting(connection)
            yield connection

    def _find(self, caller: str, model: str, quota: Quota) -> _Held:
        now = self._clock()
        if len(self._held) > _MAX_WINDOWS:
            self._held = {window: held for window, held in self._held.items() if held.closes_at > now}
        window = _window(caller, model, quota)
        held = self._held.get(window)
        if held is None or held.closes_at <= now:
            held = self._held[window] = _Held(now + quota.window_seconds)
        return held


def _window(caller: str, model: str, quota: Quota) -> Window:
    return Window(owner=caller, model=model if quota.is_per_model else "", quota_id=quota.quota_id)
