"""One way to open a database and two ways to use it: `read` and `write`, each one transaction.

SQLite: write-ahead log, synchronous=FULL (an answered commit survives a power cut), writers begin IMMEDIATE so that
they wait at the start and never fail half-way, foreign keys on. PostgreSQL: psycopg, its own defaults.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from gemvec.errors import BadSetting, DataFolderLocked, HoldLost, MissingDependency, StorageFailure, StorageFull
from gemvec.settings import Settings
from gemvec.storage.durable import keep_private
from gemvec.storage.migrations import migrate
from gemvec.storage.reserve import Reserve
from gemvec.storage.schema import servers, store

if TYPE_CHECKING:
    import psycopg

DATABASE_NAME = "gemvec.sqlite3"
BUSY_TIMEOUT_SECONDS = 30
_BUSY_PAUSE_SECONDS = 0.005
_CONNECT_SECONDS = 5
_POSTGRESQL_DISK_FULL = "53100"
_WRITES = "gemvec_writes"
# Advisory locks are numbers: "gemv", and one for the schema, because a database may have a gemvec in each schema.
_LOCK = f"{0x67656D76}, hashtext(current_schema())"
_HOLD = text(f"SELECT pg_try_advisory_lock({_LOCK})")
_RELEASE = text(f"SELECT pg_advisory_unlock({_LOCK})")
_KEEPALIVES = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
_NOTICE_WHO_VANISHED = text(
    "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _KEEPALIVES.items())
)


class Database:
    """An open database; safe to share between threads.

    A failing statement raises StorageFull or StorageFailure; a violated constraint stays SQLAlchemy's IntegrityError,
    because only the caller knows what it means.
    """

    def __init__(self, engine: Engine, reserve: Reserve | None = None) -> None:
        """Use `engine`; `reserve` is the space kept beside a SQLite file."""
        self._reserve = reserve
        self._token: str | None = None
        self._is_shared = False
        self._readers = engine
        self._writers = engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Open a transaction that only reads and never blocks a writer.

        It is one consistent view of SQLite. On PostgreSQL each statement has a view of its own.
        """
        with _translated(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, is_way_out: bool = False) -> Generator[Connection]:
        """Open a transaction that may write; committed when the block ends, rolled back when it raises.

        On SQLite there is one writer at a time: keep the block short and do not open another inside it.

        Args:
            is_way_out: the transaction makes room or takes rights away, and must work on a full disk too.
        """
        if is_way_out and self._reserve:
            self._reserve.open()
        with _translated(), self._writers.begin() as connection:
            if self._token is not None:
                self._check_hold(connection)
            yield connection

    def fence(self, token: str) -> None:
        """Refuse to write once another server has replaced this server's token.

        A SQLite file needs no such check: the lock of its folder ends only with the process.
        """
        if self._readers.dialect.name != "sqlite":
            self._token = token

    def share(self, token: str) -> None:
        """Refuse to write once other servers have removed the row of this token; they share the database.

        Raises:
            BadSetting: it is a SQLite file.
        """
        if self._readers.dialect.name == "sqlite":
            raise BadSetting("Several servers can share PostgreSQL, and not a SQLite file.")
        if not self._is_shared:
            event.listen(self._readers, "connect", _end_paused_transactions)
            self._readers.dispose()
        self._token, self._is_shared = token, True

    @property
    def shared_token(self) -> str | None:
        """The token of this server if several share the database, else None."""
        return self._token if self._is_shared else None

    @contextmanager
    def join(self) -> Generator[Connection]:
        """Open a transaction that writes even if this server has no row."""
        with _translated(), self._writers.begin() as connection:
            yield connection

    def _check_hold(self, connection: Connection) -> None:
        if self._is_shared:
            # FOR KEY SHARE: removing the row waits for the end of this transaction, and counting beats does not.
            mine = select(servers.c.token).where(servers.c.token == self._token)
            if connection.scalar(mine.with_for_update(read=True, key_share=True)) is None:
                raise HoldLost
            return
        # FOR SHARE: the next server's token waits for the end of this transaction.
        if connection.scalar(select(store.c.token).with_for_update(read=True)) != self._token:
            raise HoldLost

    def keep_reserve(self) -> None:
        """Fill the reserve for writing on a full disk; a server calls this now and then."""
        if self._reserve:
            self._reserve.fill()

    def trouble(self) -> str | None:
        """Return what is wrong with the database or its disk, in a sentence for everybody; None if nothing is."""
        if self._reserve and self._reserve.is_short:
            return StorageFull.summary()
        try:
            with self.read() as connection:
                connection.execute(text("SELECT 1"))
        except StorageFailure:
            return StorageFailure.summary()
        return None

    @contextmanager
    def held(self) -> Generator[None]:
        """Keep other servers off this database while the block lasts; a SQLite file is protected by its folder's lock.

        After the block the next server can hold it at once. Where a server was killed, PostgreSQL releases the lock as
        soon as it notices the end of the connection; a lost machine is noticed within a minute.

        Raises:
            DataFolderLocked: another server holds it.
        """
        if self._readers.dialect.name == "sqlite":
            yield
            return
        with _translated():
            connection = self._readers.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            connection.detach()  # closed at the end, not given back
            with _translated():
                connection.execute(_NOTICE_WHO_VANISHED)
                is_ours = connection.scalar(_HOLD)
            if not is_ours:
                raise DataFolderLocked("Another gemvec server uses the database.")
            try:
                yield
            finally:
                # PostgreSQL notices a closed connection only later. A lost one has released the lock already.
                with suppress(StorageFailure), _translated():
                    connection.execute(_RELEASE)

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()


def database_of(settings: Settings) -> str | Path:
    """Return what `open_database` opens for these settings: their URL, or a file in the data folder."""
    return settings.database_url or settings.data_dir / DATABASE_NAME


def open_database(url_or_path: str | Path) -> Database:
    """Open a database and bring its schema up to date.

    Args:
        url_or_path: a SQLite file, made with its folder when missing, or a URL: `postgresql://user@host/name`.

    Raises:
        BadSetting: the URL cannot be read or names another kind of database.
        MissingDependency: PostgreSQL is asked for and psycopg is not installed.
        StorageFailure: the database cannot be opened, or a newer gemvec has changed it.
    """
    url = _url(url_or_path)
    is_file = url.get_backend_name() == "sqlite"
    reserve = Reserve(Path(url.database or "").parent) if is_file else None
    engine = _engine(url)
    if reserve:
        reserve.open()  # to read a database, SQLite makes a file beside it
    database = Database(engine, reserve)
    with database.write() as connection:
        migrate(connection)
    return database


def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(url_or_path))
    try:
        url = make_url(url_or_path)
    except (ArgumentError, ValueError) as error:
        raise BadSetting("The database URL cannot be read; expected postgresql://user@host/name.") from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise BadSetting(f"The database URL starts with {url.drivername}://; expected postgresql:// or sqlite://.")
    return url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        if url.database:
            _prepare_file(Path(url.database))
        engine = create_engine(
            url, pool_size=8, max_overflow=-1, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "isolation_level": None}
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        connect_args = {"connect_timeout": _CONNECT_SECONDS}
        return create_engine(url, pool_size=8, max_overflow=-1, pool_pre_ping=True, connect_args=connect_args)
    except ModuleNotFoundError as error:
        raise MissingDependency("PostgreSQL needs psycopg.", extra="postgresql") from error


def _prepare_file(path: Path) -> None:
    """Make the file of a database, and its folder, readable only by its owner."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            if each.exists():
                keep_private(each, 0o600)
    except OSError as error:
        raise StorageFailure(f"The database {path} cannot be opened: {error}") from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # When several connections switch a new file to WAL at once, SQLite lets one do it and fails the others without
    # waiting.
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)
        else:
            return


def _end_paused_transactions(connection: psycopg.Connection[Any], _record: Any) -> None:
    # The rows that a paused or vanished server holds would keep the others from going on.
    connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    # isolation_level=None keeps the driver from beginning a transaction itself, which it would do too late to wait for.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise (StorageFull() if _is_full(error.orig) else StorageFailure(_summary(error))) from error


def _is_full(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorcode == sqlite3.SQLITE_FULL
    return getattr(cause, "sqlstate", None) == _POSTGRESQL_DISK_FULL


def _summary(error: DBAPIError) -> str:
    # The whole error shows the statement's values; the driver's own text does not.
    return f"The database failed: {error.orig}"
