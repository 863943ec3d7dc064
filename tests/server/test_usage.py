"""What a key has used is in the database as soon as anybody asks for it."""

import threading
from contextlib import contextmanager

from gemvec.server.usage import UsageMeter
from gemvec.storage.database import open_database
from gemvec.storage.usage import read_usage


def test_who_asks_while_another_thread_writes_waits_until_it_is_there(tmp_path, monkeypatch):
    database = open_database(tmp_path / "gemvec.sqlite3")
    meter = UsageMeter(database)
    write, is_writing, may_write = database.write, threading.Event(), threading.Event()

    @contextmanager
    def write_slowly():
        is_writing.set()
        assert may_write.wait(30)
        with write() as connection:
            yield connection

    monkeypatch.setattr(database, "write", write_slowly)
    meter.note("alice", calls=1, tokens=4)
    other = threading.Thread(target=meter.flush)
    other.start()
    assert is_writing.wait(30)
    threading.Timer(0.2, may_write.set).start()
    meter.flush()
    with database.read() as connection:
        used = read_usage(connection)["alice"]
    assert (used.calls, used.tokens) == (1, 4)
    other.join()
    database.close()
