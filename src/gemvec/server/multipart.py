"""Reading `multipart/related` as it arrives: one part after the other, never the whole body in memory.

Source: RFC 2046 section 5.1 (delimiters), RFC 2387 (multipart/related).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from email.message import Message

from gemvec.errors import InvalidRequest

_MAX_BOUNDARY_LENGTH = 70
_MAX_CONTENT_TYPE = 1000  # the time to parse a header grows with the square of its length
_MAX_HEADER_BYTES = 8192
_END_OF_HEADERS = b"\r\n\r\n"


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary that a Content-Type header names.

    Raises:
        InvalidRequest: it names none, or is too long.
    """
    if len(content_type) > _MAX_CONTENT_TYPE:
        raise InvalidRequest(f"Content-Type is longer than {_MAX_CONTENT_TYPE} characters.", field="Content-Type")
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= _MAX_BOUNDARY_LENGTH or not boundary.isascii():
        raise InvalidRequest("A multipart body needs a boundary in its Content-Type.", field="Content-Type")
    return boundary.encode()


class RelatedParts:
    """The parts of a body: call `read_headers`, then iterate over `blocks` to the end, for each part."""

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._body = body
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # the first delimiter may be at the very start

    async def read_headers(self) -> dict[str, str]:
        """Go to the next part and return its headers, by lower-case name.

        Raises:
            InvalidRequest: there is no other part, or its headers are not well formed.
        """
        while (end := self._buffer.find(_END_OF_HEADERS)) < 0 and not self._buffer.startswith(b"--"):
            if len(self._buffer) > _MAX_HEADER_BYTES or not await self._receive():
                raise InvalidRequest("The headers of a part of the multipart body do not end.")
        if self._buffer.startswith(b"--"):
            raise InvalidRequest("The multipart body has too few parts; expected the file's JSON and its bytes.")
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        self._buffer = self._buffer[end + len(_END_OF_HEADERS) :]
        named = (line.partition(":") for line in lines if ":" in line)
        return {name.strip().lower(): value.strip() for name, _, value in named}

    async def skip_preamble(self) -> None:
        """Go to the first part."""
        async for _ in self.blocks():
            pass

    async def blocks(self) -> AsyncGenerator[bytes]:
        """Yield the bytes of the current part.

        Raises:
            InvalidRequest: the body ends before the part does.
        """
        kept = len(self._delimiter) - 1  # a delimiter may have started
        while (end := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > kept:
                yield self._buffer[:-kept]
                self._buffer = self._buffer[-kept:]
            if not await self._receive():
                raise InvalidRequest("The multipart body ends before its closing boundary.")
        if end:
            yield self._buffer[:end]
        self._buffer = self._buffer[end + len(self._delimiter) :]

    async def _receive(self) -> bool:
        block = b""
        while not block:
            received = await anext(self._body, None)
            if received is None:
                return False
            block = received
        self._buffer += block
        return True
