"""What is known of each request, noted once for the access log, the metrics and the traces.

It is on `request.state`: `request_id`, `status` (499 for a caller that left), and what inner layers add: `route`,
`version`, `dialect`, `caller`, `owner`, `model`, `error`, `unknown_path`. Nothing that a caller wrote is logged: of a
path that leads nowhere only the words that some API has.
"""

from __future__ import annotations

import time
from secrets import token_hex

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gemvec.logs import get_logger
from gemvec.server.metrics import Metrics, method_of

log = get_logger("access")

# Said of a caller that went away before the answer; never sent.
CALLER_LEFT = 499


class Observed:
    """Gives each request an id, notes how it was answered, and tells log and metrics when it is over.

    The answer carries the id as `x-request-id`; a caller's own is not taken over.
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
    extra = {
        "method": method_of(scope),
        "route": route.path if route else "-",
        "status": state["status"],
        "ms": round(seconds * 1000, 1),
        "request_id": state["request_id"],
        "model": model.name if model else "-",
    }
    if path := state.get("unknown_path"):
        extra["path"] = path
    log.info("request", extra=extra)
