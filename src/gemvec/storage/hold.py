"""Which data folder belongs to which database, and which server may write.

A store has an id, in a row of its database and in a file of its data folder. A server refuses an empty folder and the
folder of another store, so that it never counts as lost what is elsewhere. A server that starts puts its own token into
the same row. On PostgreSQL a server's lock ends with its connection, so each transaction that writes checks the token:
a server that has lost its lock without knowing it changes nothing more.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, text, update

from gemvec.errors import StoreMismatch
from gemvec.logs import get_logger
from gemvec.storage.database import Database
from gemvec.storage.durable import Place, translate_os_errors, write_durably
from gemvec.storage.places import list_names
from gemvec.storage.schema import store
from gemvec.storage.timestamps import utc_now

STORE_ID_NAME = "gemvec.store"
# Longer than a weekend; whatever should have expired meanwhile is gone after the start.
_LONG = timedelta(days=3)
_log = get_logger("storage")
# Of servers that start together, the first one makes the id of the store.
_ONE_BY_ONE = text("LOCK TABLE store IN SHARE ROW EXCLUSIVE MODE")
_CONTENT_FOLDERS = ("files", "batches")


def take_store(database: Database, folder: Place, *, is_shared: bool = False) -> None:
    """Check that a data folder and a database belong together, or make them; from then on this server may write.

    Args:
        database: held by this process.
        folder: the data folder, which exists, or a place in an object store.
        is_shared: other servers use both too; `servers.py` says who may write.

    Raises:
        StoreMismatch: they do not belong together; the message says which file decides.
        StorageFailure: one of them cannot be used.
    """
    token = secrets.token_hex(16)
    with database.write(is_way_out=True) as connection:
        if is_shared:
            connection.execute(_ONE_BY_ONE)
        in_folder = _read_id(folder)  # after the lock: another server may have made it just now
        known = connection.execute(select(store)).one_or_none()
        store_id = known and known.store_id
        if known is None:
            _begin(connection, folder, in_folder, token)
        elif store_id != in_folder:
            found = f"is that of store {in_folder}" if in_folder else "is not: it has no such file"
            raise StoreMismatch(
                f"The database belongs to store {store_id}. The data folder {folder} {found} ({STORE_ID_NAME}). "
                "Give the folder that belongs to the database, or another database."
            )
        else:
            _notice_gap(known.seen_at)
            connection.execute(update(store).values(token=token, seen_at=utc_now()))
    if not is_shared:
        database.fence(token)


def note_moment(database: Database) -> None:
    """Record the present moment, so that the next start notices if the clock was set; call it now and then."""
    with database.write() as connection:
        connection.execute(update(store).values(seen_at=utc_now()))


def _notice_gap(seen_at: datetime) -> None:
    """Log what is odd about the clock, and never go back to a moment before one that has passed."""
    gap = utc_now() - seen_at
    if gap < timedelta(0):
        utc_now.start_no_earlier_than(seen_at)
        _log.warning("the clock is behind the moment a server last ran; that moment counts", extra=_told(seen_at, -gap))
    elif gap > _LONG:
        _log.warning("no server ran for long, or the clock was set; what is old expires", extra=_told(seen_at, gap))


def _told(seen_at: datetime, gap: timedelta) -> dict[str, object]:
    return {"last_ran_at": seen_at.isoformat(), "hours": round(gap.total_seconds() / 3600, 1)}


def read_store_id(database: Database) -> str:
    """Return the id of the store whose database it is, after `take_store`."""
    with database.read() as connection:
        return connection.execute(select(store.c.store_id)).scalar_one()


def has_store_id(folder: Place) -> bool:
    """Return whether a data folder has the id of a store, which it lacks if its file system is not mounted."""
    return (folder / STORE_ID_NAME).exists()


def holds_store(folder: Place, store_id: str) -> bool:
    """Return whether a data folder has this id: not if its file system is not mounted, or if it is another store's.

    Raises:
        StorageFailure: the folder cannot be read.
    """
    return _read_id(folder) == store_id


def _begin(connection: Connection, folder: Place, in_folder: str | None, token: str) -> None:
    """Make an id for a database that has none, on both sides."""
    if in_folder is not None and _has_content(folder):
        raise StoreMismatch(
            f"The data folder {folder} belongs to store {in_folder}, and the database to none. Give the database that "
            f"belongs to the folder, or another folder to start a new store."
        )
    store_id = in_folder or secrets.token_hex(8)
    write_durably(folder / STORE_ID_NAME, store_id.encode() + b"\n")
    connection.execute(insert(store).values(store_id=store_id, token=token, seen_at=utc_now()))


def _has_content(folder: Place) -> bool:
    with translate_os_errors():
        return any(_has_names(folder / name) for name in _CONTENT_FOLDERS)


def _has_names(folder: Place) -> bool:
    try:
        return bool(list_names(folder))
    except FileNotFoundError:
        return False


def _read_id(folder: Place) -> str | None:
    with translate_os_errors():
        try:
            with (folder / STORE_ID_NAME).open("rb") as file:
                return file.read().decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
