"""What callers have used of their rates, for servers that share a database.

A server takes a share of what a window has left and counts within that share by itself, so few calls ask the database.
All moments are those of the database's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, cast, delete, extract, func, select, update

from gemvec.storage.schema import rate_windows

_SECOND = 1_000_000  # microseconds
# A window that ended is kept for so long, in case a server's clock is wrong.
_KEPT = timedelta(days=1)
# Rows are held for a few milliseconds, unless the server that holds them was paused. The threads that wait here also
# show the other servers that this one is alive.
_LOCK_MILLISECONDS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is counted together: one rate of one caller, for one model or for all.

    Attributes:
        owner: whose calls.
        model: which model's; empty for all together.
        quota_id: the name of the rate.
    """

    owner: str
    model: str
    quota_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A share that a server asks for.

    Attributes:
        window: of what.
        needed: the least that is of use; nothing is taken if less is left.
        wanted: how much to take if there is so much.
        limit: how much the window holds.
        seconds: how long a window is.
        unused: what the server has of an earlier share and gives back first.
        ends_at: of the window of that share; None if there is no earlier share.
    """

    window: Window
    needed: int
    wanted: int
    limit: int
    seconds: float
    unused: int = 0
    ends_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a server got.

    Attributes:
        taken: how much; 0 if too little was left.
        left: how much is left for everybody.
        ends_at: when the window ends, in microseconds of the database's clock; tells one window from the next.
        seconds_left: how long until then.
    """

    taken: int
    left: int
    ends_at: int
    seconds_left: float


def limit_waiting(connection: Connection) -> None:
    """Let this transaction fail, instead of waiting, when another server holds rows for longer than usual."""
    connection.execute(select(func.set_config("lock_timeout", f"{_LOCK_MILLISECONDS}ms", True)))


def take_shares(connection: Connection, asked: Sequence[Asked]) -> list[Share]:
    """Take shares of windows, in one transaction; a window that has ended, or is not there, begins now.

    Args:
        connection: to PostgreSQL.
        asked: of one caller.
    """
    from sqlalchemy.dialects.postgresql import insert  # a server on SQLite never needs it, and it takes 20 ms to load

    table = rate_windows
    for each in sorted(asked, key=lambda one: (one.window.model, one.window.quota_id)):  # one order of locks for all
        row = {"owner": each.window.owner, "model": each.window.model, "quota_id": each.window.quota_id}
        new = insert(table).values(**row, ends_at=0, used=0)
        # An update that changes nothing locks the row, whether it was there or not.
        connection.execute(new.on_conflict_do_update(index_elements=list(row), set_={"used": table.c.used}))
    now = connection.scalar(select(cast(extract("epoch", func.clock_timestamp()) * _SECOND, BigInteger))) or 0
    return [_take(connection, each, now) for each in asked]


def _take(connection: Connection, asked: Asked, now: int) -> Share:
    its_row = _is(asked.window)
    ends_at, used = connection.execute(select(rate_windows.c.ends_at, rate_windows.c.used).where(its_row)).one()
    if ends_at <= now:
        ends_at, used = now + int(asked.seconds * _SECOND), 0
    if ends_at == asked.ends_at:
        used -= asked.unused
    left = max(asked.limit - used, 0)
    taken = 0 if left < asked.needed else min(asked.wanted, left)
    connection.execute(update(rate_windows).where(its_row).values(ends_at=ends_at, used=used + taken))
    return Share(taken=taken, left=left - taken, ends_at=ends_at, seconds_left=(ends_at - now) / _SECOND)


def give_back(connection: Connection, window: Window, ends_at: int, unused: int) -> None:
    """Give back what a server took of a window and has not used; too late if the window has ended."""
    same = _is(window) & (rate_windows.c.ends_at == ends_at)
    connection.execute(update(rate_windows).where(same).values(used=rate_windows.c.used - unused))


def forget_ended_windows(connection: Connection, now: datetime) -> int:
    """Remove windows that ended long ago; return how many."""
    last = int((now - _KEPT).timestamp() * _SECOND)
    return connection.execute(delete(rate_windows).where(rate_windows.c.ends_at < last)).rowcount


def _is(window: Window) -> ColumnElement[bool]:
    table = rate_windows.c
    return and_(table.owner == window.owner, table.model == window.model, table.quota_id == window.quota_id)
