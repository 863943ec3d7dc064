"""Writing the head of an answer together with its body: `JoiningTransport`.

uvicorn writes them one after the other: two system calls, two packets, and a client that wakes up twice, which a short
query alone on an idle machine shows.
"""

from __future__ import annotations

import asyncio
from typing import Any

# Copying more than this into one piece would cost more than it saves.
_MAX_JOINED_BYTES = 64 * 1024


class JoiningTransport:
    """A connection's transport that keeps a short piece until the next one, or until the event loop's next round."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Take over a transport."""
        self._transport, self._loop = transport, loop
        self._kept = b""

    def write(self, data: bytes) -> None:
        """Write soon, after what was written before."""
        if not data:
            return
        if len(self._kept) + len(data) > _MAX_JOINED_BYTES:
            self._flush()
            self._transport.write(data)
        elif self._kept:
            self._kept, joined = b"", self._kept + data
            self._transport.write(joined)
        else:
            self._kept = data
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._kept:
            self._kept, kept = b"", self._kept
            self._transport.write(kept)

    def close(self) -> None:
        """Close when all is written."""
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        """Close for writing when all is written."""
        self._flush()
        self._transport.write_eof()

    def abort(self) -> None:
        """Close at once, whatever was written."""
        self._kept = b""
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the connection's own."""
        return getattr(self._transport, name)
