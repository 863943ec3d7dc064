"""Text documents of Word (.docx) and LibreOffice (.odt) as Markdown: headings, paragraphs, lists and tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gemvec.documents.archive import Archive, find_ids, find_targets, find_title, note_damage
from gemvec.documents.content import Content, to_file
from gemvec.documents.document import Note
from gemvec.documents.html import read_page
from gemvec.documents.markdown_table import Cell, read_span, write_table
from gemvec.documents.office_drawings import read_part
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.word_markup import find_drawings, open_markup, write_drawings
from gemvec.documents.word_math import spell_formulas
from gemvec.documents.word_pieces import TEXT_PART, cut_word
from gemvec.documents.word_styles import map_styles
from gemvec.errors import MissingDependency

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_UNREAD = frozenset({f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_TEXT}table-of-content"})
_SPACES = frozenset({f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break"})
# Elements that a reader sees on a line of their own, also inside a table's cell.
_BLOCKS = frozenset({f"{_TEXT}p", f"{_TEXT}h", f"{_TEXT}list-item", f"{_TABLE}table-cell"})
_MAX_EMPTY, _MAX_CELLS = 100, 200_000
_KIND = "a Word document"
_STYLES = "word/styles.xml"
_STYLE_PARTS = (_STYLES, "word/stylesWithEffects.xml", "word/numbering.xml")
# What mammoth raises for parts that it does not understand.
_BAD_PARTS = (KeyError, TypeError, AttributeError, IndexError)
_MAX_LEVEL = 6


def read_docx(data: Content) -> tuple[str, str, list[Note]]:
    """Return the text of a Word document as Markdown, its title, and what was left out.

    Raises:
        UnreadableDocument: it is not one.
    """
    try:
        import mammoth
    except ImportError as error:
        raise MissingDependency("Reading DOCX needs more packages.", extra="documents") from error
    archive = Archive(data, _KIND)
    notes: list[Note] = []
    if damaged := archive.check_parts():
        notes += note_damage(damaged)
        data = archive.pack(damaged)
        archive = Archive(data, _KIND)
    if TEXT_PART not in archive.names:
        raise UnreadableDocument("it is not a Word document: it has no text part, or a damaged one")
    convert = partial(
        cast("Any", mammoth).convert_to_html, convert_image=cast("Any", mammoth).images.img_element(_drop_picture)
    )
    try:
        text = _convert(archive, data, convert, notes)
    except _BAD_PARTS:  # in a style or a list
        data = archive.pack(_STYLE_PARTS)
        text = _convert(Archive(data, _KIND), data, convert, notes)
        notes.append(Note(reason="its styles are not understood, so it has no headings", is_loss=True))
    return text, find_title(archive, "docProps/core.xml"), notes


def _read_drawings(archive: Archive, ids: set[str], notes: list[Note]) -> dict[str, str]:
    """Return the words of charts and diagrams by their ids, and note those that are damaged."""
    if not ids:
        return {}
    marks = {part: mark for mark, part in find_targets(archive, TEXT_PART).items() if mark in ids}
    words: dict[str, str] = {}
    for part, mark in marks.items():
        try:
            words[mark] = read_part(archive, part)
        except UnreadableDocument:
            notes.append(Note(reason=f"a chart or diagram ({part}) is damaged and left out", is_loss=True))
    return words


def _convert(archive: Archive, data: Content, convert: Callable[..., Any], notes: list[Note]) -> str:
    styles = map_styles(archive.read_xml(_STYLES)) if _STYLES in archive.names else []
    parts: list[str] = []
    written = archive.read(TEXT_PART)
    opened = open_markup(spell_formulas(written) or written, find_ids(archive, TEXT_PART))
    opened = write_drawings(opened, _read_drawings(archive, find_drawings(opened), notes))
    for piece in cut_word(archive, data, opened if opened != written else None):
        made = convert(to_file(piece), style_map="\n".join(styles))
        parts.append(read_page(cast("str", made.value)).text)
    return "\n\n".join(filter(None, parts))


def _drop_picture(_picture: Any) -> dict[str, str]:
    return {}


def read_odt(data: Content) -> tuple[str, str]:
    """Return the text of an OpenDocument text as Markdown, and its title.

    Raises:
        UnreadableDocument: it is not one.
    """
    archive = Archive(data, "an OpenDocument text")
    body = archive.read_xml("content.xml").find(f".//{_OFFICE}text")
    if body is None:
        raise UnreadableDocument("it is not an OpenDocument text: it has no text part")
    parts = list[str]()
    _write(body, parts, "")
    return "\n\n".join(parts), find_title(archive, "meta.xml")


def _write(element: Element, parts: list[str], indent: str) -> None:
    """Add the blocks below an element of OpenDocument."""
    for each in element:
        if each.tag == f"{_TEXT}h":
            level = min(int(each.get(f"{_TEXT}outline-level") or 1), _MAX_LEVEL)
            _add(parts, f"{'#' * level} ", _flatten(each))
        elif each.tag == f"{_TEXT}p":
            _add(parts, "", _flatten(each))
        elif each.tag == f"{_TEXT}list":
            items = "\n".join(_write_list(each, indent))
            _add(parts, "", items)
        elif each.tag == f"{_TABLE}table":
            _add(parts, "", _write_table(each))
        elif each.tag not in _UNREAD:
            _write(each, parts, indent)


def _add(parts: list[str], mark: str, text: str) -> None:
    if text.strip():
        parts.append(mark + text)


def _write_list(element: Element, indent: str) -> list[str]:
    lines: list[str] = []
    for item in element:
        for each in item:
            if each.tag == f"{_TEXT}list":
                lines += _write_list(each, indent + "  ")
            elif text := _flatten(each):
                lines.append(f"{indent}- {text}")
    return lines


def _write_table(table: Element) -> str:
    heads = sum(1 for part in table.iter(f"{_TABLE}table-header-rows") for _ in part.iter(f"{_TABLE}table-row"))
    rows, cells = list[list[Cell]](), 0
    for row in table.iter(f"{_TABLE}table-row"):
        rows.append([cell for each in row.iter(f"{_TABLE}table-cell") for cell in _read_cells(each)])
        cells += len(rows[-1])
        if cells > _MAX_CELLS:
            raise UnreadableDocument(f"a table of it has more than {_MAX_CELLS:,} cells; split it")
    return write_table(rows, heads)


def _read_cells(cell: Element) -> list[Cell]:
    """Return a cell, as often as it is repeated; an empty one no more than a hundred times."""
    text = _flatten(cell)
    columns, rows, times = (
        read_span(cell.get(f"{_TABLE}number-{name}"))
        for name in ("columns-spanned", "rows-spanned", "columns-repeated")
    )
    return [Cell(text, columns, rows)] * (times if text.strip() else min(times, _MAX_EMPTY))


def _flatten(element: Element) -> str:
    """Return the text of an element with the spaces, tabs and line breaks that OpenDocument writes as elements."""
    parts = [element.text or ""]
    for each in element:
        if each.tag in _SPACES:
            parts.append(" ")
        elif each.tag not in _UNREAD:
            parts.append(f" {_flatten(each)} " if each.tag in _BLOCKS else _flatten(each))
        parts.append(each.tail or "")
    return "".join(parts).strip("\n")
