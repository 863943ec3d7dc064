"""HTTP/1.1 with bounds: how large a request's head may be, and how long a client may let the server wait.

Uvicorn parses heads of any size, and waits for ever for the rest of a request or for a client to take its answer. Here
a head has a largest size, and a client whose turn it is must move some bytes in every period, or its connection is
closed: slow clients cost a connection each, and no more. What waits on this server (a full queue, a slow disk) is never
held against a client.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import orjson
from uvicorn._types import ASGI3Application  # the type in a method of uvicorn's own
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gemvec.logs import get_logger
from gemvec.settings import Settings
from gemvec.wire.status import error_to_wire

log = get_logger("server")

_MOST_HEADERS = 100
# A client on a bad mobile network does better than this.
_LEAST_BYTES_A_SECOND = 500
# A check that comes later than this share of the timeout says nothing about the client.
_OWN_HALT = 0.1
# What a client may still send of a request that was answered already; many look at the answer only afterwards.
_MOST_IGNORED_BYTES = 64 * 2**20


class _Phase(Enum):
    """What has come of the latest request."""

    NOTHING = "nothing"
    HEAD = "head"  # a part of it
    BODY = "body"  # the head, and a part of the body
    WHOLE = "whole"


class _HeadTooLarge(Exception):
    """Stops the parser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one connection may cost.

    Attributes:
        most_head_bytes: address and headers of one request.
        timeout_seconds: how long a client may keep the server waiting.
    """

    most_head_bytes: int
    timeout_seconds: float


def bounded_protocol(settings: Settings) -> type[asyncio.Protocol]:
    """Return what uvicorn makes a connection of, for `uvicorn.Config(http=...)`."""
    bounds = Bounds(most_head_bytes=settings.max_header_bytes, timeout_seconds=settings.client_timeout_seconds)
    return cast("type[asyncio.Protocol]", partial(BoundedProtocol, bounds=bounds))


class BoundedProtocol(HttpToolsProtocol):
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
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = bounds
        self._phase = _Phase.NOTHING
        self._answering: RequestResponseCycle | None = None  # uvicorn forgets it when the next request is here already
        self._head_bytes = 0
        self._is_head_too_large = False
        self._ignored_bytes = 0
        self._watch: asyncio.TimerHandle | None = None
        self._received_bytes = 0  # since the watch was set
        self._unsent_bytes = 0  # when the watch was set

    # What uvicorn and its parser call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Expect a request soon."""
        super().connection_made(transport)
        self._watch_or_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._rest()
        self._stop_answering()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._received_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._phase is _Phase.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self._bounds.most_head_bytes:
                self._refuse_head()
                return
        elif self._phase is _Phase.WHOLE and self.cycle.response_complete and self.timeout_keep_alive_task is None:
            self._phase = _Phase.NOTHING  # uvicorn has stopped its own watch over idle connections
        self._watch_or_rest()

    def pause_writing(self) -> None:
        """Expect the client to take its answer."""
        super().pause_writing()
        self._watch_or_rest()

    def resume_writing(self) -> None:
        """Note that it has."""
        super().resume_writing()
        self._rest()
        self._watch_or_rest()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._phase = _Phase.HEAD
        self._head_bytes = self._ignored_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._bound_head(is_too_large=len(self.headers) >= _MOST_HEADERS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._bound_head(is_too_large=head_bytes > self._bounds.most_head_bytes)
        self._phase = _Phase.BODY
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Expect the client to take what is left of the answer, which uvicorn keeps even when it closes."""
        super().on_response_complete()
        self._rest()
        self._watch_or_rest()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self.cycle.response_complete:
            self._ignored_bytes += len(body)
            if self._ignored_bytes > _MOST_IGNORED_BYTES:
                self._break_off()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the whole request is here."""
        self._phase = _Phase.WHOLE
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not take."""
        if self._is_head_too_large:
            self._refuse_head()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", msg)

    # Refusing

    def _bound_head(self, *, is_too_large: bool) -> None:
        if is_too_large:
            self._is_head_too_large = True
            raise _HeadTooLarge

    def _refuse_head(self) -> None:
        message = f"The request's head is larger than {self._bounds.most_head_bytes} bytes or {_MOST_HEADERS} headers."
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "INVALID_ARGUMENT", message)

    def _refuse(self, code: HTTPStatus, status: str, message: str) -> None:
        """Answer the request that is coming in, and close; only close where another answer would be cut in two."""
        cycle: RequestResponseCycle | None = self.cycle
        is_first = self._phase is _Phase.BODY and not self.pipeline
        if cycle and not cycle.response_complete and (cycle.response_started or not is_first):
            self._break_off()
            return
        body = orjson.dumps(error_to_wire(code, status, message))
        head = (
            f"HTTP/1.1 {code.value} {code.phrase}\r\ncontent-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._stop_answering()
        self.transport.close()

    def _break_off(self) -> None:
        self._stop_answering()
        self.transport.abort()

    def _stop_answering(self) -> None:
        """Tell whatever answers that its caller is gone, before it writes to a closed connection."""
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    # Watching

    def _has_to_take(self) -> bool:
        """Whether the client keeps back an answer: one that is complete, or cannot go on before it takes some."""
        is_complete = self._answering is None or self._answering.response_complete
        return self.flow.write_paused or (is_complete and self.transport.get_write_buffer_size() > 0)

    def _has_to_send(self) -> bool:
        return self._phase is not _Phase.WHOLE and not self.transport.is_closing()

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
        """Close the connection if its client has been too slow; else go on watching."""
        self._watch = None
        has_to_take = self._has_to_take()
        if not (has_to_take or self._has_to_send()):
            return
        taken_bytes = self._unsent_bytes - self.transport.get_write_buffer_size()
        is_steady = max(self._received_bytes, taken_bytes) >= _LEAST_BYTES_A_SECOND * self._bounds.timeout_seconds
        # Where this process itself came to a halt, what arrived meanwhile has not been read yet.
        is_late = self.loop.time() > due_at + _OWN_HALT * self._bounds.timeout_seconds
        if is_steady or is_late or (self.flow.read_paused and not has_to_take):
            self._set_watch()
        elif self._phase is _Phase.NOTHING and not has_to_take:
            self.transport.close()
        else:
            log.info("closed a slow connection", extra={"received": self._received_bytes, "taken": taken_bytes})
            if has_to_take:
                self._break_off()
            else:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, "DEADLINE_EXCEEDED", "The request did not come in time.")
