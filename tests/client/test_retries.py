import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.client.retries import (
    LastAnswer,
    RetryPolicy,
    hinted_delay,
    is_transient,
    next_delay,
    send_with_retries,
)
from gemvec.client.retry_after import parse_retry_after
from gemvec.client.transport import Response
from gemvec.errors import TransportFailure
from scripted_server import error_body, quota_exceeded

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
OK = Response(code=200)
BUSY = Response(code=503)
QUOTA = Response(code=429, body=msgspec.json.encode(quota_exceeded("11s").body))
REFUSED = TransportFailure("refused", connected=False)
BROKEN = TransportFailure("broken")


class Attempts:
    """Answers as told, on a clock that only sleeping and answering move."""

    def __init__(self, *outcomes, seconds=0.0):
        self.outcomes = list(outcomes)
        self.seconds = seconds
        self.now = 100.0
        self.slept = []
        self.allowed = []

    async def send(self, allowed):
        self.allowed.append(allowed)
        self.now += self.seconds
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, TransportFailure):
            raise outcome
        return outcome

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def run(self, draw=0.5, **policy):
        work = send_with_retries(
            self.send, RetryPolicy(**policy), clock=lambda: self.now, sleep=self.sleep, draw=lambda: draw
        )
        return asyncio.run(work)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 529])
def test_busy_and_broken_servers_are_asked_again(code):
    assert is_transient(Response(code=code))


@pytest.mark.parametrize("code", [200, 400, 401, 403, 404, 413, 422])
def test_refusals_are_final(code):
    assert not is_transient(Response(code=code))
    attempts = Attempts(Response(code=code))
    assert attempts.run().code == code
    assert attempts.slept == []


def test_waits_are_drawn_below_a_bound_that_doubles():
    attempts = Attempts(BUSY, BUSY, BUSY, BUSY, OK)
    assert attempts.run(draw=1.0, first_delay_seconds=0.5, max_delay_seconds=3.0) is OK
    assert attempts.slept == [0.5, 1.0, 2.0, 3.0]


@given(attempt=st.integers(1, 60), jitter=st.floats(0, 1, exclude_max=True))
def test_jitter_is_full(attempt, jitter):
    policy = RetryPolicy()
    longest = next_delay(policy, attempt=attempt, hint=None, jitter=1.0)
    delay = next_delay(policy, attempt=attempt, hint=None, jitter=jitter)
    assert delay == pytest.approx(jitter * longest)
    assert longest <= policy.max_delay_seconds


@given(hint=st.floats(0, 1e6), attempt=st.integers(1, 60), jitter=st.floats(0, 1, exclude_max=True))
def test_a_server_is_never_asked_before_the_time_it_named(hint, attempt, jitter):
    assert next_delay(RetryPolicy(), attempt=attempt, hint=hint, jitter=jitter) >= hint


def test_retry_info_is_followed():
    attempts = Attempts(QUOTA, OK)
    assert attempts.run(draw=0.0) is OK
    assert attempts.slept == [11.0]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        (" 7 ", 7.0),
        ("Sat, 21 Nov 2026 12:00:30", None),  # no offset
        ("nan", None),
        ("inf", None),
        ("1e300", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


def test_the_longer_of_two_hints_counts():
    assert hinted_delay(QUOTA, NOW) == 11.0
    assert hinted_delay(Response(code=429, headers={"retry-after": "20"}, body=QUOTA.body), NOW) == 20.0
    assert hinted_delay(Response(code=429, headers={"retry-after": "2"}, body=QUOTA.body), NOW) == 11.0
    assert hinted_delay(BUSY, NOW) is None


@pytest.mark.parametrize("delay", ["", "11", "soon", None, "1e3s"])
def test_an_invalid_retry_info_is_ignored(delay):
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    body = msgspec.json.encode(error_body(429, "RESOURCE_EXHAUSTED", "no", detail))
    assert hinted_delay(Response(code=429, body=body), NOW) is None


def test_the_last_answer_comes_back_when_time_is_up():
    attempts = Attempts(BUSY)
    assert attempts.run(draw=1.0, timeout_seconds=20.0) is BUSY
    assert sum(attempts.slept) < 20.0


def test_a_hint_beyond_the_deadline_ends_the_tries_at_once():
    attempts = Attempts(QUOTA)
    assert attempts.run(timeout_seconds=10.0) is QUOTA
    assert attempts.slept == []


def test_a_call_that_waits_while_others_succeed_does_not_run_out_of_time():
    last_answer, attempts = LastAnswer(), Attempts(*[QUOTA] * 9, OK)

    async def sleep(seconds):  # meanwhile the server takes a sibling
        attempts.now += seconds
        last_answer.at = attempts.now

    def run(last_answer):
        work = send_with_retries(
            attempts.send,
            RetryPolicy(timeout_seconds=30.0),
            last_answer=last_answer,
            clock=lambda: attempts.now,
            sleep=sleep,
        )
        return asyncio.run(work)

    assert run(last_answer) is OK
    assert last_answer.at == attempts.now
    attempts.outcomes = [QUOTA]
    assert run(LastAnswer()) is QUOTA


def test_the_progress_of_others_buys_a_broken_server_no_time():
    last_answer, attempts = LastAnswer(at=1e9), Attempts(BUSY)
    work = send_with_retries(
        attempts.send,
        RetryPolicy(timeout_seconds=20.0),
        last_answer=last_answer,
        clock=lambda: attempts.now,
        sleep=attempts.sleep,
    )
    assert asyncio.run(work) is BUSY


def test_broken_connections_are_tried_again():
    attempts = Attempts(BROKEN, REFUSED, OK)
    assert attempts.run() is OK
    assert len(attempts.slept) == 2


def test_the_last_failure_is_raised_with_the_number_of_tries():
    attempts = Attempts(BROKEN, seconds=30.0)
    with pytest.raises(TransportFailure) as caught:
        attempts.run(draw=0.0, timeout_seconds=100.0)
    assert caught.value is BROKEN
    assert caught.value.__notes__[-1] == "gave up after 4 tries"


def test_an_address_where_nothing_listens_is_given_up_sooner():
    attempts = Attempts(REFUSED)
    with pytest.raises(TransportFailure):
        attempts.run(draw=1.0, timeout_seconds=300.0, unreachable_seconds=15.0)
    assert 5.0 < sum(attempts.slept) < 15.0


def test_a_try_after_a_sleep_that_took_too_long_has_no_time_left_but_not_less():
    attempts = Attempts(BUSY)

    async def oversleep(seconds):
        attempts.now += 50.0

    attempts.sleep = oversleep
    assert attempts.run(timeout_seconds=20.0) is BUSY
    assert attempts.allowed == [20.0, 0.0]


def test_no_try_may_outlast_its_own_limit_or_the_deadline():
    attempts = Attempts(BROKEN, seconds=40.0)
    with pytest.raises(TransportFailure):
        attempts.run(draw=0.0, timeout_seconds=100.0, attempt_seconds=60.0)
    assert attempts.allowed == [60.0, 60.0, 20.0]
