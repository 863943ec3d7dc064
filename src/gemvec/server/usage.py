"""Counts the use of each API key: in memory, and every few seconds in the database.

After a kill, the last few seconds of interactive calls are not counted. Texts of batches are counted with their chunk.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from operator import itemgetter
from typing import cast

from sqlalchemy import select
from starlette.requests import Request

from gemvec.errors import StorageFailure
from gemvec.figures import Figure
from gemvec.storage.database import Database
from gemvec.storage.schema import keys
from gemvec.storage.threads import in_database_thread
from gemvec.storage.timestamps import utc_now
from gemvec.storage.usage import Usage, add_usage, read_usage

_FLUSH_SECONDS = 5.0
_FIGURES = {
    "calls": "Requests that came with a key, by its name.",
    "texts": "Texts embedded with it, including those of batches.",
    "tokens": "Tokens of these texts.",
}


class UsageMeter:
    """Counts for one database; safe from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._new: dict[str, Usage] = {}

    def note(self, owner: str, *, calls: int = 0, texts: int = 0, tokens: int = 0) -> None:
        """Count for an owner; callers without a key are not counted."""
        if owner:
            self._add({owner: Usage(calls=calls, texts=texts, tokens=tokens, last_used_at=utc_now())})

    def flush(self) -> None:
        """Write what was counted to the database; if another thread is writing it, wait until it is there.

        Raises:
            StorageFailure: it cannot be written; nothing is lost, and this can be called again.
        """
        with self._flushing:
            with self._lock:
                new, self._new = self._new, {}
            if not new:
                return
            try:
                with self._database.write() as connection:
                    for owner, used in sorted(new.items(), key=itemgetter(0)):  # all servers lock rows in one order
                        add_usage(connection, owner, used)
            except BaseException:
                self._add(new)
                raise

    def figures(self) -> Iterable[Figure]:
        """Return what every key has used, by its name.

        Raises:
            StorageFailure: the database cannot be used.
        """
        self.flush()
        with self._database.read() as connection:
            used = read_usage(connection)
            names: dict[str, str] = {row.key_id: row.name for row in connection.execute(select(keys))}
        return [
            Figure(name=f"key_{name}", summary=summary, value=getattr(each, name), is_total=True, labels={"key": key})
            for name, summary in _FIGURES.items()
            for key, each in ((names.get(owner, owner), each) for owner, each in used.items())
        ]

    @asynccontextmanager
    async def flushing(self) -> AsyncGenerator[None]:
        """Write every few seconds for as long as the context lasts, and at its end."""
        flusher = asyncio.create_task(self._flush_for_ever())
        try:
            yield
        finally:
            flusher.cancel()
            with suppress(asyncio.CancelledError):
                await flusher
            with suppress(StorageFailure):
                await in_database_thread(self.flush)

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            with suppress(StorageFailure):  # retried, and reported by the calls that need the database
                await in_database_thread(self.flush)

    def _add(self, more: Mapping[str, Usage]) -> None:
        with self._lock:
            for owner, used in more.items():
                known = self._new.get(owner)
                self._new[owner] = known.plus(used) if known else used


def usage_of(request: Request) -> UsageMeter:
    """Return the meter of the server that `request` came to."""
    return cast("UsageMeter", request.app.state.services.usage)
