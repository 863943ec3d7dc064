"""Two servers on one PostgreSQL and one object store: what is done at one holds at the other."""

import time
from contextlib import ExitStack

import pytest

from gemvec.server.key_limits import KeyLimits
from gemvec.server.keys import KeyStore
from gemvec.storage.database import open_database

EMBED = "/v1beta/models/gemini-embedding-001:embedContent"
TEXT = {"content": {"parts": [{"text": "a"}]}}


@pytest.fixture
def keys(postgresql_url):
    database = open_database(postgresql_url)
    yield KeyStore(database)
    database.close()


@pytest.fixture
def clients(running_whole, keys, postgresql_url, far_url, tmp_path):
    """A client of each server; the servers see a key from the start, so that they need one."""
    keys.create("operator")
    with ExitStack() as running:
        shared = {"database_url": postgresql_url, "storage": far_url}
        yield [running.enter_context(running_whole(tmp_path / name, **shared)) for name in ("one", "two")]


def count_answered(clients, secret, calls):
    codes = [
        clients[number % 2].post(EMBED, json=TEXT, headers={"x-api-key": secret}).status_code for number in range(calls)
    ]
    assert set(codes) <= {200, 429}
    return codes.count(200)


def test_a_limit_of_a_key_is_that_of_both_servers_and_a_change_reaches_both(clients, keys):
    _, secret = keys.create("app", limits=KeyLimits(requests_per_minute=10, requests_per_day=1000))
    assert count_answered(clients, secret, 16) == 10
    keys.set_limits("app", {"requests_per_minute": 14})
    time.sleep(1.1)  # for so long a server keeps what it has read of a key
    assert count_answered(clients, secret, 8) == 4
    keys.set_limits("app", {"requests_per_minute": None, "requests_per_day": 20})
    time.sleep(1.1)
    assert 5 <= count_answered(clients, secret, 10) <= 6  # what the other has taken counts until it asks again
    keys.revoke("app")
    time.sleep(1.1)
    assert {each.post(EMBED, json=TEXT, headers={"x-api-key": secret}).status_code for each in clients} == {400}


def test_what_a_key_uses_at_both_servers_is_added_up(clients, keys):
    key, secret = keys.create("app", is_admin=True)
    assert count_answered(clients, secret, 7) == 7
    for each in clients:  # a server writes what it has counted before it shows it
        shown = each.get("/metrics", headers={"x-api-key": secret}).text
    assert f'gemvec_key_texts_total{{key="{key.name}"}} 7.0' in shown
