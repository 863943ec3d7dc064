"""Files of this machine, and standard input, as places of documents: `FilePlace`, `StandardInput`."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO

from gemvec.documents.document import BadDocument, Document, UnreadDocument, explain_unread
from gemvec.documents.place import Found, make_document, refuse_pointer
from gemvec.documents.readers import Reader, find_reader, open_file
from gemvec.documents.records import RECORD_SUFFIXES, RecordFields, read_json_lines, read_records
from gemvec.documents.scope import STANDARD_INPUT_NAME
from gemvec.documents.text import UnreadableDocument

_POINTER_BYTES, _LOOK_BYTES = 200, 1_000
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*>\s*+)?(?:<!--.*?-->\s*+)?<(?:!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """One file; as there may be very many, its path is kept as a text, a third of the size of a `Path`.

    Attributes:
        where: its path.
        name: see `Place`.
    """

    where: str
    name: str

    @classmethod
    def of(cls, path: Path, name: str) -> FilePlace:
        """Return the place of a file; most often, its path and its name are one text."""
        where = str(path)
        return cls(name if where == name else where, name)

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.where)

    @property
    def size_bytes(self) -> int:
        """The size of the file; 0 when it is not known; reading the file then says why."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read(self, fields: RecordFields) -> Iterator[Found]:
        """Yield its documents; one that takes long to parse is not parsed yet."""
        if os.path.islink(self.path) and not os.path.exists(self.path):  # noqa: PTH110, PTH114 # a path may be too long
            raise UnreadableDocument("it is a link to something that does not exist")
        if self.path.suffix.lower() in RECORD_SUFFIXES:
            self._refuse_pointer()
            yield from read_records(self.path, self.name, fields)
        elif (reader := find_reader(self.path)).is_slow:
            content = self._digest(reader)
            yield UnreadDocument(
                id=self.name,
                source=self.name,
                content=content,
                read=self.parse,
                read_bytes=self.size_bytes,
                read_elsewhere=partial(_parse_equal, FilePlace.of(self.path.absolute(), self.name), content),
            )
        else:
            with open_file(self.path) as file:
                yield make_document(file, reader, self.name)

    def parse(self) -> Document | BadDocument:
        """Read a file that is one document, whatever its kind."""
        try:
            with open_file(self.path) as file:
                return make_document(file, find_reader(self.path), self.name)
        except Exception as error:  # noqa: BLE001 # a broken document fails anywhere inside the library that reads it
            return explain_unread(error, self.name)

    def _refuse_pointer(self) -> None:
        if 0 < self.size_bytes < _POINTER_BYTES:
            with open_file(self.path) as file:
                refuse_pointer(file)

    def _digest(self, reader: Reader) -> str:
        reader.refuse_large(self.size_bytes)
        with open_file(self.path) as file:
            return reader.digest(file)

    def is_equal(self, content: str) -> bool:
        """Whether the file is here and becomes what it did where `content` was computed."""
        try:
            return self._digest(find_reader(self.path)) == content
        except UnreadableDocument:
            return False


def _parse_equal(place: FilePlace, content: str) -> Document | BadDocument | None:
    """Read a file on another machine; None if there is none of the same content."""
    return place.parse() if place.is_equal(content) else None


@dataclass(frozen=True, slots=True)
class StandardInput:
    """What comes from standard input: JSON Lines if its first line is a JSON object, otherwise one document.

    That is a PDF, a web page, or Markdown.

    Attributes:
        stream: what to read; the standard input of the process when None.
    """

    stream: IO[bytes] | None = field(default=None, repr=False)
    name: str = STANDARD_INPUT_NAME
    size_bytes: int = 0

    def read(self, fields: RecordFields) -> Iterator[Found]:
        """Yield its documents."""
        data = (self.stream or sys.stdin.buffer).read()
        if _is_json_object(data.split(b"\n", 1)[0]):
            yield from read_json_lines(io.BytesIO(data), self.name, fields)
            return
        document = make_document(data, find_reader(Path(self.name).with_suffix(_find_suffix(data))), self.name)
        yield replace(document, title="") if document.title == self.name else document


def _find_suffix(data: bytes) -> str:
    """Return the suffix that a file of these bytes would have."""
    if data.lstrip()[:_LOOK_BYTES].startswith(b"%PDF-"):
        return ".pdf"
    return ".html" if _PAGE.match(data[:_LOOK_BYTES]) else ".md"


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
