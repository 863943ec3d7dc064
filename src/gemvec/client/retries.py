"""When to retry, and how long to wait: pure functions decide, and `send_with_retries` does it.

408, 429, 5xx and broken connections are retried: embedding a text twice does no harm. If the server says when to retry
(RetryInfo, Retry-After), the wait is as long as that. Otherwise it is random, from zero to a bound that doubles ("full
jitter"), so that callers who failed together do not retry together.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from gemvec.client.errors import parse_error, retry_delay_of
from gemvec.client.retry_after import parse_retry_after
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.transport import Response
from gemvec.errors import TransportFailure
from gemvec.logs import get_logger

_TRANSIENT = {408, 429}
_SERVER_ERRORS = 500

# The outcome of one attempt.
Outcome: TypeAlias = Response | TransportFailure

_logger = get_logger("client")


@dataclass(slots=True)
class LastAnswer:
    """When one of several calls that run at the same time last succeeded.

    Attributes:
        at: on the clock of `send_with_retries`.
    """

    at: float = -math.inf


def is_transient(outcome: Outcome) -> bool:
    """Whether a request may succeed if it is sent again."""
    return not isinstance(outcome, Response) or outcome.code in _TRANSIENT or outcome.code >= _SERVER_ERRORS


def hinted_delay(response: Response, now: datetime) -> float | None:
    """Return how many seconds the server asks to wait: the longer of RetryInfo and Retry-After, or None."""
    hints = [retry_delay_of(parse_error(response)), parse_retry_after(response.headers.get("retry-after", ""), now)]
    return max((hint for hint in hints if hint is not None), default=None)


def next_delay(policy: RetryPolicy, *, attempt: int, hint: float | None, jitter: float) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (from 1).

    Args:
        policy: the bounds.
        attempt: how many attempts have failed.
        hint: the seconds that the server asked for; the wait is never shorter.
        jitter: a random number in [0, 1).
    """
    if hint is not None:
        return hint + jitter * policy.first_delay_seconds
    return jitter * min(policy.max_delay_seconds, policy.first_delay_seconds * 2 ** (attempt - 1))


async def send_with_retries(
    send: Callable[[float], Awaitable[Response]],
    policy: RetryPolicy,
    *,
    last_answer: LastAnswer | None = None,
    may_repeat: Callable[[Outcome], bool] = is_transient,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    draw: Callable[[], float] = random.random,
) -> Response:
    """Send until there is an answer that a retry would not change, or the time is up.

    Args:
        send: sends once; called with a timeout in seconds.
        policy: how long to keep trying.
        last_answer: shared by calls that run at the same time: if the server limits the rate, some wait for others.
        may_repeat: whether to retry after this outcome.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
        draw: returns a random number in [0, 1).

    Returns:
        The last answer, which may be an error.

    Raises:
        TransportFailure: the last attempt got no answer.
    """
    start = clock()
    last_answer = last_answer or LastAnswer()
    attempt = 0
    while True:
        attempt += 1
        left = max(policy.timeout_seconds - (clock() - start), 0.0)  # a sleep may take longer than requested
        outcome = await _try(send, min(policy.attempt_seconds, left))
        if not may_repeat(outcome):
            last_answer.at = clock()
            return _final(outcome, attempt)
        hint = hinted_delay(outcome, datetime.now(UTC)) if isinstance(outcome, Response) else None
        if hint is not None:
            start = max(start, last_answer.at)
        delay = next_delay(policy, attempt=attempt, hint=hint, jitter=draw())
        if clock() - start + delay >= _time_limit(policy, outcome):
            return _final(outcome, attempt)
        _logger.info("trying again", extra={"reason": _reason(outcome), "attempt": attempt, "delay_seconds": delay})
        await sleep(delay)


async def _try(send: Callable[[float], Awaitable[Response]], seconds: float) -> Outcome:
    try:
        return await send(seconds)
    except TransportFailure as failure:
        return failure


def _time_limit(policy: RetryPolicy, outcome: Outcome) -> float:
    if isinstance(outcome, TransportFailure) and not outcome.connected:
        return min(policy.timeout_seconds, policy.unreachable_seconds)
    return policy.timeout_seconds


def _reason(outcome: Outcome) -> str:
    return str(outcome.code) if isinstance(outcome, Response) else outcome.message


def _final(outcome: Outcome, attempts: int) -> Response:
    if isinstance(outcome, Response):
        return outcome
    if attempts > 1:
        outcome.add_note(f"gave up after {attempts} tries")
    raise outcome
