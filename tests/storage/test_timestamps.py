"""A clock that is set while a server runs, or between two of its lives, neither expires nor revives anything."""

from datetime import UTC, datetime, timedelta

import pytest

from clock import Clock
from gemvec.storage.timestamps import SteadyClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Wall:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def elapsed():
    return Clock()


@pytest.fixture
def steady(wall, elapsed):
    return SteadyClock(wall, elapsed)


@pytest.mark.parametrize("jump", [timedelta(days=3), timedelta(days=-3), timedelta(minutes=2)])
def test_a_jump_of_the_systems_clock_is_not_followed(steady, wall, elapsed, jump):
    wall.now += jump
    assert steady() == NOON
    elapsed.advance(10)
    wall.now += timedelta(seconds=10)
    assert steady() == NOON + timedelta(seconds=10)


def test_small_corrections_are_followed(steady, wall, elapsed):
    for _ in range(10):
        elapsed.advance(600)
        wall.now += timedelta(seconds=601)
        assert steady() == wall.now


def test_a_clock_that_is_set_right_again_is_followed_again(steady, wall, elapsed):
    wall.now += timedelta(days=3)
    assert steady() == NOON
    elapsed.advance(60)
    wall.now = NOON + timedelta(seconds=61)
    assert steady() == wall.now


def test_what_has_passed_does_not_come_again(steady, wall, elapsed):
    steady.start_no_earlier_than(NOON + timedelta(days=1))
    elapsed.advance(5)
    assert steady() == NOON + timedelta(days=1, seconds=5)
    steady.start_no_earlier_than(NOON)
    assert steady() == NOON + timedelta(days=1, seconds=5)
