"""Moments in time: aware UTC in Python, the same moment back from either database, and a clock that does not jump."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

# The system's clock is corrected by up to this much now and then; a larger change is a jump, and is not followed.
_FOLLOWED = timedelta(minutes=1)


def _wall_clock() -> datetime:
    return datetime.now(UTC)


def _elapsed_seconds() -> float:
    """Return seconds on a clock that cannot be set; if the system has one, it also counts while the machine sleeps."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


class SteadyClock:
    """The present moment: the time of the system's clock at the start, plus the time that has passed since.

    Setting the clock three days ahead by mistake expires nothing, and setting it back revives nothing.
    """

    def __init__(
        self, wall_clock: Callable[[], datetime] = _wall_clock, elapsed_seconds: Callable[[], float] = _elapsed_seconds
    ) -> None:
        """Start at the time of `wall_clock`; go on by `elapsed_seconds`."""
        self._wall_clock = wall_clock
        self._elapsed_seconds = elapsed_seconds
        self._known = (wall_clock(), elapsed_seconds())  # replaced whole, so that threads see both or neither

    def __call__(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        elapsed, wall = self._elapsed_seconds(), self._wall_clock()
        start, started = self._known
        steady = start + timedelta(seconds=elapsed - started)
        if abs(wall - steady) > _FOLLOWED:
            return steady
        self._known = (wall, elapsed)
        return wall

    def start_no_earlier_than(self, moment: datetime) -> None:
        """Go on from a moment that is known to have passed, if the clock shows an earlier one."""
        if self() < moment:
            self._known = (moment, self._elapsed_seconds())


utc_now = SteadyClock()


class UtcDateTime(TypeDecorator[datetime]):
    """A column of aware UTC datetimes, to the microsecond.

    PostgreSQL keeps `timestamp with time zone`. SQLite keeps text of fixed width without an offset, so that it sorts
    and compares as time does.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive datetime, because its moment is not defined."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored moment must carry its offset, {value!r} does not")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC, whatever the session's time zone is."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
