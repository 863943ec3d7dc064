"""What each owner has used: since its first call, and on each day.

What an owner has used is written every few seconds, as a whole, to the day of its last use: what it used in the last
seconds before midnight may count for the next day. While the database cannot be written, the use is kept in memory.
After such an outage over midnight, all of it counts for the day of the last use, so a day may have that of the day
before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from gemvec.storage.schema import usage, usage_days

# How long the use of a day is kept: a year can be compared with the one before.
KEPT_DAYS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one owner has used.

    Attributes:
        calls: requests that came with its key.
        texts: texts embedded, including those of batches.
        tokens: tokens of these texts.
        last_used_at: when it was last used, aware UTC.
    """

    calls: int = 0
    texts: int = 0
    tokens: int = 0
    last_used_at: datetime

    def plus(self, other: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(
            calls=self.calls + other.calls,
            texts=self.texts + other.texts,
            tokens=self.tokens + other.tokens,
            last_used_at=max(self.last_used_at, other.last_used_at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUsage:
    """What one owner has used on one day.

    Attributes:
        owner: who.
        day: of UTC.
        calls: requests that came with its key.
        texts: texts embedded, including those of batches.
        tokens: tokens of these texts.
    """

    owner: str
    day: date
    calls: int = 0
    texts: int = 0
    tokens: int = 0


def add_usage(connection: Connection, owner: str, more: Usage) -> None:
    """Add to an owner's counts, and to those of the day of its last use."""
    counts = {"calls": more.calls, "texts": more.texts, "tokens": more.tokens}
    _add(connection, usage, {"owner": owner}, counts, last_used_at=more.last_used_at)
    _add(connection, usage_days, {"owner": owner, "day": more.last_used_at.date().isoformat()}, counts)


def _add(
    connection: Connection, table: Table, place: Mapping[str, str], counts: Mapping[str, int], **latest: Any
) -> None:
    """Add `counts` to the row at `place`, which is made if there is none, and set `latest` there."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    added = {name: table.c[name] + count for name, count in counts.items()}
    statement = insert(table).values(**place, **counts, **latest)
    connection.execute(statement.on_conflict_do_update(index_elements=list(place), set_={**added, **latest}))


def read_usage(connection: Connection) -> dict[str, Usage]:
    """Return what every owner has used."""
    return {
        row.owner: Usage(calls=row.calls, texts=row.texts, tokens=row.tokens, last_used_at=row.last_used_at)
        for row in connection.execute(select(usage))
    }


def read_days(connection: Connection, owner: str | None = None) -> list[DayUsage]:
    """Return the use of every day on which there was any, the oldest first; of one owner, or of all."""
    query = select(usage_days).order_by(usage_days.c.day, usage_days.c.owner)
    if owner is not None:
        query = query.where(usage_days.c.owner == owner)
    return [
        DayUsage(owner=row.owner, day=date.fromisoformat(row.day), calls=row.calls, texts=row.texts, tokens=row.tokens)
        for row in connection.execute(query)
    ]


def forget_old_days(connection: Connection, now: datetime) -> int:
    """Remove the use of days that are no longer kept; return how many rows that were."""
    first = (now - timedelta(days=KEPT_DAYS)).date().isoformat()
    return connection.execute(delete(usage_days).where(usage_days.c.day < first)).rowcount


def forget_usage(connection: Connection, owner: str) -> None:
    """Remove an owner's counts."""
    for table in (usage, usage_days):
        connection.execute(delete(table).where(table.c.owner == owner))
