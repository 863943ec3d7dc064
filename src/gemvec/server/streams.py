"""Answers that go on while somebody looks: server-sent events, for the lists of the console."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gemvec.errors import GemvecError, Overloaded
from gemvec.server.auth import authenticator_of

_EVENTS = "text/event-stream"
_EVERY_SECONDS = 1.0
# How soon a stream notices that the server stops; uvicorn cuts connections off after a second.
_TICK_SECONDS = 0.1
# A proxy closes a connection that says nothing, and a caller who left is only noticed by writing.
_SILENT_SECONDS = 15.0
# Then the stream ends, and the caller asks again.
_MAX_SECONDS = 600.0
MAX_STREAMS = 100
MAX_STREAMS_OF_OWNER = 10

Read = Callable[[], Awaitable[bytes]]


class Streams:
    """The open streams of one server, counted by owner. For one event loop."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()

    def take(self, owner: str) -> None:
        """Count one more stream of an owner.

        Raises:
            Overloaded: there are too many.
        """
        if self.open.total() >= MAX_STREAMS or self.open[owner] >= MAX_STREAMS_OF_OWNER:
            raise Overloaded(
                f"Too many lists are followed at once: {self.open[owner]} with this key, {self.open.total()} in all; "
                f"{MAX_STREAMS_OF_OWNER} and {MAX_STREAMS} are allowed. Ask for the list itself instead.",
                retry_after_seconds=_SILENT_SECONDS,
            )
        self.open[owner] += 1

    def give_back(self, owner: str) -> None:
        """Count one less."""
        self.open[owner] -= 1
        if not self.open[owner]:
            del self.open[owner]


class EventStream(StreamingResponse):
    """An answer that sends a list when it has changed, until the caller leaves, the key ends or the server stops."""

    def __init__(self, request: Request, read: Read, first: bytes) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(_follow(request, read, first), media_type=_EVENTS, headers=headers)
        self._streams, self._owner = cast("Streams", request.app.state.streams), cast("str", request.state.owner)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        Raises:
            Overloaded: there are too many streams.
        """
        self._streams.take(self._owner)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.give_back(self._owner)


async def follow(request: Request, read: Read) -> Response:
    """Return what `read` returns, JSON on one line; to a caller who accepts events, again whenever it has changed.

    Raises:
        GemvecError: what `read` raises at first; later it ends the stream.
    """
    first = await read()
    if _EVENTS not in request.headers.get("accept", ""):
        return Response(first, media_type="application/json; charset=utf-8")
    return EventStream(request, read, first)


async def _follow(request: Request, read: Read, first: bytes) -> AsyncGenerator[bytes]:
    yield _event(first)
    sent, now = first, time.monotonic()
    spoke_at, end = now, now + _MAX_SECONDS
    while now < end and await _may_go_on(request, _EVERY_SECONDS):
        now = time.monotonic()
        try:
            latest = await read()
        except GemvecError:  # the caller asks again, and is told
            return
        if latest != sent:
            yield _event(latest)
            sent, spoke_at = latest, now
        elif now >= spoke_at + _SILENT_SECONDS:
            yield b": nothing new\n\n"
            spoke_at = now


async def _may_go_on(request: Request, seconds: float) -> bool:
    """Wait, and return whether the server still serves and the caller's key still works."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if request.app.state.gate.is_closed:
            return False
        await asyncio.sleep(_TICK_SECONDS)
    caller = await authenticator_of(request).recognise(request)
    return caller is not None and caller.owner == request.state.owner


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
