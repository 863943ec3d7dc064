"""Mailboxes in one file (`.mbox`): `read_mailbox`, one document for each message, of a file of any size."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import IO

from gemvec.documents.content import MAX_FILE_BYTES, refuse_large_text
from gemvec.documents.document import BadDocument, Document, explain_unread
from gemvec.documents.mail import read_eml
from gemvec.documents.text import UnreadableDocument, fold

# A line before a message, and a header or the like, which is what follows it.
_START = b"From "
_DATED = re.compile(rb"From .*\d{1,2}:\d{2}.*\d{4}")
_HEADER = re.compile(rb"[A-Za-z][\w-]*:(?!//)|>?From ")
# A line of a text that would be such a start has marks before it.
_ESCAPED = re.compile(rb"^>(?=>*From )", re.MULTILINE)
_MAX_ID = 300
_ID = re.compile(rb"^message-id:\s*<?([^\s<>]{1,%d})" % _MAX_ID, re.IGNORECASE | re.MULTILINE)
_BLANK_END = re.compile(rb"(?<=\n)\r?\n\Z")  # which the next message needs, and none has
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_MAX_LINE_BYTES = 2**20
_MAX_START_BYTES = 1_000  # of a line before a message
_LOOKED_AT = 2**16


@dataclass(frozen=True, slots=True)
class _Message:
    """The bytes of a message, None if they are too many, and where the file goes on behind it."""

    data: bytes | None
    size: int
    end: int


def read_mailbox(path: Path, source: str) -> Iterator[Document | BadDocument]:
    """Yield a document for each message of a mailbox; `read_bytes` counts from the start of the file.

    The id of a message is its Message-ID, or a hash of its bytes where it has none, or one of another message.

    Raises:
        UnreadableDocument: it is not a mailbox.
    """
    seen: dict[bytes, bytes] = {}
    with path.open("rb") as file:

        def read(number: int, message: _Message) -> Document | BadDocument:
            found = _read_message(message, source, f"message {number}", seen)
            return replace(found, read_bytes=message.end)

        # No name here may hold a message, which may be large, while its passages are embedded.
        yield from map(read, count(1), _cut(file))


def _read_message(message: _Message, source: str, place: str, seen: dict[bytes, bytes]) -> Document | BadDocument:
    data = message.data
    if data is None:
        reason = f"it has {message.size:,} bytes, more than {MAX_FILE_BYTES:,}, which would take much memory"
        return BadDocument(source=source, place=place, reason=reason)
    document_id = f"{source}#{_find_id(data, seen)}"
    try:
        mail = read_eml(_ESCAPED.sub(b"", data))
        text = fold(refuse_large_text(mail.text))
    except Exception as error:  # noqa: BLE001 # the library fails anywhere on damaged mails
        return replace(explain_unread(error, source, document_id), place=place)
    return Document(
        id=document_id,
        text=text,
        title=fold(mail.subject) or Path(source).stem,
        source=source,
        metadata={name: fold(value) for name, value in mail.headers.items()},
        place=place,
        has_lines=False,
        notes=tuple(replace(note, place=place) for note in mail.notes),
    )


def _find_id(data: bytes, seen: dict[bytes, bytes]) -> str:
    digest = blake2b(data, digest_size=12)
    head = data[:_LOOKED_AT]
    end = _HEAD_END.search(head)
    found = _ID.search(head, 0, end.start() if end else len(head))
    if found is None:
        return digest.hexdigest()
    # Bytes that are no UTF-8 tell messages apart, too; each takes four characters.
    name = found[1].decode(errors="backslashreplace")[:_MAX_ID]
    is_other = seen.setdefault(blake2b(name.encode(), digest_size=8).digest(), digest.digest()) != digest.digest()
    return f"{name}#{digest.hexdigest()}" if is_other else name


def _cut(file: IO[bytes]) -> Iterator[_Message]:
    """Yield the messages of a mailbox, line by line."""
    kept = io.BytesIO()
    size = end = 0
    is_inside = False
    for line, is_start in _find_starts(file):
        if is_start and is_inside:
            yield _Message(_take(kept, size), size, end)
        if is_start:
            kept, size, is_inside = io.BytesIO(), 0, True
        elif is_inside:
            size += len(line)
            if size <= MAX_FILE_BYTES:
                kept.write(line)
        elif line.strip():
            raise UnreadableDocument("it is not a mailbox: its first line does not begin with From")
        end += len(line)
    if is_inside:
        yield _Message(_take(kept, size), size, end)


def _take(kept: io.BytesIO, size: int) -> bytes | None:
    return _BLANK_END.sub(b"", kept.getvalue()) if size <= MAX_FILE_BYTES else None


def _find_starts(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines, and whether each is the one before a message: below a blank line, with a header below it."""
    before, line = b"\n", file.readline(_MAX_LINE_BYTES)
    while line:
        below = file.readline(_MAX_LINE_BYTES)
        is_start = line.startswith(_START) and before.endswith(b"\n") and bool(_HEADER.match(below))
        is_apart = not before.strip() or bool(_DATED.match(line, 0, _MAX_START_BYTES))
        yield line, is_start and is_apart
        before, line = line, below
