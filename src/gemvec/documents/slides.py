"""Presentations of PowerPoint (.pptx): `read_slides`, the text of each slide with its title, tables and notes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from gemvec.documents.archive import Archive, find_targets, find_title
from gemvec.documents.content import MAX_TEXT_BYTES, Content
from gemvec.documents.document import Note
from gemvec.documents.markdown_table import Cell, read_span, write_table
from gemvec.documents.office_drawings import read_drawing
from gemvec.documents.text import UnreadableDocument

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
# Text, also in formulas, and what is written in place of other elements there.
_TEXTS = frozenset({f"{_A}t", f"{_M}t"})
_SIGNS = {f"{_A}br": " ", f"{_M}den": "/", f"{_M}sup": "^", f"{_M}sub": "_"}
_READ = _TEXTS | _SIGNS.keys()
_TITLES = frozenset({"title", "ctrTitle"})
# Placeholders that repeat on every slide.
_FURNITURE = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})
_TRUE = frozenset({"1", "true", "on"})
_FALSE = frozenset({"0", "false", "off"})
_SHOWN_NUMBERS = 10
_PRESENTATION = "ppt/presentation.xml"


def read_slides(data: Content) -> tuple[list[str], list[str], str, list[Note]]:
    """Return the text of each slide as Markdown, their names, the presentation's title, and what was left out.

    Raises:
        UnreadableDocument: it is not a presentation, or none of its slides can be read.
    """
    archive = Archive(data, "a presentation")
    targets = find_targets(archive, _PRESENTATION)
    length, seen = 0, set[str]()
    texts, names, notes, hidden = list[str](), list[str](), list[Note](), list[str]()
    for number, slide in enumerate(archive.read_xml(_PRESENTATION).iter(f"{_P}sldId"), start=1):
        name = f"slide {number}"
        part = targets.get(slide.get(f"{_R}id", ""), "")
        if part in seen:  # a slide that is there once more tells nothing more
            continue
        seen.update(filter(None, [part]))
        try:
            root = archive.read_xml(part)
            text, is_damaged = _read_slide(archive, part, root)
            texts.append(text)
            names.append(name)
            length += len(text)
            if is_damaged:
                reason = f"a chart or diagram on {name} is damaged and left out"
                notes.append(Note(reason=reason, is_loss=True, place=name))
            hidden += [str(number)] if root.get("show") in _FALSE else []
        except UnreadableDocument:
            notes.append(Note(reason=f"{name} is missing or damaged, and left out", is_loss=True, place=name))
        if length > MAX_TEXT_BYTES:  # many slides may share one long chart
            raise UnreadableDocument(f"its slides have more than {MAX_TEXT_BYTES:,} characters; split it")
    if not texts:
        raise UnreadableDocument("none of its slides can be read" if notes else "it has no slides")
    return texts, names, find_title(archive, "docProps/core.xml"), [*notes, *note_hidden(hidden)]


def note_hidden(numbers: Sequence[str]) -> list[Note]:
    """Return a note about slides that are not shown; none if there are none."""
    more = f" and {len(numbers) - _SHOWN_NUMBERS:,} more" if len(numbers) > _SHOWN_NUMBERS else ""
    reason = f"slides of it that are hidden are read, too: {', '.join(numbers[:_SHOWN_NUMBERS])}{more}"
    return [Note(reason=reason)] if numbers else []


def _read_slide(archive: Archive, name: str, root: Element) -> tuple[str, bool]:
    """Return the text of a slide, and whether a chart or diagram on it is damaged."""
    title, parts, targets = "", list[str](), find_targets(archive, name)
    is_damaged = False
    drawn: set[str] = set()  # the parts of the charts and diagrams
    for shape in _find_shapes(root):
        kind = _get_kind(shape)
        text = _read_shape(shape)
        try:
            text = text or read_drawing(archive, shape, targets, drawn)
        except UnreadableDocument:
            is_damaged = True
            continue
        if kind in _TITLES and not title:
            title = " ".join(text.split())
        elif text and kind not in _FURNITURE:
            parts.append(text)
    notes = [part for part in dict.fromkeys(targets.values()) if "/notesSlides/" in part]
    spoken = [archive.make_once(part, partial(_read_notes, archive, part)) for part in notes]
    return "\n\n".join([*([f"## {title}"] if title else []), *parts, *(each for each in spoken if each)]), is_damaged


def _read_notes(archive: Archive, name: str) -> str:
    shapes = [each for each in _find_shapes(archive.read_xml(name)) if _get_kind(each) not in _FURNITURE]
    return "\n\n".join(text for shape in shapes if (text := _read_shape(shape)))


def _find_shapes(root: Element) -> list[Element]:
    """Return the shapes on a slide; of one in two forms only that for newer programs, if it has text."""
    older: set[Element] = set()
    for both in root.iter(f"{_MC}AlternateContent"):
        newer = both.find(f"{_MC}Choice")
        if newer is not None and any((each.text or "").strip() for each in newer.iter() if each.tag in _TEXTS):
            older.update(each for form in both.findall(f"{_MC}Fallback") for each in form.iter())
    return [each for each in root.iter() if each.tag in {f"{_P}sp", f"{_P}graphicFrame"} and each not in older]


def _get_kind(shape: Element) -> str:
    placeholder = shape.find(f".//{_P}nvPr/{_P}ph")
    return placeholder.get("type", "body") if placeholder is not None else ""


def _read_shape(shape: Element) -> str:
    if shape.tag == f"{_P}graphicFrame":
        return write_table([list(map(_read_cell, _find_cells(row))) for row in shape.iter(f"{_A}tr")])
    return _read_paragraphs(shape, "\n")


def _find_cells(row: Element) -> list[Element]:
    """Return the cells that begin in a row: those that others go over are there too, and are not shown."""
    return [each for each in row.iter(f"{_A}tc") if not {each.get("hMerge"), each.get("vMerge")} & _TRUE]


def _read_cell(cell: Element) -> Cell:
    return Cell(_read_paragraphs(cell, " "), *(read_span(cell.get(name)) for name in ("gridSpan", "rowSpan")))


def _read_paragraphs(element: Element, joint: str) -> str:
    """Return the paragraphs of a shape; those that are indented as items of a list."""
    lines: list[str] = []
    for paragraph in element.iter(f"{_A}p"):
        text = "".join(_SIGNS.get(each.tag) or (each.text or "") for each in paragraph.iter() if each.tag in _READ)
        properties = paragraph.find(f"{_A}pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        if text.strip():
            indent = "  " * (int(level) - 1) + "- " if level.isdigit() and level != "0" else ""
            lines.append(indent + " ".join(text.split()))
    return joint.join(lines)
