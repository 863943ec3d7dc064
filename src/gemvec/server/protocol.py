"""Timeouts, limits and refusals for HTTP/1.1.

A client that must send or read has to move some bytes in every period, or its connection is closed, so that a slow
client costs only a connection; the number of connections is bounded; what is read after an answer is bounded; a client
that still sends can read its answer before its connection is closed (`lingering.py`); and refusals have the API's
shape. Time in which the server is slow (a full queue, a slow disk) never counts against a client.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from gemvec.logs import get_logger
from gemvec.server.heads import refusal_body
from gemvec.server.joining import JoiningTransport
from gemvec.server.lingering import LingeringTransport
from gemvec.server.parsing import ParsingProtocol, Phase
from gemvec.settings import Settings

log = get_logger("server")

# Even a client on a bad mobile network is faster than this.
_MIN_BYTES_PER_SECOND = 500
# A check that is late by more than this share of the timeout says nothing about the client.
_OWN_HALT = 0.1
# How much a client may still send of a request that was already answered; many read the answer only afterwards.
_MAX_IGNORED_BYTES = 256 * 2**20
_IGNORING_PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of connections.

    Attributes:
        max_connections: most connections at a time.
        max_head_bytes: how long the head of a request may be.
        timeout_seconds: how long a client may keep the server waiting.
    """

    max_connections: int
    max_head_bytes: int
    timeout_seconds: float


def bounded_protocol(settings: Settings) -> type[asyncio.Protocol]:
    """Return what uvicorn makes a connection of, for `uvicorn.Config(http=...)`."""
    bounds = Bounds(
        max_connections=settings.max_connections,
        max_head_bytes=settings.max_header_bytes,
        timeout_seconds=settings.client_timeout_seconds,
    )
    return cast("type[asyncio.Protocol]", partial(BoundedProtocol, bounds=bounds))


class BoundedProtocol(ParsingProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bounds: Bounds,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, max_head_bytes=bounds.max_head_bytes)
        self._bounds = bounds
        self._refusal: tuple[HTTPStatus, str] | None = None  # of what follows requests that are not answered yet
        self._ignored_bytes = 0  # since the last request began
        self._watch: asyncio.TimerHandle | None = None
        self._received_bytes = 0  # since the watch was set
        self._unsent_bytes = 0  # when the watch was set

    # What uvicorn and the event loop call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Expect a request soon; refuse the connection if there are too many."""
        super().connection_made(transport)
        joining = cast("asyncio.Transport", JoiningTransport(transport, self.loop))
        self._lingering = LingeringTransport(joining, self._is_arriving)
        self.transport = cast("asyncio.Transport", self._lingering)
        if len(self.connections) > self._bounds.max_connections:
            log.warning("too many connections", extra={"connections": len(self.connections)})
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections; try again in a second.")
            return
        self._watch_or_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._rest()
        self._stop_answering()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes that arrived."""
        self._received_bytes += len(data)
        if self.transport.is_closing():
            if self._lingering.is_lingering:
                self._ignore(data)
            return
        if self.phase is not Phase.BODY:
            self._ignored_bytes = 0
        self.parse(data)
        if self.phase is Phase.WHOLE and not self.unanswered and self.timeout_keep_alive_task is None:
            self.phase = Phase.NOTHING  # bytes that begin no request have ended uvicorn's watch over idle connections
        if self._is_ignoring():
            self._ignore(data)
        self._watch_or_rest()

    def _ignore(self, data: bytes) -> None:
        """Throw away what comes after an answer, and read no more for a moment: it must not keep others waiting."""
        self._ignored_bytes += len(data)
        if self._ignored_bytes > _MAX_IGNORED_BYTES:
            self._break_off()
            return
        self.flow.pause_reading()
        self.loop.call_later(_IGNORING_PAUSE_SECONDS, self.flow.resume_reading)

    def pause_writing(self) -> None:
        """Expect the client to read its answer."""
        super().pause_writing()
        self._watch_or_rest()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        self._rest()
        self._watch_or_rest()

    def on_response_complete(self) -> None:
        """Expect the client to read the rest of the answer, which uvicorn keeps even when it closes."""
        super().on_response_complete()
        if self._lingering.is_lingering:
            self.flow.resume_reading()
        if self._refusal and not self.transport.is_closing():
            self.refuse(*self._refusal)
        self._rest()
        self._watch_or_rest()

    # Refusing

    def refuse(self, code: HTTPStatus, message: str) -> None:
        """Answer the request that is arriving, and close; only close if an answer would spoil another one.

        Requests before it get their answers first.
        """
        self.stop_parsing()
        is_answering_it = self.phase is Phase.BODY and not self.cycle.response_complete
        if is_answering_it and self.cycle.response_started:
            self._break_off()
            return
        if len(self.unanswered) > is_answering_it:
            self._refusal = code, message
            return
        body = refusal_body(code, message)
        head = (
            f"HTTP/1.1 {code.value} {code.phrase}\r\ncontent-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._stop_answering()
        self._lingering.close_at_once()

    def _break_off(self) -> None:
        self._stop_answering()
        self.transport.abort()

    def _stop_answering(self) -> None:
        """Tell the application that its caller is gone, before it writes to a closed connection."""
        for cycle in self.unanswered:
            cycle.disconnected = True
            cycle.message_event.set()

    # State of the request

    def _is_arriving(self) -> bool:
        """Whether more of a request's body is on its way."""
        return self.phase is Phase.BODY

    def _is_ignoring(self) -> bool:
        """Whether the arriving bytes belong to a request that was already answered."""
        return self.phase is Phase.BODY and self.cycle.response_complete

    # Watching

    def _has_to_take(self) -> bool:
        """Whether an answer waits for the client to read: it is complete, or cannot go on before the client reads."""
        is_complete = not self.unanswered
        return self.flow.write_paused or (is_complete and self.transport.get_write_buffer_size() > 0)

    def _has_to_send(self) -> bool:
        if self.transport.is_closing():
            return self._lingering.is_lingering
        return self.phase is not Phase.WHOLE  # uvicorn itself watches idle connections

    def _watch_or_rest(self) -> None:
        if not (self._has_to_take() or self._has_to_send()):
            self._rest()
        elif self._watch is None:
            self._set_watch()

    def _rest(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _set_watch(self) -> None:
        self._received_bytes = 0
        self._unsent_bytes = self.transport.get_write_buffer_size()
        due_at = self.loop.time() + self._bounds.timeout_seconds
        self._watch = self.loop.call_at(due_at, self._check, due_at)

    def _check(self, due_at: float) -> None:
        """Close the connection if its client has been too slow; otherwise go on watching."""
        self._watch = None
        has_to_take = self._has_to_take()
        if not (has_to_take or self._has_to_send()):
            return
        taken_bytes = self._unsent_bytes - self.transport.get_write_buffer_size()
        is_steady = max(self._received_bytes, taken_bytes) >= _MIN_BYTES_PER_SECOND * self._bounds.timeout_seconds
        # If this process itself was suspended, what arrived meanwhile has not been read yet.
        is_late = self.loop.time() > due_at + _OWN_HALT * self._bounds.timeout_seconds
        if is_steady or is_late or (self.flow.read_paused and not has_to_take):
            self._set_watch()
        elif self._may_go_silently() and not has_to_take:
            self._lingering.close_at_once()
        else:
            log.info("closed a slow connection", extra={"received": self._received_bytes, "taken": taken_bytes})
            if has_to_take:
                self._break_off()
            else:
                self.refuse(HTTPStatus.REQUEST_TIMEOUT, "The request did not come in time.")

    def _may_go_silently(self) -> bool:
        return self._lingering.is_lingering or self.phase is Phase.NOTHING
