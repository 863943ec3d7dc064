"""Documents of Word (.docx) as Markdown: headings, paragraphs, lists and tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from gemvec.documents.archive import Archive, find_ids, find_targets, find_title, note_damage
from gemvec.documents.content import Content, to_file
from gemvec.documents.document import Note
from gemvec.documents.html import read_page
from gemvec.documents.office_drawings import read_part
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.word_markup import find_drawings, open_markup, write_drawings
from gemvec.documents.word_math import spell_formulas
from gemvec.documents.word_pieces import TEXT_PART, cut_word
from gemvec.documents.word_styles import map_styles
from gemvec.errors import MissingDependency

_KIND = "a Word document"
_STYLES = "word/styles.xml"
_STYLE_PARTS = (_STYLES, "word/stylesWithEffects.xml", "word/numbering.xml")
# What mammoth raises for parts that it does not understand.
_BAD_PARTS = (KeyError, TypeError, AttributeError, IndexError)


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
