"""Which jobs are parked, and for how long: the pause of a job that keeps failing doubles, up to a minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Pause:
    until: float
    seconds: float


class Pauses:
    """The parked jobs of one runner."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure time with `clock`, in seconds."""
        self._clock = clock
        self._pauses: dict[int, _Pause] = {}

    def begin(self, job_number: int) -> float:
        """Park a job, longer than last time; return for how many seconds. Chunks that fail together count once."""
        now = self._clock()
        last = self._pauses.get(job_number)
        if last is None:
            pause = _Pause(now + FIRST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS)
        elif now < last.until:
            pause = last
        else:
            seconds = min(2 * last.seconds, MAX_PAUSE_SECONDS)
            pause = _Pause(now + seconds, seconds)
        self._pauses[job_number] = pause
        return pause.seconds

    def end(self, job_number: int) -> None:
        """Forget the failures of a job."""
        self._pauses.pop(job_number, None)

    def parked(self) -> tuple[int, ...]:
        """Return the jobs to leave alone now."""
        now = self._clock()
        return tuple(number for number, pause in self._pauses.items() if now < pause.until)

    def seconds_left(self) -> float:
        """Return how long until the next parked job may be tried again; infinite without any."""
        now = self._clock()
        return min((pause.until - now for pause in self._pauses.values() if now < pause.until), default=math.inf)
