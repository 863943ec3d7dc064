"""Documents of LibreOffice, as archives or flat files of XML: `OpenDocument`, and `read_odt` for texts as Markdown.

They are read element by element, because a small file may unpack to very many.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast

from gemvec.documents.archive import BAD_PARTS, MAX_XML_BYTES, Archive, find_title
from gemvec.documents.content import Content, measure, refuse_many_characters, to_file
from gemvec.documents.document import Note
from gemvec.documents.markdown_table import Cell, read_span, write_table
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.titles import choose_title
from gemvec.errors import MissingDependency

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_NAMES = "urn:oasis:names:tc:opendocument:xmlns"
TEXT, TABLE, OFFICE, DRAW, STYLE, PRESENTATION, CHART = (
    f"{{{_NAMES}:{name}:1.0}}" for name in ("text", "table", "office", "drawing", "style", "presentation", "chart")
)
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_LINK = "{http://www.w3.org/1999/xlink}href"
_HIDING = {(f"{TABLE}display", "false"), (f"{PRESENTATION}visibility", "hidden")}
_BODY, _STYLE = f"{OFFICE}body", f"{STYLE}style"
_PART, _MANIFEST, _ENCRYPTED = "content.xml", "META-INF/manifest.xml", b"encryption-data"
_ZIP = b"PK"
UNREAD = frozenset({f"{TEXT}tracked-changes", f"{OFFICE}annotation", f"{TEXT}table-of-content"})
_SPACES = frozenset({f"{TEXT}s", f"{TEXT}tab", f"{TEXT}line-break"})
# Elements that a reader sees on a line of their own, also inside a table's cell.
_LINES = frozenset({f"{TEXT}p", f"{TEXT}h", f"{TEXT}list-item", f"{TABLE}table-cell"})
_BLOCKS = frozenset({f"{TEXT}h", f"{TEXT}p", f"{TEXT}list", f"{TABLE}table"})
_MAX_EMPTY, _MAX_CELLS = 100, 200_000
_MAX_LEVEL = 6
# More elements that are in memory together take too much of it.
_MAX_ELEMENTS = 300_000
# Each element inside another one takes a call, of which Python allows a thousand.
_MAX_DEPTH = 500


class OpenDocument:
    """A document of LibreOffice.

    Args:
        data: the file, or its bytes.
        kind: what it should be, for messages: `an OpenDocument text`.
        body: the element that only such a document has.

    Attributes:
        title: empty when it has none, and in a flat file until its elements are read.
        hidden: the names of the styles of sheets and slides that are not shown.
        notes: what was left out.

    Raises:
        UnreadableDocument: it is not a document, is protected, or too large.
    """

    def __init__(self, data: Content, kind: str, body: str) -> None:
        self._kind, self._body = kind, body
        self._archive: Archive | None = None
        self._file = to_file(data)
        self._file.seek(0)
        if self._file.read(len(_ZIP)) == _ZIP or not _may_be_xml(self._file):
            self._archive = Archive(data, kind)
            self._refuse_encrypted(self._archive)
        elif measure(data) > MAX_XML_BYTES:
            raise UnreadableDocument(f"it has {measure(data):,} bytes, more than {MAX_XML_BYTES:,}; split it")
        self.title = find_title(self._archive, "meta.xml") if self._archive else ""
        self.hidden: set[str] = set()
        self.notes: list[Note] = []
        self._charts: set[str] = set()  # the parts of those that were read

    def elements(self, kept: frozenset[str]) -> Iterator[tuple[Element, bool]]:
        """Yield the elements of the body, and whether they are whole: with all that is below them.

        Args:
            kept: the tags of those that are; of others, only the attributes are there.

        Raises:
            UnreadableDocument: it is not of its kind, damaged from the start, declares entities, or too many elements
                are inside one that is kept, or in each other.
        """
        with self._open() as file:
            is_body = is_kind = False
            for element, is_whole in self._parse(file, kept):
                if is_whole and element.tag == _STYLE and any(_HIDING & each.attrib.items() for each in element):
                    self.hidden.add(element.get(f"{STYLE}name", ""))
                elif is_whole and element.tag == _TITLE:
                    self.title = self.title or choose_title("".join(element.itertext()))
                is_body = is_body or element.tag == _BODY
                is_kind = is_kind or element.tag == self._body
                if is_body and is_kind:
                    yield element, is_whole
        if not is_kind:
            raise UnreadableDocument(f"it is not {self._kind}: it has no text part")

    def read_chart(self, frame: Element, *, has_names: bool) -> str:
        """Return the titles of a chart that a frame shows, a line for each; empty if it shows none, or a damaged one.

        A part is read for the first frame that shows it; what others show tells nothing more.

        Args:
            frame: the element.
            has_names: whether what it shows is named, too.
        """
        lines = list[str]()
        for shown in _find_objects(frame):
            chart = next(self._find_chart(shown).iter(f"{CHART}chart"), None)
            if chart is None:
                continue
            try:
                lines += _read_chart(chart, has_names=has_names)
            except RecursionError:
                self.notes.append(Note(reason="a chart is nested too deeply and left out", is_loss=True))
        return "\n".join(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))

    def _find_chart(self, shown: Element) -> Element:
        """Return what an object shows: its own part, or in a flat file what is below it."""
        part = f"{shown.get(_LINK, '').removeprefix('./')}/{_PART}"
        if self._archive is None or part not in self._archive.names or part in self._charts:
            return shown
        self._charts.add(part)
        try:
            return self._archive.read_xml(part)
        except UnreadableDocument:
            self.notes.append(Note(reason=f"a chart ({part}) is damaged and left out", is_loss=True))
            return shown

    def _refuse_encrypted(self, archive: Archive) -> None:
        if _MANIFEST in archive.names and _ENCRYPTED in archive.read(_MANIFEST):
            raise UnreadableDocument("it is protected by a password")

    def _open(self) -> IO[bytes]:
        if self._archive is not None:
            return self._archive.open(_PART)
        self._file.seek(0)
        return io.BytesIO(self._file.read())

    def _parse(self, file: IO[bytes], kept: frozenset[str]) -> Iterator[tuple[Element, bool]]:
        try:
            from defusedxml import DefusedXmlException
            from defusedxml.ElementTree import ParseError
        except ImportError as error:
            raise MissingDependency(f"Reading {self._kind} needs more packages.", extra="documents") from error
        is_empty = True
        try:
            for each in _keep(file, kept | {_STYLE, _TITLE}):
                is_empty = False
                yield each
        except DefusedXmlException as error:
            raise UnreadableDocument(f"its part {_PART} declares entities, which could fill the memory") from error
        except (ParseError, *BAD_PARTS) as error:
            if is_empty:
                raise UnreadableDocument(f"it is not {self._kind}: its part {_PART} is not XML") from error
            self.notes.append(Note(reason="it is damaged; what is after the damage is left out", is_loss=True))


def _read_chart(chart: Element, *, has_names: bool) -> list[str]:
    titles = (each for each in chart.iter() if each.tag.startswith(CHART) and each.tag.endswith("title"))
    cells = (each for each in chart.iter(f"{TABLE}table-cell") if each.get(f"{OFFICE}value-type") == "string")
    return [*map(flatten, titles), *([", ".join(filter(None, map(flatten, cells)))] if has_names else [])]


def _find_objects(element: Element) -> Iterator[Element]:
    """Yield the objects in an element, but not those in other ones."""
    waiting = [element]
    while waiting:
        each = waiting.pop()
        if each.tag == f"{DRAW}object":
            yield each
        else:
            waiting += reversed(each)


def _may_be_xml(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(64).lstrip(b"\xef\xbb\xbf\xff\xfe\0 \r\n\t").startswith(b"<")


def _keep(file: IO[bytes], kept: frozenset[str]) -> Iterator[tuple[Element, bool]]:
    """Yield the elements of a file where they start, or those that are kept where they end; none stays in memory."""
    from defusedxml.ElementTree import iterparse

    above: list[Element] = []
    depth = count = 0  # of what is inside an element that is kept
    for event, element in cast("Iterable[tuple[str, Any]]", iterparse(file, ("start", "end"))):
        if event == "start":
            above.append(element)
            is_inside = bool(depth) or element.tag in kept
            count = 1 + len(element.attrib) + (count if depth else 0)
            depth += is_inside
            if is_inside:
                _refuse_large(count, depth)
            else:
                yield element, False
            continue
        above.pop()
        depth -= bool(depth)
        if not depth:
            if element.tag in kept:
                yield element, True
            element.clear()
            if above:
                del above[-1][:]


def _refuse_large(count: int, depth: int) -> None:
    """Refuse an element with so many others inside it, or so many in each other."""
    if count > _MAX_ELEMENTS:
        raise UnreadableDocument(
            f"one of its tables, lists or pages has more than {_MAX_ELEMENTS:,} elements, which would take "
            "much memory; split it"
        )
    if depth > _MAX_DEPTH:
        raise UnreadableDocument(f"it is nested too deeply: more than {_MAX_DEPTH} of its elements are in each other")


def read_odt(data: Content) -> tuple[str, str, list[Note]]:
    """Return the text of an OpenDocument text as Markdown, its title, and what was left out.

    Raises:
        UnreadableDocument: it is not one.
    """
    document = OpenDocument(data, "an OpenDocument text", f"{OFFICE}text")
    parts, length = list[str](), 0
    for element, is_whole in document.elements(_BLOCKS | UNREAD):
        if is_whole:
            before = len(parts)
            write_blocks([element], parts)
            length += sum(map(len, parts[before:]))
            refuse_many_characters(length)
    return "\n\n".join(parts), document.title, document.notes


def write_blocks(elements: Iterable[Element], parts: list[str]) -> None:
    """Add blocks of text, and those below other elements, as Markdown."""
    for each in elements:
        if each.tag == f"{TEXT}h":
            level = each.get(f"{TEXT}outline-level", "")
            number = min(max(int(level[:3]), 1), _MAX_LEVEL) if level.isascii() and level.isdigit() else 1
            _add(parts, f"{'#' * number} ", flatten(each))
        elif each.tag == f"{TEXT}p":
            _add(parts, "", flatten(each))
        elif each.tag == f"{TEXT}list":
            _add(parts, "", "\n".join(_write_list(each, "")))
        elif each.tag == f"{TABLE}table":
            _add(parts, "", _write_table(each))
        elif each.tag not in UNREAD:
            write_blocks(each, parts)


def _add(parts: list[str], mark: str, text: str) -> None:
    if text.strip():
        parts.append(mark + text)


def _write_list(element: Element, indent: str) -> list[str]:
    lines: list[str] = []
    for item in element:
        for each in item:
            if each.tag == f"{TEXT}list":
                lines += _write_list(each, indent + "  ")
            elif text := flatten(each):
                lines.append(f"{indent}- {text}")
    return lines


def _write_table(table: Element) -> str:
    heads = sum(1 for part in table.iter(f"{TABLE}table-header-rows") for _ in part.iter(f"{TABLE}table-row"))
    rows, cells, length = list[list[Cell]](), 0, 0
    for row in table.iter(f"{TABLE}table-row"):
        rows.append([cell for each in row.iter(f"{TABLE}table-cell") for cell in _read_cells(each)])
        cells += len(rows[-1])
        if cells > _MAX_CELLS:
            raise UnreadableDocument(f"a table of it has more than {_MAX_CELLS:,} cells; split it")
        length += sum(len(cell.text) for cell in rows[-1])
        refuse_many_characters(length)
    return write_table(rows, heads)


def _read_cells(cell: Element) -> list[Cell]:
    """Return a cell, as often as it is repeated; an empty one no more than a hundred times."""
    text = flatten(cell)
    columns, rows, times = (
        read_span(cell.get(f"{TABLE}number-{name}")) for name in ("columns-spanned", "rows-spanned", "columns-repeated")
    )
    return [Cell(text, columns, rows)] * (times if text.strip() else min(times, _MAX_EMPTY))


def flatten(element: Element) -> str:
    """Return the text of an element with the spaces, tabs and line breaks that OpenDocument writes as elements."""
    parts = [element.text or ""]
    for each in element:
        if each.tag in _SPACES:
            parts.append(" ")
        elif each.tag not in UNREAD:
            parts.append(f" {flatten(each)} " if each.tag in _LINES else flatten(each))
        parts.append(each.tail or "")
    return "".join(parts).strip("\n")
