"""Servers that share a PostgreSQL find out which of them are dead, without comparing clocks."""

import pytest
from sqlalchemy import insert, text

from gemvec.errors import BadSetting, HoldLost, StorageFailure
from gemvec.storage.database import open_database
from gemvec.storage.schema import deleted_owners
from gemvec.storage.servers import Membership, remove_server, server_id_of
from gemvec.storage.timestamps import utc_now

LEASE = 30


class Watch:
    """A clock that the test turns, in seconds."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def join(postgresql_url, watch):
    """Return a function that lets one more server join; gives its membership and its database."""
    opened = []

    def join(server_id):
        database = open_database(postgresql_url)
        opened.append(database)
        member = Membership(database, server_id, lease_seconds=LEASE, clock=watch)
        member.join()
        return member, database

    yield join
    for database in opened:
        database.close()


def write(database, owner="someone"):
    with database.write() as connection:
        connection.execute(insert(deleted_owners).values(owner=owner, deleted_at=utc_now()))


def remove(database, token):
    with database.write() as connection:
        return remove_server(connection, token)


def test_a_server_that_is_silent_for_a_lease_is_dead(join, watch):
    (first, _), (_, silent) = join("one"), join("two")
    for _ in range(LEASE):
        assert first.find_dead() == []
        watch.now += 1
    assert first.find_dead() == [silent.shared_token]


def test_the_time_in_which_a_server_did_not_look_does_not_count(join, watch):
    (first, _), (_, silent) = join("one"), join("two")
    assert first.find_dead() == []
    watch.now += LEASE  # the database hung, or this server was paused
    for _ in range(LEASE):
        assert first.find_dead() == []
        watch.now += 1
    assert first.find_dead() == [silent.shared_token]


def test_a_server_that_beats_lives(join, watch):
    (first, _), (second, _) = join("one"), join("two")
    for _ in range(4):
        assert first.find_dead() == []
        second.beat()
        watch.now += LEASE - 1
    assert first.find_dead() == []


def test_the_time_in_which_the_database_is_away_does_not_count(join, watch, postgresql_url):
    (first, database), _ = join("one"), join("two")
    assert first.find_dead() == []
    with database.join() as connection:
        connection.execute(text("ALTER TABLE servers RENAME TO away"))
    watch.now += LEASE
    with pytest.raises(StorageFailure):
        first.find_dead()
    with database.join() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO servers"))
    assert first.find_dead() == []


def test_the_earlier_life_of_a_server_is_dead_at_once(join):
    (_, before), (member, _) = join("one"), join("one")
    assert member.find_dead() == [before.shared_token]


def test_the_server_that_joined_first_sweeps_and_then_the_next_one(join):
    (first, one), (second, two) = join("one"), join("two")
    for member in (first, second):
        member.beat()
    assert (first.is_first, second.is_first) == (True, False)
    assert remove(two, one.shared_token)
    assert not remove(two, one.shared_token)
    second.beat()
    assert second.is_first


def test_a_server_that_was_taken_for_dead_writes_nothing_until_it_has_joined_again(join):
    (paused, one), (_, two) = join("one"), join("two")
    write(one, "before")
    token = one.shared_token
    remove(two, token)
    with pytest.raises(HoldLost):
        write(one)
    paused.beat()
    assert one.shared_token != token
    write(one)


def test_a_transaction_that_a_server_leaves_open_does_not_last(join):
    _, database = join("one")
    with database.read() as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"


def test_a_sqlite_file_is_not_shared(tmp_path):
    database = open_database(tmp_path / "gemvec.sqlite3")
    with pytest.raises(BadSetting, match="PostgreSQL"):
        Membership(database, "one", lease_seconds=LEASE).join()
    database.close()


def test_a_server_keeps_its_id_in_its_data_folder(tmp_path):
    first = server_id_of(tmp_path)
    (tmp_path / "other").mkdir()
    assert server_id_of(tmp_path) == first != server_id_of(tmp_path / "other")
