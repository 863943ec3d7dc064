r"""A JSONL input as chunks of lines: found in one pass, read one chunk at a time.

A line is everything between two line feeds, including a carriage return at its end. Empty lines (and lines of only a
carriage return) are skipped; every other line is one request, well formed or not. A byte order mark at the start of the
file is skipped. Neither pass holds more than a few MiB, even if a line is very long.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BufferedReader, BytesIO
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from gemvec.errors import DataLost, InvalidRequest
from gemvec.memory import json_bytes
from gemvec.storage.durable import Place, translate_os_errors

# Enough to fill several micro-batches, little enough that a crash or a cancel loses under a second of work.
CHUNK_REQUESTS = 256
# A fast model embeds these in 120 ms, and the fixed cost of a chunk is spread over more requests. Half as many would
# take a twentieth more time and 100 MiB less in all processes together.
FAST_CHUNK_REQUESTS = 4096
# Long lines make a chunk smaller, so that chunks in flight stay small in memory.
CHUNK_BYTES = 2**20
# As long as a request body may be; a longer line is an error at its place and is never held in memory.
MAX_LINE_BYTES = 20 * 2**20
# Its JSON as objects may take a hundred times as much memory as the line; a line that would take more than this is an
# error at its place and is never parsed. A line of that length in plain text takes a third of it.
MAX_OBJECT_BYTES = 128 * 2**20
# A batch costs the database one row for each chunk; more requests than this would make too many rows.
MAX_REQUESTS = 10_000_000

# In a block of only short lines, the positions take a few times as much memory; the next block waits its turn.
_BLOCK_BYTES = 2**20
# A span of up to this size is read at once.
_PLAIN_BYTES = 2 * CHUNK_BYTES
_LINE_FEED, _CARRIAGE_RETURN = 10, 13
_BLANK_LINES = frozenset((b"\n", b"\r\n", b"\r"))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LineSpan:
    """Some whole lines of a file.

    Attributes:
        offset: where they start, in bytes.
        size_bytes: how many bytes they take.
        request_count: how many of them are requests.
        crc32: of their bytes.
    """

    offset: int
    size_bytes: int
    request_count: int
    crc32: int = field(default=0, compare=False)


def index_lines(
    path: Place, size_bytes: int, *, chunk_requests: int = CHUNK_REQUESTS, max_requests: int = MAX_REQUESTS
) -> Iterator[LineSpan]:
    """Yield the chunks of an input, in order; together they hold every request of its first `size_bytes` bytes.

    Args:
        path: the input.
        size_bytes: how much of it counts.
        chunk_requests: most requests in a chunk.
        max_requests: most requests in the input.

    Raises:
        InvalidRequest: it has more requests; nothing beyond them has been read.
        DataLost: the file is shorter than that.
        StorageFailure: it cannot be read.
    """
    spans, checksum = _Spans(chunk_requests), _SpanChecksum()
    position = last = count = 0
    with translate_os_errors(), path.open("rb", buffering=0) as file:
        line_start = len(_BYTE_ORDER_MARK) if file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK else 0
        file.seek(0)
        while position < size_bytes:
            block = file.read(min(_BLOCK_BYTES, size_bytes - position))
            if not block:
                raise DataLost(f"{path.name} is shorter than recorded.")
            data = np.frombuffer(block, np.uint8)
            ends, line_start = _ends_of_requests(data, position, line_start, last)
            count += len(ends)
            _check_count(count, max_requests)
            for span in spans.extend(ends):
                yield replace(span, crc32=checksum.cut(block, position, span.offset + span.size_bytes))
            checksum.add(block, position)
            position += len(block)
            last = block[-1]
    if not _is_blank(position - line_start, last):
        _check_count(count + 1, max_requests)
        for span in spans.extend(np.array([position], np.int64)):
            yield replace(span, crc32=checksum.value)
    for span in spans.close(position):
        yield replace(span, crc32=checksum.value)


def _check_count(count: int, max_requests: int) -> None:
    if count > max_requests:
        raise InvalidRequest(
            f"* batch.input_config: it holds more than {max_requests} requests, the most in a batch\n",
            field="batch.input_config",
        )


def _ends_of_requests(data: npt.NDArray[np.uint8], position: int, line_start: int, last: int) -> tuple[Int64Array, int]:
    """Return where the requests of one block end, and where the line that the next block continues starts.

    Args:
        data: uint8[bytes] of the block.
        position: where the block starts in the file.
        line_start: where the line that the block continues starts.
        last: the byte before the block.
    """
    feeds = np.flatnonzero(data == _LINE_FEED)
    if not len(feeds):
        return np.empty(0, np.int64), line_start
    ends = feeds + (position + 1)
    lengths = np.diff(ends, prepend=line_start)  # line feed included
    before = np.where(feeds > 0, data[feeds - 1], last)
    is_blank = (lengths == 1) | ((lengths == 2) & (before == _CARRIAGE_RETURN))  # noqa: PLR2004 - CR LF
    return ends[~is_blank], int(ends[-1])


def _is_blank(length: int, last: int) -> bool:
    """Whether the file's last line, which has no line feed, is not a request."""
    return length == 0 or (length == 1 and last == _CARRIAGE_RETURN)


class _Spans:
    """Groups the ends of requests into spans of limited length, cut early beyond `CHUNK_BYTES`."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self._start: int = 0
        self._count: int = 0

    def extend(self, ends: Int64Array) -> Iterator[LineSpan]:
        """Add the ends of the requests that follow."""
        taken = 0
        while taken < len(ends):
            full = taken + self._max_requests - self._count - 1
            heavy = int(np.searchsorted(ends, self._start + CHUNK_BYTES))
            last = max(taken, min(full, heavy))
            if last >= len(ends):
                self._count += len(ends) - taken
                return
            end = int(ends[last])
            yield LineSpan(self._start, end - self._start, self._count + last - taken + 1)
            self._start, self._count, taken = end, 0, last + 1

    def close(self, end: int) -> Iterator[LineSpan]:
        """Yield what is left when the file ends at `end`."""
        if self._count:
            yield LineSpan(self._start, end - self._start, self._count)


class _SpanChecksum:
    """CRC-32 of the bytes since the last span ended."""

    def __init__(self) -> None:
        self.value = 0
        self._position = 0

    def cut(self, block: bytes, start: int, end: int) -> int:
        """Return the checksum of a span that ends at `end`, inside the block that starts at `start`; begin anew."""
        span = zlib.crc32(memoryview(block)[self._position - start : end - start], self.value)
        self._position, self.value = end, 0
        return span

    def add(self, block: bytes, start: int) -> None:
        """Add what is left of a block."""
        self.value = zlib.crc32(memoryview(block)[self._position - start :], self.value)
        self._position = start + len(block)


def read_lines(path: Place, offset: int, size_bytes: int) -> Iterator[bytes | None]:
    """Yield the requests of a span, line ends included; None stands for one that is too large, see the limits above.

    Raises:
        DataLost: the file is gone, or shorter than it was.
        StorageFailure: it cannot be read.
    """
    block = _read_plain(path, offset, size_bytes)
    if block is not None:
        yield from (line for line in BytesIO(block) if line not in _BLANK_LINES)
        return
    with translate_os_errors(), open_kept(path) as file:
        file.seek(offset)
        left = size_bytes
        if offset == 0 and file.peek(len(_BYTE_ORDER_MARK)).startswith(_BYTE_ORDER_MARK):
            left -= len(file.read(len(_BYTE_ORDER_MARK)))
        while left > 0:
            line = file.readline(min(left, MAX_LINE_BYTES + 1))
            if not line:
                raise DataLost(f"{path.name} is shorter than recorded.")
            left -= len(line)
            if len(line) > MAX_LINE_BYTES and line[-1] != _LINE_FEED:
                left -= _skip_line(file, left)
                yield None
            elif line not in _BLANK_LINES:
                yield line if json_bytes(line) <= MAX_OBJECT_BYTES else None


def estimate_objects(path: Place, offset: int, size_bytes: int) -> int:
    """Estimate the memory of a span's JSON as objects, without the lines that are too large.

    Raises:
        DataLost: the file is gone, or shorter than it was.
        StorageFailure: it cannot be read.
    """
    block = _read_plain(path, offset, size_bytes)
    if block is not None:
        return json_bytes(block)
    return sum(json_bytes(line) for line in read_lines(path, offset, size_bytes) if line)


def _read_plain(path: Place, offset: int, size_bytes: int) -> bytes | None:
    """Return the bytes of a span, without a byte order mark; None if a line of it may be too large.

    So all of its lines are judged at once, which takes a tenth of the time of judging each.
    """
    if size_bytes > min(_PLAIN_BYTES, MAX_LINE_BYTES):
        return None
    with translate_os_errors(), open_kept(path) as file:
        file.seek(offset)
        block = file.read(size_bytes)
    if len(block) < size_bytes:
        raise DataLost(f"{path.name} is shorter than recorded.")
    if offset == 0:
        block = block.removeprefix(_BYTE_ORDER_MARK)
    return block if json_bytes(block) <= MAX_OBJECT_BYTES else None


def open_kept(path: Place) -> BufferedReader:
    """Open a file that a batch needs.

    Raises:
        DataLost: it is gone.
    """
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataLost(f"{path.name} is gone.") from error


def _skip_line(file: BinaryIO, left: int) -> int:
    """Read on to the end of a line; return how many bytes that took, at most `left`."""
    skipped = 0
    while skipped < left:
        rest = file.readline(min(left - skipped, _BLOCK_BYTES))
        skipped += len(rest)
        if not rest or rest[-1] == _LINE_FEED:
            break
    return skipped
