"""How much may be sent in a minute: `Rate`, and `RateMeter`, which counts what was sent.

The rate holds in every span of sixty seconds, so it does not matter which minutes a service counts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What may be sent in a minute.

    Attributes:
        texts: 0 for any number.
        tokens: their estimated tokens; 0 for any number.
    """

    texts: int = 0
    tokens: int = 0

    def seconds_for(self, texts: int, tokens: int) -> float:
        """Return how long it takes to send this much."""
        minutes = [count / limit for count, limit in ((texts, self.texts), (tokens, self.tokens)) if limit]
        return _MINUTE_SECONDS * max(minutes, default=0.0)


@dataclass(frozen=True, slots=True)
class _Sending:
    sent_at: float
    texts: int
    tokens: int


class RateMeter:
    """Keeps what is sent within a rate; belongs to one event loop, so it has no lock."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet.

        Args:
            rate: what may be sent.
            clock: monotonic seconds.
        """
        self._rate = rate
        self._clock = clock
        self._sendings: deque[_Sending] = deque()
        self._texts = self._tokens = 0  # of the last minute

    def seconds_until(self, texts: int, tokens: int) -> float:
        """Return how long this much has to wait; 0.0 when it may be sent now.

        What exceeds a minute's rate by itself may be sent after a minute in which nothing is sent, or it would never
        be.
        """
        now = self._clock()
        self._forget(now)
        texts, tokens, wait = self._texts + texts, self._tokens + tokens, 0.0
        for sending in self._sendings:
            if self._fits(texts, tokens):
                break
            texts, tokens = texts - sending.texts, tokens - sending.tokens
            wait = sending.sent_at + _MINUTE_SECONDS - now
        return wait

    def has_room(self, texts: int, tokens: int) -> bool:
        """Whether this much fits into the rest of the rate."""
        self._forget(self._clock())
        return self._fits(self._texts + texts, self._tokens + tokens)

    def note(self, texts: int, tokens: int) -> None:
        """Record that this much is being sent."""
        self._sendings.append(_Sending(self._clock(), texts, tokens))
        self._texts += texts
        self._tokens += tokens

    def _forget(self, now: float) -> None:
        while self._sendings and self._sendings[0].sent_at + _MINUTE_SECONDS <= now:
            sending = self._sendings.popleft()
            self._texts -= sending.texts
            self._tokens -= sending.tokens

    def _fits(self, texts: int, tokens: int) -> bool:
        return (not self._rate.texts or texts <= self._rate.texts) and (
            not self._rate.tokens or tokens <= self._rate.tokens
        )
