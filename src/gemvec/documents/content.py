"""What a file holds, and how large it may be, so that reading it takes a bounded amount of memory: `Content`.

A file that is read as a whole is in memory once as bytes, once as text, and again in its passages.
"""

from __future__ import annotations

import codecs
import io
import sys
from typing import IO

from gemvec.documents.text import UnreadableDocument

# The bytes of a file, or the file itself, opened for reading bytes.
Content = bytes | IO[bytes]

# A file that is read as a whole.
MAX_FILE_BYTES = 64 * 2**20
# A page of HTML in memory, with its markup.
MAX_PAGE_BYTES = 96 * 2**20
# A text in memory: a character takes one byte, two in most scripts, or four if the text has a pictograph.
MAX_TEXT_BYTES = 48 * 2**20
_WIDEST_CHARACTER = 4
# How much is decoded at once to find out how large a text would be.
_PIECE_BYTES = 2**20


def measure(data: Content) -> int:
    """Return the size of a file."""
    return len(data) if isinstance(data, bytes) else data.seek(0, io.SEEK_END)


def to_file(data: Content) -> IO[bytes]:
    """Return a file to read from."""
    return io.BytesIO(data) if isinstance(data, bytes) else data


def refuse_large_file(size: int) -> None:
    """Refuse a file that would take too much memory.

    Raises:
        UnreadableDocument: it has more than `MAX_FILE_BYTES`.
    """
    if size > MAX_FILE_BYTES:
        raise UnreadableDocument(
            f"it has {size:,} bytes, more than {MAX_FILE_BYTES:,}, which would take much memory; split it"
        )


def refuse_large_page(page: str) -> None:
    """Refuse a page that would take too much memory beside its text.

    Raises:
        UnreadableDocument: it takes more than `MAX_PAGE_BYTES` in memory.
    """
    _refuse("it has", page, MAX_PAGE_BYTES)


def refuse_large_text(text: str) -> str:
    """Return a text that is not too large to be cut into passages.

    Raises:
        UnreadableDocument: it takes more than `MAX_TEXT_BYTES` in memory.
    """
    _refuse("its text has", text, MAX_TEXT_BYTES)
    return text


def refuse_many_characters(count: int) -> None:
    """Refuse a document whose texts, which a small file may repeat very often, would fill the memory.

    Raises:
        UnreadableDocument: they have too many characters.
    """
    if count > MAX_TEXT_BYTES:
        raise UnreadableDocument(f"its text has more than {MAX_TEXT_BYTES:,} characters; split it")


def refuse_large_utf8(data: bytes) -> None:
    """Refuse UTF-8 whose text would be too large, without having that text in memory.

    Raises:
        UnreadableDocument: the text would take more than `MAX_TEXT_BYTES` in memory.
    """
    if len(data) <= MAX_TEXT_BYTES // _WIDEST_CHARACTER or data.isascii():
        return
    decoder, count, widest = codecs.getincrementaldecoder("utf-8")(), 0, 1
    for start in range(0, len(data), _PIECE_BYTES):
        try:
            piece = decoder.decode(data[start : start + _PIECE_BYTES])
        except UnicodeDecodeError:
            return
        count += len(piece)
        widest = max(widest, (sys.getsizeof(piece + "\0") - sys.getsizeof(piece)) if piece else 1)
    _refuse_size("its text has", count, count * widest, MAX_TEXT_BYTES)


def _refuse(said: str, text: str, most: int) -> None:
    _refuse_size(said, len(text), sys.getsizeof(text), most)


def _refuse_size(said: str, count: int, size: int, most: int) -> None:
    if size > most:
        raise UnreadableDocument(
            f"{said} {count:,} characters, which take {size:,} bytes in memory, more than {most:,}; split it"
        )
