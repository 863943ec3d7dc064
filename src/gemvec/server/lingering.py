"""Closing a connection so that its client can read the answer: `LingeringTransport`.

If a socket is closed while the client still sends, the client gets a reset instead of the answer, such as the one that
says why its body is refused. So such a connection is closed for writing first, and what comes is read and thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport:
    """A connection's transport, whose `close` waits for the client if it is in the middle of a request.

    The protocol has to throw away what comes then, and to call `close` again when it has waited long enough.

    Attributes:
        is_lingering: whether the connection is closed for writing only.
    """

    def __init__(self, transport: asyncio.Transport, is_arriving: Callable[[], bool]) -> None:
        """Take over a transport.

        Args:
            transport: the connection's own.
            is_arriving: whether more of a request is on its way.
        """
        self._transport, self._is_arriving = transport, is_arriving
        self.is_lingering = False

    def close(self) -> None:
        """Close when all is written; if a request is arriving, for writing only."""
        if self.is_closing() or not self._is_arriving():
            self.close_at_once()
            return
        self.is_lingering = True
        if self._transport.can_write_eof():  # not with TLS
            self._transport.write_eof()

    def close_at_once(self) -> None:
        """Close when all is written, whatever arrives."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed, even if for writing only."""
        return self.is_lingering or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the connection's own."""
        return getattr(self._transport, name)
