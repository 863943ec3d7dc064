"""Servers that share a PostgreSQL let a caller have its limit once, wherever its calls go."""

import asyncio

import pytest
from sqlalchemy import insert, select

from clock import Clock
from gemvec.errors import RateLimited
from gemvec.server.quota import per_key, per_minute_requests
from gemvec.server.shared_quota import SharedMeter
from gemvec.storage import rates
from gemvec.storage.database import open_database
from gemvec.storage.rates import forget_ended_windows
from gemvec.storage.schema import rate_windows
from gemvec.storage.timestamps import utc_now

MINUTE = 60.0
DAY = 86_400.0


@pytest.fixture
def open_meters(postgresql_url):
    """Return a function that opens meters of as many servers, in one event loop."""
    opened = []

    def open_meters(count, clock=Clock()):  # noqa: B008 - each test that turns it gives its own
        databases = [open_database(postgresql_url) for _ in range(count)]
        opened.extend(databases)
        return [SharedMeter(each, clock) for each in databases]

    yield open_meters
    for each in opened:
        each.close()


async def count_admitted(meters, quotas, calls, *, texts=1, tokens=0):
    """Return how many of the calls are admitted, each sent to the next server."""
    admitted = 0
    for number in range(calls):
        try:
            await meters[number % len(meters)].spend("me", "m", quotas, requests=texts, tokens=tokens)
        except RateLimited:
            continue
        admitted += 1
    return admitted


@pytest.mark.parametrize("limit", [1, 10, 640])
def test_three_servers_together_admit_the_limit_of_a_key(open_meters, limit):
    meters = open_meters(3)
    admitted = asyncio.run(count_admitted(meters, [per_key("requests", limit, MINUTE)], limit + 60))
    assert limit - 2 * (limit // 64) <= admitted <= limit


def test_calls_that_come_together_get_no_more_than_the_limit(open_meters):
    meters, quotas = open_meters(2), [per_key("requests", 100, MINUTE), per_key("tokens", 1000, DAY)]

    async def send():
        calls = [meters[number % 2].spend("me", "m", quotas, requests=1, tokens=10) for number in range(200)]
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(send())
    assert 97 <= outcomes.count(None) <= 100
    assert {type(each) for each in outcomes if each is not None} == {RateLimited}


def test_a_limit_of_a_day_is_that_of_all_servers_and_survives_their_restart(open_meters):
    quotas = [per_key("tokens", 100, DAY)]
    assert asyncio.run(count_admitted(open_meters(1), quotas, 6, tokens=10)) == 6
    with pytest.raises(RateLimited) as refused:
        asyncio.run(open_meters(1)[0].spend("me", "m", quotas, requests=1, tokens=50))
    assert DAY - 60 < refused.value.retry_after_seconds <= DAY
    asyncio.run(open_meters(1)[0].spend("me", "m", quotas, requests=1, tokens=40))


def test_a_server_that_stops_gives_back_what_it_has_not_used(open_meters):
    first, second = open_meters(2)
    quotas = [per_key("requests", 6400, MINUTE)]
    asyncio.run(first.spend("me", "m", quotas, requests=1, tokens=0))
    with pytest.raises(RateLimited):
        asyncio.run(second.spend("me", "m", quotas, requests=6399, tokens=0))
    asyncio.run(first.give_back())
    third = open_meters(1)[0]
    asyncio.run(third.spend("me", "m", quotas, requests=6399, tokens=0))


def test_a_refusal_is_not_asked_for_again_within_a_second_and_ends_with_the_window(open_meters):
    clock = Clock()
    (meter,), quotas = open_meters(1, clock), [per_key("requests", 10, 0.3)]
    asyncio.run(meter.spend("me", "m", quotas, requests=10, tokens=0))
    with pytest.raises(RateLimited) as refused:
        meter.check("me", "m", quotas, requests=1, tokens=1)
    assert 0 < refused.value.retry_after_seconds <= 0.3
    clock.advance(0.3)

    async def wait_for_the_database():
        while True:
            try:
                return await meter.spend("me", "m", quotas, requests=10, tokens=0)
            except RateLimited:
                await asyncio.sleep(0.02)
                clock.advance(0.02)

    asyncio.run(wait_for_the_database())


class SlowDatabase:
    """A database whose transactions take two seconds of a clock; counts them."""

    def __init__(self, database, clock):
        self._database, self._clock = database, clock
        self.transactions = 0

    def join(self):
        self.transactions += 1
        self._clock.advance(2)
        return self._database.join()


@pytest.fixture
def slow(postgresql_url):
    database, clock = open_database(postgresql_url), Clock()
    slow = SlowDatabase(database, clock)
    yield slow, SharedMeter(slow, clock)
    database.close()


def test_a_refusal_by_a_slow_database_is_final_and_known_to_calls_that_wait_for_it(slow):
    database, meter = slow
    quotas = [per_key("requests", 10, DAY)]

    async def send(calls):
        spending = [meter.spend("me", "m", quotas, requests=10, tokens=0) for _ in range(calls)]
        async with asyncio.timeout(20):
            return await asyncio.gather(*spending, return_exceptions=True)

    assert asyncio.run(send(1)) == [None]
    database.transactions = 0
    assert {type(each) for each in asyncio.run(send(5))} == {RateLimited}
    assert database.transactions <= 1


def test_rows_that_another_server_holds_do_not_keep_a_call_waiting(open_meters, postgresql_url, monkeypatch):
    monkeypatch.setattr(rates, "_LOCK_MILLISECONDS", 100)
    (meter,), database = open_meters(1), open_database(postgresql_url)
    quotas = [per_key("requests", 640, DAY)]
    asyncio.run(meter.spend("me", "m", quotas, requests=10, tokens=0))

    async def spend_more():
        async with asyncio.timeout(20):
            await meter.spend("me", "m", quotas, requests=10, tokens=0)

    with database.join() as connection:
        connection.execute(select(rate_windows).with_for_update())
        asyncio.run(spend_more())
    database.close()


def test_a_changed_limit_counts_at_once(open_meters):
    (meter,) = open_meters(1)
    asyncio.run(meter.spend("me", "m", [per_key("requests", 10, MINUTE)], requests=10, tokens=0))
    with pytest.raises(RateLimited):
        asyncio.run(meter.spend("me", "m", [per_key("requests", 10, MINUTE)], requests=5, tokens=0))
    asyncio.run(meter.spend("me", "m", [per_key("requests", 15, MINUTE)], requests=5, tokens=0))
    with pytest.raises(RateLimited, match="more than the limit of 3"):
        asyncio.run(meter.spend("me", "m", [per_key("requests", 3, MINUTE)], requests=4, tokens=0))


def test_what_was_taken_under_a_higher_limit_does_not_count_beside_a_lower_one(open_meters):
    meters = open_meters(2)
    assert asyncio.run(count_admitted(meters, [per_key("requests", 1000, DAY)], 14)) == 14
    assert asyncio.run(count_admitted(meters, [per_key("requests", 20, DAY)], 20)) == 6


def test_models_have_windows_of_their_own_where_the_limit_says_so(open_meters):
    first, second = open_meters(2)
    for caller, model in (("me", "m"), ("you", "m"), ("me", "n")):
        asyncio.run(first.spend(caller, model, [per_minute_requests(1)], requests=1, tokens=0))
        with pytest.raises(RateLimited):
            asyncio.run(second.spend(caller, model, [per_minute_requests(1)], requests=1, tokens=0))


def test_without_the_database_each_server_counts_by_itself(open_meters, tmp_path):
    clock = Clock()
    nowhere = open_database(tmp_path / "gone.sqlite3")
    with nowhere.write() as connection:
        connection.exec_driver_sql("DROP TABLE rate_windows")
    meter, quotas = SharedMeter(nowhere, clock), [per_key("requests", 10, MINUTE)]
    assert asyncio.run(count_admitted([meter], quotas, 15)) == 10
    clock.advance(MINUTE)
    assert asyncio.run(count_admitted([meter], quotas, 15)) == 10
    nowhere.close()


def test_windows_that_ended_long_ago_are_forgotten(open_meters, postgresql_url):
    (meter,) = open_meters(1)
    asyncio.run(meter.spend("me", "m", [per_key("requests", 10, DAY)], requests=1, tokens=0))
    database = open_database(postgresql_url)
    old = {"owner": "me", "model": "", "quota_id": "of last week", "ends_at": 1_000_000, "used": 1}
    with database.write() as connection:
        connection.execute(insert(rate_windows), old)
        assert forget_ended_windows(connection, utc_now()) == 1
    database.close()
