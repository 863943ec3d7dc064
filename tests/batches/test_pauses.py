"""A job that keeps failing is tried again later and later, and others are not held up by it."""

import math

import pytest

from clock import Clock
from gemvec.batches.pauses import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, Pauses


@pytest.fixture
def clock():
    return Clock(100.0)


@pytest.fixture
def pauses(clock):
    return Pauses(clock)


def test_nothing_is_parked_at_first(pauses):
    assert pauses.parked() == ()
    assert pauses.seconds_left() == math.inf


def test_pauses_double_up_to_a_minute(pauses, clock):
    lengths = []
    for _ in range(9):
        lengths.append(pauses.begin(1))
        clock.now += lengths[-1]
    assert lengths[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert lengths[-1] == MAX_PAUSE_SECONDS


def test_chunks_that_fail_together_count_once(pauses, clock):
    pauses.begin(1)
    clock.now += FIRST_PAUSE_SECONDS / 2
    assert pauses.begin(1) == FIRST_PAUSE_SECONDS
    assert pauses.seconds_left() == FIRST_PAUSE_SECONDS / 2


def test_a_job_is_left_alone_only_while_its_pause_lasts(pauses, clock):
    pauses.begin(1)
    clock.now += FIRST_PAUSE_SECONDS / 2
    pauses.begin(2)
    assert pauses.parked() == (1, 2)
    clock.now += FIRST_PAUSE_SECONDS / 2
    assert pauses.parked() == (2,)


def test_success_forgets_the_failures(pauses, clock):
    pauses.begin(1)
    pauses.end(1)
    assert pauses.parked() == ()
    assert pauses.begin(1) == FIRST_PAUSE_SECONDS
