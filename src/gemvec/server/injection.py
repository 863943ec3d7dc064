"""Faults on purpose, for testing clients: `--inject 429=0.05,503=0.01,latency=200ms`.

Applies only to the API's routes; health, metrics and pages are not affected.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.errors import ApiError, BadSetting, GemvecError, Overloaded
from gemvec.wire.status import HTTP_STATUSES

_LATENCY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s)")
_STATUSES = range(400, 600)
_TOO_MANY_REQUESTS = 429
_MESSAGE = "A fault that this server was told to inject."


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults, and how often they happen.

    Attributes:
        rates: HTTP status -> share of requests answered with it, 0 to 1.
        latency_seconds: added to every request.
    """

    rates: tuple[tuple[int, float], ...] = ()
    latency_seconds: float = 0.0

    def draw(self, chance: float) -> int | None:
        """Return the status that `chance` (0 to 1) falls on, or None for no fault."""
        for status, rate in self.rates:
            if chance < rate:
                return status
            chance -= rate
        return None


def parse_faults(text: str) -> Faults:
    """Read `429=0.05,503=0.01,latency=200ms`.

    Raises:
        BadSetting: it cannot be read; the message names the part.
    """
    rates: list[tuple[int, float]] = []
    latency_seconds = 0.0
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = part.partition("=")
        found = _LATENCY.fullmatch(value) if name == "latency" else None
        if found:
            latency_seconds = float(found["number"]) / (1000 if found["unit"] == "ms" else 1)
        elif re.fullmatch("[0-9]{3}", name) and int(name) in _STATUSES and _is_share(value):
            rates.append((int(name), float(value)))
        else:
            raise BadSetting(f"--inject has {part!r}: expected a status and a share (429=0.05) or latency=200ms.")
    if sum(rate for _, rate in rates) > 1:
        raise BadSetting(f"--inject has {text!r}: the shares add up to more than 1.")
    return Faults(rates=tuple(rates), latency_seconds=latency_seconds)


def _is_share(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


class FaultInjection:
    """Delays every request and fails some of them, before anything else is done with them."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless it gets a fault.

        Raises:
            GemvecError: the fault.
        """
        await asyncio.sleep(self._faults.latency_seconds)
        status = self._faults.draw(random.random())  # noqa: S311 - a share of requests, not a secret
        if status is not None:
            scope["state"]["is_injected"] = True  # not a fault of the server
            raise _fault(status)
        await self._app(scope, receive, send)


def _fault(status: int) -> GemvecError:
    if status == _TOO_MANY_REQUESTS:
        return Overloaded(_MESSAGE)
    # Passed on as it is, like the answer of an upstream server.
    return ApiError(status, HTTP_STATUSES.get(status, "UNKNOWN"), _MESSAGE)
