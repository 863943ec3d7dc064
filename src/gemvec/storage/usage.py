"""What each owner has used since its first call: calls, texts, tokens, and when it was last seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from gemvec.storage.schema import usage


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


def add_usage(connection: Connection, owner: str, more: Usage) -> None:
    """Add to an owner's counts."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    counts = {"calls": more.calls, "texts": more.texts, "tokens": more.tokens}
    statement = insert(usage).values(owner=owner, last_used_at=more.last_used_at, **counts)
    added = {name: usage.c[name] + count for name, count in counts.items()}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[usage.c.owner], set_={**added, "last_used_at": more.last_used_at}
        )
    )


def read_usage(connection: Connection) -> dict[str, Usage]:
    """Return what every owner has used."""
    return {
        row.owner: Usage(calls=row.calls, texts=row.texts, tokens=row.tokens, last_used_at=row.last_used_at)
        for row in connection.execute(select(usage))
    }


def forget_usage(connection: Connection, owner: str) -> None:
    """Remove an owner's counts."""
    connection.execute(delete(usage).where(usage.c.owner == owner))
