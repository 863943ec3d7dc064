"""Long Word documents in pieces: `cut_word`, because mammoth makes several objects of each element of a document."""

from __future__ import annotations

import gc
import io
import re
from collections.abc import Iterator
from itertools import pairwise
from xml.parsers.expat import ExpatError, ParserCreate
from zipfile import ZipFile

from gemvec.documents.archive import Archive
from gemvec.documents.content import Content
from gemvec.documents.text import UnreadableDocument

TEXT_PART = "word/document.xml"
# A piece ends where it may once it has this many elements; a document with fewer is one piece.
_PIECE_ELEMENTS = 20_000
# More elements that cannot be in different pieces, such as those of one table, take too much memory.
_MAX_ELEMENTS = 100_000
_START_TAG = re.compile(rb"<[^/?!]")
_BODY, _PARAGRAPH, _LIST_MARK, _STYLE, _LIST = "body", "p", "numPr", "pStyle", "list"
_BODY_DEPTH = 2
# Parts that say how the text is read; all others are pictures and the like.
_NEEDED = (".xml", ".rels")


def cut_word(archive: Archive, data: Content, text: bytes | None) -> Iterator[Content]:
    """Yield a document, or documents of its pieces if it is long; a list is in one piece.

    Args:
        archive: the document; its parts have been checked.
        data: the same, as a file or bytes.
        text: what is to be its part with the text; None for the one that it has.

    Raises:
        UnreadableDocument: that part is damaged, or too many elements of it cannot be divided.
    """
    written = archive.read(TEXT_PART) if text is None else text
    elements = sum(1 for _ in _START_TAG.finditer(written))
    if elements <= _PIECE_ELEMENTS:
        yield data if text is None else _pack(archive, written)
        return
    places = _Places(written).find()
    for start, end in pairwise(places):
        gc.collect()  # the objects of the piece before, which refer to each other
        yield _pack(archive, written[: places[0]] + written[start:end] + written[places[-1] :])


def _pack(archive: Archive, text: bytes) -> bytes:
    """Return a Word document with this text, without pictures."""
    file = io.BytesIO()
    with ZipFile(file, "w") as packed:
        for name in archive.names:
            if name == TEXT_PART:
                packed.writestr(name, text)
            elif name.lower().endswith(_NEEDED):
                packed.writestr(name, archive.read(name))
    return file.getvalue()


class _Places:
    """Where the pieces of a document's text start, and where the last one ends."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._parser = ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._places: list[int] = []
        self._depth = self._elements = self._started = 0
        self._is_body = self._is_list = self._was_list = False
        self._name = ""

    def find(self) -> list[int]:
        try:
            self._parser.Parse(self._text, True)
        except ExpatError as error:
            raise UnreadableDocument(f"it is not a Word document: its part {TEXT_PART} is not XML") from error
        return self._places

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if self._depth == _BODY_DEPTH - 1:
            self._is_body = name == _BODY
        if self._depth == _BODY_DEPTH and self._is_body:
            if not self._places:
                self._places.append(self._parser.CurrentByteIndex)
            self._started, self._name, self._is_list = self._parser.CurrentByteIndex, name, False
        self._is_list = self._is_list or name == _LIST_MARK or (name == _STYLE and _LIST in str(attributes).lower())
        self._depth += 1
        self._elements += 1

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._depth == _BODY_DEPTH - 1 and self._is_body:
            self._places.append(self._parser.CurrentByteIndex)
        if self._depth != _BODY_DEPTH or not self._is_body:
            return
        is_place = self._name == _PARAGRAPH and not self._is_list and not self._was_list
        if is_place and self._elements > _PIECE_ELEMENTS and self._started > self._places[-1]:
            self._places.append(self._started)
            self._elements = 0
        elif self._elements > _MAX_ELEMENTS:
            raise UnreadableDocument(
                f"one of its tables or lists has more than {_MAX_ELEMENTS:,} elements, which would take much memory; "
                "split it"
            )
        self._was_list = self._is_list
