"""API keys: shown once, kept as hashes, refused after expiry and revocation."""

import asyncio
from datetime import timedelta

import pytest

from clock import Clock
from gemvec.errors import InvalidRequest, NotFound, StorageFailure
from gemvec.server.keys import KeyRing, KeyStore
from gemvec.storage.database import open_database
from gemvec.storage.timestamps import utc_now


@pytest.fixture
def store(tmp_path):
    database = open_database(tmp_path / "gemvec.db")
    yield KeyStore(database)
    database.close()


class CountingStore:
    """A store in front of another that counts what it is asked."""

    def __init__(self, store):
        self._store = store
        self.asked = 0

    def find_by_hash(self, sha256):
        self.asked += 1
        return self._store.find_by_hash(sha256)

    def is_in_use(self):
        self.asked += 1
        return self._store.is_in_use()


class BrokenStore:
    """A store whose database cannot be read."""

    def is_in_use(self):
        raise StorageFailure("the disk is gone")


def find(store, secret):
    return asyncio.run(KeyRing(store).find(secret))


def test_a_key_is_found_by_its_secret(store):
    key, secret = store.create("laptop", models=("models/a", "b"), requests_per_minute=5)
    assert find(store, secret) == key
    assert key.models == ("a", "b")
    assert key.requests_per_minute == 5
    assert key.tokens_per_minute is None


def test_another_secret_finds_nothing(store):
    _, secret = store.create("laptop")
    assert find(store, secret + "x") is None
    assert find(store, "") is None


def test_the_database_holds_no_secret(store, tmp_path):
    _, secret = store.create("laptop")
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in stored
    assert b"laptop" in stored


def test_a_revoked_key_is_refused_and_stays_listed(store):
    _, secret = store.create("laptop")
    first = store.revoke("laptop").revoked_at
    assert find(store, secret) is None
    assert [key.name for key in store.list()] == ["laptop"]
    assert store.revoke("laptop").revoked_at == first
    assert store.is_in_use(), "or revoking the last key would let everybody in"


def test_an_expired_key_is_refused(store):
    _, secret = store.create("old", expires_at=utc_now() - timedelta(seconds=1))
    _, good = store.create("new", expires_at=utc_now() + timedelta(days=1))
    assert find(store, secret) is None
    assert find(store, good).name == "new"


def test_two_keys_cannot_share_a_name(store):
    store.create("laptop")
    with pytest.raises(InvalidRequest, match="laptop"):
        store.create("laptop")


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "a" * 129])
def test_a_key_needs_a_name_that_can_be_told(store, name):
    with pytest.raises(InvalidRequest, match="needs a name"):
        store.create(name)


@pytest.mark.parametrize("model", ["", "a,b", "models/"])
def test_what_names_no_model_is_refused(store, model):
    with pytest.raises(InvalidRequest, match="model"):
        store.create("ci", models=(model,))
    assert store.list() == [], "or the key would be for every model"


def test_revoking_an_unknown_key_says_so(store):
    with pytest.raises(NotFound, match="laptop"):
        store.revoke("laptop")


def test_a_ring_asks_once_a_second_for_each_key(store):
    clock, counting = Clock(), CountingStore(store)
    ring = KeyRing(counting, clock)
    _, secret = store.create("laptop")
    for clock.now, asked in [(0, 1), (0.9, 1), (1.0, 2), (1.9, 2), (2.5, 3)]:
        assert asyncio.run(ring.find(secret)).name == "laptop"
        assert counting.asked == asked
    assert asyncio.run(ring.find("other")) is None
    assert asyncio.run(ring.find("other")) is None
    assert counting.asked == 4, "that a key is unknown is believed, too"


def test_a_ring_learns_of_a_revocation_within_a_second(store):
    clock = Clock()
    ring = KeyRing(store, clock)
    _, secret = store.create("laptop")
    assert asyncio.run(ring.find(secret))
    store.revoke("laptop")
    clock.now = 1.0
    assert asyncio.run(ring.find(secret)) is None


def test_a_ring_stops_asking_whether_keys_are_in_use_once_they_are(store):
    clock, counting = Clock(), CountingStore(store)
    ring = KeyRing(counting, clock)
    for clock.now in (0.0, 0.5):
        assert not asyncio.run(ring.is_in_use())
    assert counting.asked == 1
    store.create("laptop")
    for clock.now in (1.0, 2.0, 3.0):
        assert asyncio.run(ring.is_in_use())
    assert counting.asked == 2


def test_who_asks_a_ring_while_it_looks_waits_for_what_it_finds(store):
    store.create("laptop")
    ring = KeyRing(store, Clock())

    async def ask():
        return await asyncio.gather(*(ring.is_in_use() for _ in range(3)))

    assert asyncio.run(ask()) == [True, True, True], "or the first callers of a started server would need no key"


def test_a_ring_that_could_not_look_believes_nothing():
    ring = KeyRing(BrokenStore(), Clock())
    for _ in range(2):
        with pytest.raises(StorageFailure):
            asyncio.run(ring.is_in_use())


def test_guesses_do_not_fill_a_rings_memory(store):
    ring = KeyRing(store, Clock())
    _, secret = store.create("laptop")

    async def guess():
        for number in range(1100):
            assert await ring.find(f"guess {number}") is None
        assert await ring.find(secret)

    asyncio.run(guess())
    assert len(ring._found) == 1024


class AwayStore:
    """A store whose database answers until it goes away."""

    def __init__(self, store):
        self._store = store
        self.is_away = False

    def find_by_hash(self, sha256):
        if self.is_away:
            raise StorageFailure("the database is away")
        return self._store.find_by_hash(sha256)

    def is_in_use(self):
        if self.is_away:
            raise StorageFailure("the database is away")
        return self._store.is_in_use()


def test_a_key_that_is_known_goes_on_working_while_the_database_is_away(store):
    _, secret = store.create("laptop")
    clock, away = Clock(), AwayStore(store)
    ring = KeyRing(away, clock)
    assert asyncio.run(ring.find(secret))
    away.is_away = True
    clock.advance(3600)
    assert asyncio.run(ring.find(secret))
    with pytest.raises(StorageFailure):
        asyncio.run(ring.find("gv-another"))


def test_where_no_key_was_asked_for_none_is_while_the_database_is_away(store):
    clock, away = Clock(), AwayStore(store)
    ring = KeyRing(away, clock)
    assert not asyncio.run(ring.is_in_use())
    away.is_away = True
    clock.advance(3600)
    assert not asyncio.run(ring.is_in_use())
