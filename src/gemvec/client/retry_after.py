"""How long a server asks to wait: its Retry-After header (`parse_retry_after`)."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\s*(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*")


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds in a Retry-After header, which has a number or an HTTP date.

    >>> from datetime import UTC
    >>> parse_retry_after("Wed, 21 Oct 2026 07:28:00 GMT", datetime(2026, 10, 21, 7, 27, 30, tzinfo=UTC))
    30.0
    """
    if found := _SECONDS.fullmatch(value):
        return max(0.0, float(found[1]))
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without an offset
        return None
