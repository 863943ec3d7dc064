"""Several servers on one PostgreSQL and one object store: who is there, who is gone, and who sweeps.

Each server has a row with a number that grows while it lives. A server counts as dead once others have watched for the
length of a lease and the number stayed the same. Only the watchers' own time counts: no clock is compared with another,
and a pause of the database or of the watcher ends every watch. The server that finds another dead removes its row, in
the transaction that gives back what that server had claimed. Each transaction that writes checks that the row is still
there. So a server that was only paused changes nothing more under its old token; it joins again under a new one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, update

from gemvec.errors import StorageFailure
from gemvec.logs import get_logger
from gemvec.storage.database import Database
from gemvec.storage.durable import translate_os_errors, write_durably
from gemvec.storage.schema import arrivals, servers

SERVER_ID_NAME = "gemvec.server"
_BEATS_A_LEASE = 6

_log = get_logger("storage")


class Membership:
    """One server among those that share a store.

    Attributes:
        beat_seconds: how often to call `beat`.
        is_first: whether this server sweeps; as of the last beat.
    """

    def __init__(
        self, database: Database, server_id: str, *, lease_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Do not join yet.

        Args:
            database: PostgreSQL.
            server_id: from `server_id_of`; nobody else has it.
            lease_seconds: how long another server may be silent.
            clock: measures time in seconds.
        """
        self.beat_seconds = lease_seconds / _BEATS_A_LEASE
        self.is_first = False
        self._database = database
        self._server_id = server_id
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._token = ""
        self._watched: dict[str, tuple[int, float]] = {}  # token -> its beats, and since when they are the same
        self._looked_at = clock()

    def join(self) -> None:
        """Take a new token; from then on this server may write.

        Raises:
            StorageFailure: the database cannot be used.
        """
        token = secrets.token_hex(16)
        self._database.share(token)
        self._token = token  # before others can see it: `find_dead` may run at the same time
        with self._database.join() as connection:
            connection.execute(insert(servers).values(server_id=self._server_id, token=token, beats=0))

    def beat(self) -> None:
        """Show that this server is alive, or join again if the others took it for dead.

        Raises:
            StorageFailure: the database cannot be used.
        """
        try:
            with self._database.join() as connection:
                mine = update(servers).where(servers.c.token == self._token).values(beats=servers.c.beats + 1)
                is_member = connection.execute(mine).rowcount > 0
                first = connection.scalar(select(servers.c.token).order_by(servers.c.number).limit(1))
        except StorageFailure:
            self._watched.clear()
            raise
        self.is_first = first == self._token
        if not is_member:
            _log.warning("the other servers took this one for dead; it joins again")
            self.join()

    def find_dead(self) -> list[str]:
        """Return the tokens of servers that have been silent for a lease, and of this server's earlier lives.

        Raises:
            StorageFailure: the database cannot be read.
        """
        try:
            with self._database.read() as connection:
                found = list(connection.execute(select(servers.c.token, servers.c.server_id, servers.c.beats)))
        except StorageFailure:
            self._watched.clear()
            raise
        now = self._clock()
        if now - self._looked_at > self._lease_seconds / 2:  # maybe nobody could beat for so long
            self._watched.clear()
        self._looked_at = now
        others = {row.token: row.beats for row in found if row.token != self._token}
        self._watched = {token: self._watch(token, beats, now) for token, beats in others.items()}
        silent = {token for token, (_, since) in self._watched.items() if now - since >= self._lease_seconds}
        own = {row.token for row in found if row.server_id == self._server_id and row.token != self._token}
        return sorted(silent | own)

    def _watch(self, token: str, beats: int, now: float) -> tuple[int, float]:
        before, since = self._watched.get(token, (-1, now))
        return beats, since if beats == before else now


def lock_server(connection: Connection, token: str) -> bool:
    """Lock the row of a server to remove it; return False if it is gone, or if a transaction of that server is open.

    It does not wait for that transaction: PostgreSQL ends it within a minute, and meanwhile other servers have to beat.
    """
    its_row = select(servers.c.token).where(servers.c.token == token)
    return connection.scalar(its_row.with_for_update(skip_locked=True)) is not None


def remove_server(connection: Connection, token: str) -> bool:
    """Remove the row of a server, and its arrivals; return whether it was there."""
    was_there = connection.execute(delete(servers).where(servers.c.token == token)).rowcount > 0
    connection.execute(delete(arrivals).where(arrivals.c.token == token))
    return was_there


def insert_arrival(connection: Connection, batch_id: str, token: str) -> None:
    """Note that the input of a batch is about to be stored."""
    connection.execute(insert(arrivals).values(batch_id=batch_id, token=token))


def delete_arrival(connection: Connection, batch_id: str) -> bool:
    """Forget an arrival; return False if it was forgotten before, and the input may be gone."""
    return connection.execute(delete(arrivals).where(arrivals.c.batch_id == batch_id)).rowcount > 0


def list_arrivals(connection: Connection) -> set[str]:
    """Return the ids of batches whose input is being stored."""
    return set(connection.scalars(select(arrivals.c.batch_id)))


def server_id_of(data_dir: Path) -> str:
    """Return the id of the server that holds a data folder; it is made at the first start.

    Raises:
        StorageFailure: the folder cannot be used.
    """
    path = data_dir / SERVER_ID_NAME
    with translate_os_errors():
        if path.exists():
            return path.read_text(encoding="ascii", errors="replace").strip()
    server_id = secrets.token_hex(8)
    write_durably(path, server_id.encode() + b"\n")
    return server_id
