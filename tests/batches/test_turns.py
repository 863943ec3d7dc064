"""Whose chunk is begun next: owners take turns, in which each has as many chunks as its key's weight says."""

import contextlib
import itertools
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_steps import line, new
from gemvec.batches.queue import BatchQueue, Claimable
from gemvec.batches.store import BatchStore
from gemvec.files.store import FileStore
from gemvec.server.key_limits import KeyLimits
from gemvec.server.keys import KeyStore
from gemvec.storage.database import open_database

ANY = Claimable(weights=["hash@12345678"])
WEIGHTS = st.lists(st.integers(1, 5), min_size=2, max_size=4)


def make_owner(store, name, weight):
    """Make a key with a weight; its id is the owner of its batches."""
    return KeyStore(store.database).create(name, limits=KeyLimits(weight=weight))[0].key_id


def give_work(store, owner, chunks):
    store.create_inline(new(owner=owner, chunk_requests=1), [line("x")] * chunks)


def claim_all(store):
    """Return the owners of all chunks in the order in which they are claimed."""
    queue = BatchQueue(store)
    return [task.owner for task in iter(lambda: queue.claim(ANY), None)]


@contextlib.contextmanager
def new_store():
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "gemvec.db")
        files = FileStore(database, Path(folder))
        yield BatchStore(database, files, Path(folder))
        database.close()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(weights=WEIGHTS)
def test_owners_share_by_their_weights(weights):
    with new_store() as store:
        shares = {make_owner(store, f"key {number}", weight): weight for number, weight in enumerate(weights)}
        for owner, weight in shares.items():
            give_work(store, owner, 3 * weight)
        owners = claim_all(store)
    for begin in range(len(owners) - sum(weights) + 1):
        assert Counter(owners[begin : begin + sum(weights)]) == shares, "in every stretch as long as all turns together"


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(weights=WEIGHTS, chunks=st.lists(st.integers(1, 12), min_size=4, max_size=4))
def test_no_owner_waits_for_more_than_one_turn_of_each_other(weights, chunks):
    with new_store() as store:
        shares = {make_owner(store, f"key {number}", weight): weight for number, weight in enumerate(weights)}
        for owner, count in zip(shares, chunks, strict=False):
            give_work(store, owner, count)
        owners = claim_all(store)
    assert Counter(owners) == dict(zip(shares, chunks, strict=False)), "and nothing stays undone"
    for owner, weight in shares.items():
        places = [-1, *(place for place, each in enumerate(owners) if each == owner)]
        assert all(later - earlier - 1 <= sum(weights) - weight for earlier, later in itertools.pairwise(places))


def test_a_changed_weight_counts_from_the_next_turn(any_store):
    queue = BatchQueue(any_store)
    owners = {make_owner(any_store, name, None): name for name in ("a", "b")}
    for owner in owners:
        give_work(any_store, owner, 12)
    claimed = [owners[queue.claim(ANY).owner] for _ in range(4)]
    assert Counter(claimed) == {"a": 2, "b": 2}
    KeyStore(any_store.database).set_limits("b", {"weight": 4})
    claimed = [owners[queue.claim(ANY).owner] for _ in range(10)]
    assert Counter(claimed) == {"a": 2, "b": 8}


def test_batches_without_a_key_have_turns_of_one_chunk(any_store):
    heavy = make_owner(any_store, "heavy", 3)
    for owner in ("", heavy):
        give_work(any_store, owner, 8)
    assert Counter(claim_all(any_store)[:8]) == {"": 2, heavy: 6}
