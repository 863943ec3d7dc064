"""What is known about each request, noted once for the access log, the metrics and the traces.

It is on `request.state`: `request_id`, `status` (499 if the caller hung up), and what inner layers add: `route`,
`version`, `dialect`, `caller`, `owner`, `model`, `texts`, `tokens`, `truncated`, `unknown_texts`, `waiting_ms`,
`computing_ms`, `error`, `reason`, `unknown_path`. Nothing that a caller wrote is logged: of an unknown path, only words
that belong to some API.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from secrets import token_hex
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gemvec.logs import get_logger
from gemvec.server.metrics import Metrics, method_of

log = get_logger("access")

# The status when the caller hung up before the answer; never sent.
CALLER_LEFT = 499


# Optional fields of a line, by their names on `request.state`.
_OPTIONAL = {
    "texts": "texts",
    "tokens": "tokens",
    "truncated": "truncated",
    "unknown_texts": "unknown_texts",
    "waiting_ms": "waiting_ms",
    "computing_ms": "computing_ms",
    "error": "error",
    "reason": "reason",
    "unknown_path": "path",
}


class Observed:
    """Gives each request an id, notes how it was answered, and reports it to log and metrics at its end.

    The answer has the id as `x-request-id`; an id from the caller is not used.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state |= {"request_id": token_hex(8), "status": CALLER_LEFT}
        header = (b"x-request-id", state["request_id"].encode())

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        started = time.perf_counter()
        try:
            with self._metrics.in_progress.track_inprogress():
                await self._app(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - started
            _log(scope, seconds)
            self._metrics.note_request(scope, seconds)


def _log(scope: Scope, seconds: float) -> None:
    state = scope["state"]
    route, model = state.get("route"), state.get("model")
    extra: dict[str, Any] = {
        "method": method_of(scope),
        "route": route.path if route else "-",
        "status": state["status"],
        "ms": round(seconds * 1000, 1),
        "request_id": state["request_id"],
    }
    if model:
        extra["model"] = model.name
    extra |= {name: state[key] for key, name in _OPTIONAL.items() if state.get(key)}
    if (caller := state.get("caller")) and caller.key_name:
        extra["key"] = caller.key_name
    # Monitoring calls these every few seconds; only failures are logged.
    is_quiet = route is not None and not route.is_api and state["status"] < HTTPStatus.BAD_REQUEST
    log.log(logging.DEBUG if is_quiet else logging.INFO, "request", extra=extra)
