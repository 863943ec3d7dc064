"""Presentations of LibreOffice (.odp): `read_odp`, the text of each slide with its title, tables and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gemvec.documents.content import Content, refuse_many_characters
from gemvec.documents.document import Note
from gemvec.documents.opendocument import (
    DRAW,
    OFFICE,
    PRESENTATION,
    UNREAD,
    OpenDocument,
    write_blocks,
)
from gemvec.documents.slides import note_hidden
from gemvec.documents.text import UnreadableDocument

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_SLIDE, _GROUP, _NOTES = f"{DRAW}page", f"{DRAW}g", f"{PRESENTATION}notes"
# Kinds of frames that repeat on every slide.
_FURNITURE = frozenset({"header", "footer", "date-time", "page-number", "page"})


def read_odp(data: Content) -> tuple[list[str], list[str], str, list[Note]]:
    """Return the text of each slide as Markdown, their names, the presentation's title, and what was left out.

    Raises:
        UnreadableDocument: it is not a presentation, or has no slides.
    """
    document = OpenDocument(data, "an OpenDocument presentation", f"{OFFICE}presentation")
    texts, hidden, length = list[str](), list[str](), 0
    for element, is_whole in document.elements(frozenset({_SLIDE})):
        if is_whole and element.tag == _SLIDE:
            texts.append(_read_slide(document, element))
            length += len(texts[-1])
            refuse_many_characters(length)
            hidden += [str(len(texts))] if element.get(f"{DRAW}style-name") in document.hidden else []
    if not texts:
        raise UnreadableDocument(document.notes[0].reason if document.notes else "it has no slides")
    names = [f"slide {number}" for number in range(1, len(texts) + 1)]
    return texts, names, document.title, [*document.notes, *note_hidden(hidden)]


def _read_slide(document: OpenDocument, slide: Element) -> str:
    title, parts = "", list[str]()
    for shape in _find_shapes(slide):
        kind = shape.get(f"{PRESENTATION}class", "")
        if kind in _FURNITURE or shape.get(f"{PRESENTATION}placeholder") == "true":
            continue
        blocks = list[str]()
        write_blocks(shape, blocks)
        blocks += filter(None, [document.read_chart(shape, has_names=True)])
        if kind == "title" and not title:
            title = " ".join(" ".join(blocks).split())
        else:
            parts += blocks
    return "\n\n".join([*([f"## {title}"] if title else []), *parts])


def _find_shapes(element: Element) -> Iterator[Element]:
    """Yield the shapes of a slide, those of its notes last."""
    notes = [each for each in element if each.tag == _NOTES]
    for each in (*(each for each in element if each.tag != _NOTES), *notes):
        if each.tag in {_GROUP, _NOTES}:
            yield from _find_shapes(each)
        elif each.tag.startswith(DRAW) and each.tag not in UNREAD:
            yield each
