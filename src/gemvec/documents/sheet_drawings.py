"""What stands on a sheet of Excel beside its cells, boxes, charts, diagrams and comments: `read_drawings`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from gemvec.documents.archive import Archive, find_targets
from gemvec.documents.office_drawings import read_paragraphs, read_part

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# A form of the element before it for older programs.
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# What Excel writes as the author of a comment that is there once more, with its answers.
_THREADED = "tc="


def read_drawings(archive: Archive, part: str) -> list[str]:
    """Return the texts of boxes, shapes, charts and diagrams on a sheet, and of the comments on its cells.

    Of charts these are their titles: the names of what they show stand in cells.

    Raises:
        UnreadableDocument: a part of them is damaged.
    """
    names = dict.fromkeys(find_targets(archive, part).values())
    parts = [name for name in names if name.lower().endswith(".xml")]
    drawings = [name for name in parts if "/drawings/" in name]
    comments = [name for name in parts if "/drawings/" not in name and "comments" in name.lower()]
    texts = [archive.make_once(name, partial(_read_drawing, archive, name)) for name in drawings]
    texts += [archive.make_once(name, partial(_join_comments, archive, name)) for name in comments]
    return list(filter(None, texts))


def _read_drawing(archive: Archive, name: str) -> str:
    shown = dict.fromkeys(find_targets(archive, name).values())
    charts = (" ".join(read_paragraphs(archive.read_xml(each))) for each in shown if "/charts/chart" in each)
    diagrams = (read_part(archive, each) for each in shown if "/diagrams/data" in each)
    return "\n\n".join(filter(None, (*_read_shapes(archive.read_xml(name)), *charts, *diagrams)))


def _join_comments(archive: Archive, name: str) -> str:
    return "\n\n".join(_read_comments(archive.read_xml(name)))


def _read_shapes(element: Element) -> Iterator[str]:
    if element.tag.endswith("}txBody"):
        if text := "\n".join(read_paragraphs(element)):
            yield text
        return
    for each in element:
        if each.tag != _FALLBACK:
            yield from _read_shapes(each)


def _read_comments(root: Element) -> Iterator[str]:
    """Yield each comment with the cell that it is on; threads have a part of their own."""
    authors = [each.text or "" for each in root.iter() if each.tag.endswith("}author")]
    for comment in root.iter():
        if not comment.tag.endswith(("}comment", "}threadedComment")):
            continue
        author = comment.get("authorId", "")
        is_again = author.isdecimal() and int(author) < len(authors) and authors[int(author)].startswith(_THREADED)
        text = "".join(each.text or "" for each in comment.iter() if each.tag.endswith(("}t", "}text")))
        if text.strip() and not is_again:
            yield f"Comment on {comment.get('ref', '')}: {' '.join(text.split())}"
