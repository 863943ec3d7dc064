"""Rate limits: texts and tokens in a minute or a day, as Google counts them or for one API key.

They are counted in fixed windows, like Google's quotas: a window opens with the first request and everything in it
counts until it ends. A call that does not fit is refused as a whole, with the time until it would fit. Source:
https://ai.google.dev/gemini-api/docs/rate-limits and 429 answers in public issues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gemvec.errors import RateLimited

MINUTE_SECONDS, DAY_SECONDS = 60.0, 86_400.0
_GOOGLE_METRIC = "generativelanguage.googleapis.com/embed_content_free_tier_"
_GOOGLE_WORDS = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this "
    "error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)
_KEYS_WORDS = "The API key has reached a limit that the operator of this server gave it."
_MAX_WINDOWS = 10_000  # ended windows are dropped when there are more


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One limit.

    Attributes:
        unit: what is counted: texts, or their tokens.
        limit: how many fit into a window.
        window_seconds: how long a window is.
        quota_id: the name a 429 gives the limit.
        metric: the name a 429 gives to what is counted.
        is_per_model: whether each model has its own window; a key's limits are for all models together.
    """

    unit: Literal["requests", "tokens"]
    limit: int
    window_seconds: float
    quota_id: str
    metric: str
    is_per_model: bool = True


def per_minute_requests(limit: int) -> Quota:
    """Return Google's limit on texts per minute."""
    return Quota(
        unit="requests",
        limit=limit,
        window_seconds=MINUTE_SECONDS,
        quota_id="EmbedContentRequestsPerMinutePerProjectPerModel-FreeTier",
        metric=_GOOGLE_METRIC + "requests",
    )


def per_day_requests(limit: int) -> Quota:
    """Return Google's limit on texts per day."""
    return Quota(
        unit="requests",
        limit=limit,
        window_seconds=DAY_SECONDS,
        quota_id="EmbedContentRequestsPerDayPerProjectPerModel-FreeTier",
        metric=_GOOGLE_METRIC + "requests",
    )


def per_minute_tokens(limit: int) -> Quota:
    """Return Google's limit on tokens per minute."""
    return Quota(
        unit="tokens",
        limit=limit,
        window_seconds=MINUTE_SECONDS,
        quota_id="EmbedContentInputTokensPerModelPerMinute-FreeTier",
        metric=_GOOGLE_METRIC + "input_token_count",
    )


def per_key(unit: Literal["requests", "tokens"], limit: int, window_seconds: float) -> Quota:
    """Return a limit on what one API key may embed in a minute or a day, for all models together."""
    window = "Minute" if window_seconds < DAY_SECONDS else "Day"
    return Quota(
        unit=unit,
        limit=limit,
        window_seconds=window_seconds,
        quota_id=f"Embed{unit.capitalize()}Per{window}PerKey",
        metric=f"gemvec/embed_{unit}",
        is_per_model=False,
    )


@dataclass(slots=True)
class _Window:
    ends_at: float  # on the meter's clock
    used: int = 0


class Meter(Protocol):
    """Counts what callers use of their quotas."""

    async def spend(self, caller: str, model: str, quotas: Sequence[Quota], *, requests: int, tokens: int) -> None:
        """Count one call against every quota, or against none if it does not fit into all of them.

        Raises:
            RateLimited: it does not fit; says how long until it does, or that it never will.
        """
        ...

    def check(self, caller: str, model: str, quotas: Sequence[Quota], *, requests: int, tokens: int) -> None:
        """Refuse a call that is known not to fit; count nothing.

        Raises:
            RateLimited: it does not fit; says how long until it does, or that it never will.
        """
        ...


class QuotaMeter:
    """Counts in memory, for a server that is alone; belongs to one event loop, so it has no lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str, str], _Window] = {}

    async def spend(self, caller: str, model: str, quotas: Sequence[Quota], *, requests: int, tokens: int) -> None:
        """See `Meter.spend`."""
        self.check(caller, model, quotas, requests=requests, tokens=tokens)
        now, costs = self._clock(), {"requests": requests, "tokens": tokens}
        for quota in quotas:
            self._window(caller, model, quota, now).used += costs[quota.unit]

    def check(self, caller: str, model: str, quotas: Sequence[Quota], *, requests: int, tokens: int) -> None:
        """See `Meter.check`; whether a call fits is always known."""
        now, costs = self._clock(), {"requests": requests, "tokens": tokens}
        windows = [(quota, self._window(caller, model, quota, now)) for quota in quotas]
        full = [(quota, window) for quota, window in windows if window.used + costs[quota.unit] > quota.limit]
        if full:
            seconds = max(window.ends_at for _, window in full) - now
            too_large = [quota for quota, _ in full if costs[quota.unit] > quota.limit]
            raise exceeded(model, [quota for quota, _ in full], seconds, too_large, costs)

    def _window(self, caller: str, model: str, quota: Quota, now: float) -> _Window:
        if len(self._windows) > _MAX_WINDOWS:
            self._windows = {name: window for name, window in self._windows.items() if window.ends_at > now}
        name = (caller, model if quota.is_per_model else "", quota.quota_id)
        window = self._windows.get(name)
        if window is None or window.ends_at <= now:
            window = self._windows[name] = _Window(now + quota.window_seconds)
        return window


def exceeded(
    model: str, quotas: Sequence[Quota], seconds: float, too_large: Sequence[Quota], costs: Mapping[str, int]
) -> RateLimited:
    """Return the refusal of a call.

    Args:
        model: which model was called.
        quotas: what it does not fit into.
        seconds: until the last of their windows ends.
        too_large: those of the quotas whose whole window would be too small.
        costs: what the call costs, by unit.
    """
    words = _GOOGLE_WORDS if any(each.metric.startswith(_GOOGLE_METRIC) for each in quotas) else _KEYS_WORDS
    lines = [f"* Quota exceeded for metric: {each.metric}, limit: {each.limit}, model: {model}" for each in quotas]
    lines += [
        f"This call alone has {costs[each.unit]} {each.unit}, more than the limit of {each.limit}: send fewer at once."
        for each in too_large
    ]
    return RateLimited(
        "\n".join([words, *lines, f"Please retry in {seconds:.3f}s."]),
        retry_after_seconds=seconds,
        violations=tuple((each.metric, each.quota_id, model, each.limit) for each in quotas),
    )
