"""API keys: shown once, kept as hashes, refused after expiry and revocation."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from clock import Clock
from gemvec.errors import InvalidRequest, NotFound, StorageFailure
from gemvec.files.limits import OwnerLimits
from gemvec.server import key_ring, keys
from gemvec.server.auth import Caller
from gemvec.server.key_limits import KEY_LIMITS, KeyLimits, bounds_of
from gemvec.server.key_ring import KeyRing
from gemvec.server.keys import KeyStore
from gemvec.storage.database import open_database
from gemvec.storage.timestamps import utc_now
from older_databases import make_older


@pytest.fixture
def store(tmp_path):
    database = open_database(tmp_path / "gemvec.db")
    yield KeyStore(database)
    database.close()


@pytest.fixture
def any_store(database):
    """Keys on SQLite and on PostgreSQL."""
    return KeyStore(database)


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
    key, secret = store.create("laptop", models=("models/a", "b"), limits=KeyLimits(requests_per_minute=5))
    assert find(store, secret) == key
    assert key.models == ("a", "b")
    assert key.limits.requests_per_minute == 5
    assert key.limits.tokens_per_minute is None


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
def test_a_key_needs_a_readable_name(store, name):
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


def test_a_ring_asks_once_a_second_whether_keys_are_in_use(store):
    clock, counting = Clock(), CountingStore(store)
    ring = KeyRing(counting, clock)
    for clock.now in (0.0, 0.5):
        assert not asyncio.run(ring.is_in_use())
    assert counting.asked == 1
    store.create("laptop")
    for clock.now in (1.0, 1.5, 2.0, 2.9):
        assert asyncio.run(ring.is_in_use())
    assert counting.asked == 3
    store.delete("laptop")
    clock.now = 3.0
    assert not asyncio.run(ring.is_in_use())


def test_a_call_during_a_look_up_waits_for_its_result(store):
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


def test_where_a_key_was_asked_for_it_still_is_while_the_database_is_away(store):
    store.create("laptop")
    clock, away = Clock(), AwayStore(store)
    ring = KeyRing(away, clock)
    assert asyncio.run(ring.is_in_use())
    away.is_away = True
    clock.advance(3600)
    assert asyncio.run(ring.is_in_use())


def test_a_replaced_key_keeps_its_owner_its_limits_and_its_role(any_store):
    old, first = any_store.create("ci", is_admin=True, models=("a",), limits=KeyLimits(requests_per_minute=5))
    new, second = any_store.rotate("ci")
    assert new == old
    assert find(any_store, second) == old
    assert find(any_store, first) is None


def test_an_old_key_works_beside_the_new_one_for_as_long_as_was_said(any_store, monkeypatch):
    old, first = any_store.create("ci")
    _, second = any_store.rotate("ci", overlap=timedelta(hours=1))
    assert find(any_store, first).key_id == find(any_store, second).key_id == old.key_id
    later = utc_now() + timedelta(hours=1)
    for module in (keys, key_ring):
        monkeypatch.setattr(module, "utc_now", lambda: later)
    assert find(any_store, first) is None
    assert find(any_store, second)


def test_an_overlap_ends_with_the_old_keys_own_expiry(any_store):
    ends = utc_now() + timedelta(hours=1)
    _, first = any_store.create("ci", expires_at=ends)
    any_store.rotate("ci", expires_at=ends + timedelta(days=9), overlap=timedelta(days=1))
    assert find(any_store, first).expires_at == ends


def test_a_second_rotation_ends_the_overlap_of_the_first(any_store):
    _, first = any_store.create("ci")
    any_store.rotate("ci", overlap=timedelta(days=1))
    any_store.rotate("ci")
    assert find(any_store, first) is None


def test_a_revoked_name_works_again_with_a_new_key_and_never_with_the_old(any_store):
    _, first = any_store.create("ci")
    any_store.revoke("ci")
    _, second = any_store.rotate("ci", overlap=timedelta(days=1))
    assert find(any_store, second).name == "ci"
    assert find(any_store, first) is None


def test_revoking_also_stops_the_key_that_was_replaced(any_store):
    _, first = any_store.create("ci")
    _, second = any_store.rotate("ci", overlap=timedelta(days=1))
    any_store.revoke("ci")
    assert find(any_store, first) is find(any_store, second) is None


def test_an_expired_key_is_replaced_only_with_a_new_expiry(any_store):
    any_store.create("old", expires_at=utc_now() - timedelta(seconds=1))
    with pytest.raises(InvalidRequest, match="'old' has expired"):
        any_store.rotate("old")
    _, secret = any_store.rotate("old", expires_at=utc_now() + timedelta(days=1))
    assert find(any_store, secret)


def test_a_deleted_key_is_gone_and_its_name_is_free_for_another_owner(any_store):
    old, secret = any_store.create("ci")
    any_store.create("other")
    assert any_store.delete("ci"), "there is another key"
    assert find(any_store, secret) is None
    assert not any_store.may_go_on(old.key_id)
    assert any_store.create("ci")[0].key_id != old.key_id


def test_after_the_last_key_none_is_in_use(any_store):
    any_store.create("laptop")
    assert not any_store.delete("laptop")
    assert not any_store.is_in_use()


def test_keys_of_an_older_release_go_on_working_without_a_role(database_url):
    database = open_database(database_url)
    _, secret = KeyStore(database).create("old", is_admin=True)
    with database.write() as connection:
        make_older(connection, 7)
    database.close()
    with contextlib.closing(open_database(database_url)) as database:
        assert find(KeyStore(database), secret).is_admin is False


def test_keys_of_an_older_release_keep_their_limits_and_have_the_servers_for_the_rest(database_url):
    database = open_database(database_url)
    limits = KeyLimits(tokens_per_minute=7)
    _, secret = KeyStore(database).create("old", limits=replace(limits, max_open_uploads=3))
    with database.write() as connection:
        make_older(connection, 12)
    database.close()
    with contextlib.closing(open_database(database_url)) as database:
        assert find(KeyStore(database), secret).limits == limits


@pytest.mark.parametrize("aliases", [{"tiny": "big"}, {"small": "big"}, {"a": "b", "b": "tiny"}])
def test_no_alias_leads_a_key_to_a_model_that_it_may_not_use(any_store, aliases):
    with pytest.raises(InvalidRequest, match="The alias"):
        any_store.create("ci", models=("tiny",), aliases=aliases)
    any_store.create("ci", models=("tiny",))
    with pytest.raises(InvalidRequest, match="The alias"):
        any_store.set_aliases("ci", aliases)
    assert any_store.set_aliases("ci", {"models/small": "models/tiny"}).aliases == {"small": "tiny"}


def test_one_alias_written_in_two_ways_has_one_meaning(store):
    with pytest.raises(InvalidRequest, match="The alias small means both tiny and big"):
        store.create("ci", aliases={"small": "tiny", "models/small": "big"})


def test_a_key_is_asked_for_what_its_alias_means(store):
    key, _ = store.create("ci", models=("tiny",), aliases={"small": "tiny"})
    caller = Caller(owner=key.key_id, key=replace(key, aliases={"small": "tiny", "tiny": "big"}))
    assert caller.may_use_served("small")
    assert not caller.may_use_served("tiny")
    assert not caller.may_use("small"), "or a call that is passed on could name it"


def test_limits_are_changed_one_by_one(any_store):
    any_store.create("ci", limits=KeyLimits(requests_per_minute=5, tokens_per_day=9))
    any_store.create("other")
    changed = any_store.set_limits(" ci", {"requests_per_minute": None, "max_priority": -3})
    assert changed.limits == any_store.get("ci").limits == KeyLimits(tokens_per_day=9, max_priority=-3)
    assert any_store.get("other").limits == any_store.find_limits("no such owner") == KeyLimits()
    assert any_store.find_limits(changed.key_id) == changed.limits


@pytest.mark.parametrize("name", KEY_LIMITS)
def test_what_cannot_be_a_limit_is_refused(store, name):
    store.create("ci")
    least, most = bounds_of(name)
    for value in (least - 1, most + 1):
        with pytest.raises(InvalidRequest, match=f"{name} is {value}"):
            store.set_limits("ci", {name: value})
        with pytest.raises(InvalidRequest, match=name):
            store.create("other", limits=KeyLimits(**{name: value}))
    assert store.set_limits("ci", {name: least}).limits == KeyLimits(**{name: least})


def test_the_limits_of_a_key_come_before_those_of_the_server():
    usual = OwnerLimits(open_uploads=1, open_batches=2, stored_bytes=3, priority=4)
    own = KeyLimits(max_open_batches=20, max_priority=0)
    assert KeyLimits().over(usual) == usual
    assert own.over(usual) == OwnerLimits(open_uploads=1, open_batches=20, stored_bytes=3, priority=0)


@pytest.mark.parametrize("change", ["rotate", "delete"])
def test_changing_an_unknown_key_says_so(any_store, change):
    with pytest.raises(NotFound, match="laptop"):
        getattr(any_store, change)("laptop")
