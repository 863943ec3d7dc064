"""Clocks that a test turns: one of seconds, one of moments."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Seconds, as `time.monotonic` returns them."""

    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


class Calendar:
    """Moments, as `utc_now` returns them; no two are the same."""

    def __init__(self, now=datetime(2026, 1, 1, tzinfo=UTC)):
        self.now = now

    def __call__(self):
        self.now += timedelta(microseconds=1)
        return self.now

    def advance(self, **duration):
        self.now += timedelta(**duration)
