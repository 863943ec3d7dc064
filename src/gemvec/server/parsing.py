"""Requests of one connection: `ParsingProtocol`, uvicorn's protocol over httptools, and so over llhttp, Node's parser.

llhttp refuses what the standard forbids. Added here: an offer to upgrade to another protocol is ignored, so that the
body behind it is read, which llhttp would take for the other protocol; trailers are ignored; the target of a request
stays as it was sent, for `heads.py`; heads, and what is between the pieces of a body, are bounded; and of many requests
that are sent at once, only some are parsed before the first is answered.

Only public names of uvicorn's `HttpToolsProtocol` are used, which every version that pyproject.toml allows has.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# Requests without a body are 20 bytes or more, and each that waits takes a few KiB.
_PIECE_BYTES = 8192


class Phase(Enum):
    """What has arrived of the latest request."""

    NOTHING = "nothing"
    HEAD = "head"  # a part of it
    BODY = "body"  # the head, and a part of the body
    WHOLE = "whole"


class _LastRequestIsHere(Exception):
    """Something follows a request that asks for the connection to be closed."""


class _HoldingFlow(FlowControl):
    """Reads no more while something that was read waits to be parsed."""

    def __init__(self, transport: asyncio.Transport, holds: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._holds = holds

    def resume_reading(self) -> None:
        if not self._holds():
            super().resume_reading()


class ParsingProtocol(HttpToolsProtocol, ABC):
    """The requests of one connection.

    Attributes:
        phase: what has arrived of the latest request.
        unanswered: the requests whose heads have arrived, without those that are answered, in their order.
        max_head_bytes: how long a head may be, and what comes between the pieces of a body.
    """

    def __init__(self, *arguments: Any, max_head_bytes: int) -> None:
        super().__init__(*arguments)
        self.phase = Phase.NOTHING
        self.unanswered: deque[RequestResponseCycle] = deque()
        self.max_head_bytes = max_head_bytes
        self._is_last = False  # the latest request asks for the connection to be closed
        self._is_over = False  # nothing more is parsed
        self._is_offer = False  # the head that is being parsed offers an upgrade
        self._has_begun = False  # a request began in this piece
        self._unbound_bytes = 0  # of a head, or since the last piece of a body
        self._body_bytes = 0  # still to come, where that was said
        self._unparsed = b""

    @abstractmethod
    def refuse(self, code: HTTPStatus, message: str) -> None:
        """Refuse what arrives, after `stop_parsing`."""

    def stop_parsing(self) -> None:
        """Leave what arrives from now on unread."""
        self._is_over, self._unparsed = True, b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to read."""
        super().connection_made(transport)
        self.flow = _HoldingFlow(transport, lambda: bool(self._unparsed))

    def parse(self, data: bytes) -> None:
        """Parse what arrived, or keep it until the requests before it are answered."""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        if self._unparsed:
            data = self._unparsed + data
        place, size = 0, min(_PIECE_BYTES, self.max_head_bytes)
        while place < len(data) and not (self.pipeline or self._is_over):
            piece = data[place : place + max(size, self._body_bytes)]
            place += len(piece)
            self._has_begun = False
            self._feed(piece)
            self._count(piece)
        self._unparsed = b"" if self._is_over else data[place:]
        if self._unparsed:
            self.flow.pause_reading()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_offer(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                self.stop_parsing()
                if not isinstance(error.__context__, _LastRequestIsHere):
                    raise
            else:
                self.refuse(*_explain(error, self.parser.get_http_version()))

    def _ignore_offer(self, behind: bytes) -> None:
        """Parse the head that has just ended once more, without the offer, and what is behind it."""
        self._is_offer = False
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "CONNECT is only for proxies.")
            return
        first = b"%s %s HTTP/%s\r\n" % (method, self.url, version.encode())
        kept = (b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._feed(b"".join([first, *kept, b"\r\n"]))
        if not self._is_over:
            self._feed(behind)

    def _count(self, piece: bytes) -> None:
        """Count what is parsed and not yet bound by anything else, after a piece."""
        if self._is_over or self.phase not in {Phase.HEAD, Phase.BODY}:
            return
        if self._has_begun:  # before it there may be the end of another one
            self._unbound_bytes = len(piece) - (piece.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in piece else 0)
        else:
            self._unbound_bytes += len(piece)
        if self._unbound_bytes > self.max_head_bytes:
            what = "head" if self.phase is Phase.HEAD else "framing of its body"
            self.refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"The request's {what} is larger than {self.max_head_bytes} bytes.",
            )

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._is_last:
            raise _LastRequestIsHere
        super().on_message_begin()
        self.phase = Phase.HEAD
        self._has_begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or leave a trailer."""
        if self.phase is Phase.HEAD:
            super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self.parser.should_upgrade():
            self._is_offer = True
            return
        target, self.url = self.url, b"/"  # uvicorn would take it apart, and fail at some that are allowed
        super().on_headers_complete()
        self.url = target
        path, _, query = target.partition(b"?")
        scope = self.scope
        scope["path"], scope["raw_path"], scope["query_string"] = unquote(path.decode("ascii")), path, query
        if not self.parser.should_keep_alive():  # of "close" among other words, not every uvicorn knows
            self.cycle.keep_alive = False
        self.phase = Phase.BODY
        self._has_begun, self._unbound_bytes = False, 0
        self._body_bytes = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
        self.unanswered.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unbound_bytes = -len(body)  # which are counted with the piece that they are in
        self._body_bytes -= min(len(body), self._body_bytes)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the whole request is here."""
        if self._is_offer:
            return
        self.phase = Phase.WHOLE
        self._is_last = not self.parser.should_keep_alive()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self.unanswered.popleft()
        super().on_response_complete()
        if self._unparsed and not (self.pipeline or self.transport.is_closing()):
            self.parse(b"")
            self.flow.resume_reading()


def _explain(error: httptools.HttpParserError, version: str) -> tuple[HTTPStatus, str]:
    """Return the status and the message for what llhttp refuses in a request with this HTTP version."""
    reason = str(error)
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return HTTPStatus.BAD_REQUEST, f"The request's address has a host or a path that is not valid: {reason}."
    if "HTTP version" in reason:
        return HTTPStatus.BAD_REQUEST, f"HTTP/{version} is not supported; use HTTP/1.1."
    if "Transfer-Encoding" not in reason:
        return HTTPStatus.BAD_REQUEST, f"The request is not valid HTTP/1.1: {reason}."
    if "Content-Length" in reason:
        return HTTPStatus.BAD_REQUEST, "The request has both Content-Length and Transfer-Encoding; send one."
    return HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding is supported as chunked only, and not with multiple codings."
