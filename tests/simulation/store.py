"""One server's stores in the simulated world, as `gemvec serve` opens them.

The database is a real SQLite file. A transaction may fail at its beginning, at each statement and at its commit, and
the news of a commit may be lost. SQLite's own durability is taken for granted: what was committed survives a power cut.
"""

import contextlib
from types import SimpleNamespace

from sqlalchemy import event

from gemvec.batches import store as batch_store
from gemvec.batches.queue import BatchQueue
from gemvec.batches.store import BatchStore
from gemvec.errors import StorageFull
from gemvec.files import upload, upload_store
from gemvec.files.store import FileStore
from gemvec.server import keys
from gemvec.server.keys import KeyStore
from gemvec.storage import hold
from gemvec.storage.database import Database, open_database
from gemvec.storage.hold import take_store
from gemvec.storage.timestamps import utc_now

ROOM_OF_A_WRITE = 4096
RESERVED = 16 * ROOM_OF_A_WRITE  # what the reserve gives back on a full disk


class SimulatedDatabase(Database):
    """Puts the world between the stores and the database."""

    world = None

    @contextlib.contextmanager
    def read(self):
        self.world.touch_database("begin")
        with super().read() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, *, is_way_out=False):
        self.world.touch_database("begin")
        self.world.begin_transaction()
        try:
            with super().write(is_way_out=is_way_out) as connection:
                self.world.reserve.pay(is_way_out=is_way_out)
                yield connection
                self.world.touch_database("commit")
        finally:
            self.world.end_transaction()
        self.world.after_commit()

    def fence(self, token):
        self._token = token  # as on PostgreSQL: the lock of the folder may be lost


class SimulatedReserve:
    """The reserve of space of a disk that others fill: it pays for a few writes that make room."""

    def __init__(self, world):
        self._world = world
        self._left = RESERVED

    def pay(self, *, is_way_out):
        if not self._world.disk.is_full:
            self._left = RESERVED
        elif is_way_out and self.may_pay():
            self._left -= ROOM_OF_A_WRITE
        else:
            raise StorageFull

    def may_pay(self):
        return self.is_left

    @property
    def is_left(self):
        return self._left >= ROOM_OF_A_WRITE


class TaskLock:
    """A lock between tasks."""

    def __init__(self, world):
        self._world, self._is_held = world, False

    def __enter__(self):
        while self._is_held:
            self._world.pause()
        self._is_held = True

    def __exit__(self, *_):
        self._is_held = False


class Store:
    """The stores of one process.

    Attributes:
        is_deposed: whether another server has taken the store over, which this one does not know.
    """

    is_deposed = False

    def __init__(self, world, base):
        """Open them, as a server does that starts."""
        self.database = open_database(base / "database" / "gemvec.sqlite3")
        self.database.__class__ = SimulatedDatabase
        self.database.world = world
        self.database._reserve = None
        event.listen(
            self.database._readers, "before_cursor_execute", lambda *_: world.touch_database("statement"), named=False
        )
        data = base / "data"
        take_store(self.database, data)
        self.files = FileStore(self.database, data)
        self.batches = BatchStore(self.database, self.files, data)
        self.queue = BatchQueue(self.batches)
        self.keys = KeyStore(self.database)

    def recover(self, weights):
        """Clean up after the process before, as a server does that starts."""
        self.files.uploads.recover()
        self.queue.recover(weights)

    def sweep(self):
        """Do what a server does now and then."""
        self.queue.expire()
        self.queue.settle()
        self.queue.release_lost()
        self.queue.sweep()
        self.files.sweep()

    def close(self):
        self.database.close()


@contextlib.contextmanager
def deterministic(world):
    """Take chance and time of the stores from the world, and let their locks wait as tasks do."""
    secrets = SimpleNamespace(
        token_hex=lambda size: world.chance.randbytes(size).hex(),
        token_urlsafe=lambda size: world.chance.randbytes(size).hex(),
        choice=world.chance.choice,
    )
    lock = SimpleNamespace(Lock=lambda: TaskLock(world))
    modules = [(module, "secrets", secrets) for module in (batch_store, upload_store, keys, hold)]
    modules += [(module, "threading", lock) for module in (upload, upload_store)]
    before = [(module, name, getattr(module, name)) for module, name, _ in modules]
    clock = vars(utc_now).copy()
    for module, name, value in modules:
        setattr(module, name, value)
    utc_now.__init__(world.wall_clock, world.elapsed_seconds)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        vars(utc_now).update(clock)
