"""Rate limits count whole calls in fixed windows, for each caller and model."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clock import Clock
from gemvec.errors import RateLimited
from gemvec.server.quota import QuotaMeter, per_day_requests, per_minute_requests, per_minute_tokens


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return QuotaMeter(clock)


def spend(meter, *call, **costs):
    asyncio.run(meter.spend(*call, **costs))


def test_a_call_that_does_not_fit_is_refused_whole_and_costs_nothing(meter):
    quotas = [per_minute_requests(100), per_minute_tokens(1000)]
    spend(meter, "me", "m", quotas, requests=60, tokens=100)
    with pytest.raises(RateLimited) as refused:
        spend(meter, "me", "m", quotas, requests=50, tokens=100)
    assert [violation[1] for violation in refused.value.violations] == [quotas[0].quota_id]
    spend(meter, "me", "m", quotas, requests=40, tokens=800)


def test_the_refusal_says_how_long_until_the_window_ends(meter, clock):
    spend(meter, "me", "m", [per_minute_requests(1)], requests=1, tokens=0)
    clock.now = 49.0
    with pytest.raises(RateLimited, match=r"Please retry in 11\.000s") as refused:
        spend(meter, "me", "m", [per_minute_requests(1)], requests=1, tokens=0)
    assert refused.value.retry_after_seconds == 11.0
    clock.now = 60.0
    spend(meter, "me", "m", [per_minute_requests(1)], requests=1, tokens=0)


def test_the_longest_of_several_full_windows_decides(meter):
    quotas = [per_minute_requests(1), per_day_requests(1)]
    spend(meter, "me", "m", quotas, requests=1, tokens=0)
    with pytest.raises(RateLimited) as refused:
        spend(meter, "me", "m", quotas, requests=1, tokens=0)
    assert refused.value.retry_after_seconds == 86_400
    assert len(refused.value.violations) == 2


def test_callers_and_models_do_not_share_a_window(meter):
    for caller, model in (("me", "m"), ("you", "m"), ("me", "n")):
        spend(meter, caller, model, [per_minute_requests(1)], requests=1, tokens=0)


def test_a_call_larger_than_the_limit_never_passes_and_the_error_says_so(meter):
    with pytest.raises(RateLimited, match="This call alone has 100 requests, more than the limit of 10"):
        spend(meter, "me", "m", [per_minute_requests(10)], requests=100, tokens=0)
    spend(meter, "me", "m", [per_minute_requests(10)], requests=10, tokens=0)


def test_what_is_only_checked_costs_nothing(meter):
    for _ in range(3):
        meter.check("me", "m", [per_minute_requests(10)], requests=10, tokens=0)
    spend(meter, "me", "m", [per_minute_requests(10)], requests=10, tokens=0)


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 30)), max_size=60))
def test_no_window_admits_more_than_its_limit(calls):
    clock = Clock()
    meter, admitted = QuotaMeter(clock), []
    for requests, pause in calls:
        clock.now += pause
        try:
            spend(meter, "me", "m", [per_minute_requests(20)], requests=requests, tokens=0)
        except RateLimited as refused:
            assert 0 < refused.retry_after_seconds < 60.001  # noqa: PT017 - the refusal itself is the subject
        else:
            admitted.append((clock.now, requests))
    start, used = -60.0, 0
    for moment, requests in admitted:
        if moment >= start + 60:
            start, used = moment, 0
        used += requests
        assert used <= 20
