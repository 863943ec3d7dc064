"""A store knows its folder, and a server that lost its hold on a store writes nothing any more."""

import logging
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from gemvec.errors import HoldLost, StorageFailure, StoreMismatch
from gemvec.storage import hold
from gemvec.storage.database import open_database
from gemvec.storage.hold import STORE_ID_NAME, take_store
from gemvec.storage.schema import store
from gemvec.storage.timestamps import SteadyClock, utc_now


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "batches").mkdir(parents=True)
    return folder


@pytest.fixture
def taken(database, folder):
    take_store(database, folder)
    return database, folder


def fill(folder):
    (folder / "batches" / "one").mkdir(parents=True, exist_ok=True)


def test_a_store_is_taken_again_and_again_with_its_own_folder(database, folder):
    for _ in range(3):
        take_store(database, folder)
        fill(folder)


def test_an_empty_folder_is_refused_where_the_database_has_another(database, folder, tmp_path):
    take_store(database, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreMismatch, match="it has no such file"):
        take_store(database, tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


def test_the_folder_of_another_store_is_refused(database, folder, tmp_path):
    take_store(database, folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / STORE_ID_NAME).write_text("0123456789abcdef\n")
    with pytest.raises(StoreMismatch, match="store 0123456789abcdef"):
        take_store(database, tmp_path / "other")


def test_a_new_database_is_refused_beside_what_another_one_knows(database, folder):
    (folder / STORE_ID_NAME).write_text("0123456789abcdef\n")
    fill(folder)
    with pytest.raises(StoreMismatch, match="the database to none"):
        take_store(database, folder)


def test_a_server_that_died_while_it_made_a_store_begins_again(database, folder):
    (folder / STORE_ID_NAME).write_text("0123456789abcdef\n")
    take_store(database, folder)
    take_store(database, folder)


def test_a_server_that_lost_its_hold_writes_nothing_and_may_still_read(postgresql_url, folder):
    first, second = open_database(postgresql_url), open_database(postgresql_url)
    take_store(first, folder)
    with first.write() as connection:
        connection.execute(text("DELETE FROM keys"))
    take_store(second, folder)
    with pytest.raises(HoldLost), first.write() as connection:
        connection.execute(text("DELETE FROM keys"))
    with first.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM keys")) == 0
    with second.write() as connection:
        connection.execute(text("DELETE FROM keys"))
    first.close()
    second.close()


def test_a_lost_hold_is_a_failure_of_storage_that_clients_may_try_again():
    assert issubclass(HoldLost, StorageFailure)
    assert HoldLost().retry_after_seconds


@pytest.mark.parametrize(
    ("gap", "said"), [(timedelta(days=10), "no server ran for long"), (timedelta(hours=-5), "behind")]
)
def test_a_clock_that_was_set_between_two_starts_is_noticed(taken, monkeypatch, caplog, gap, said):
    database, folder = taken
    clock, seen_at = SteadyClock(), utc_now() - gap
    monkeypatch.setattr(hold, "utc_now", clock)
    logging.getLogger("gemvec").propagate = True
    with database.write() as connection:
        connection.execute(update(store).values(seen_at=seen_at))
    take_store(database, folder)
    assert said in caplog.text
    assert clock() >= seen_at
