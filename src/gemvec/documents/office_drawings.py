"""Words of charts and diagrams (SmartArt) in files of Office, which are in parts of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gemvec.documents.archive import Archive

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MARKS = frozenset({f"{_C}chart", f"{_DIAGRAM}relIds"})
# Names of series and categories, as they were when the file was saved.
_NAMES = frozenset({f"{_C}tx", f"{_C}cat"})


def read_drawing(archive: Archive, frame: Element, targets: dict[str, str], drawn: set[str]) -> str:
    """Return the words of the chart or diagram that a frame refers to, a line for each; empty if there is none.

    Many frames may share one long chart: what others show tells nothing more.

    Args:
        archive: the file.
        frame: what refers to it.
        targets: the parts that the slide or text refers to, by id.
        drawn: the parts that were read for frames before it; those of this frame are added.

    Raises:
        UnreadableDocument: its part is damaged.
    """
    marks = (each.get(f"{_R}id" if each.tag == f"{_C}chart" else f"{_R}dm", "") for each in _find_marks(frame))
    parts = dict.fromkeys(targets[mark] for mark in marks if mark in targets and targets[mark] not in drawn)
    words = "\n".join(filter(None, [read_part(archive, part) for part in parts]))
    drawn.update(parts)
    return words


def _find_marks(frame: Element) -> Iterator[Element]:
    return (each for each in frame.iter() if each.tag in _MARKS)


def read_part(archive: Archive, name: str) -> str:
    """Return the words of the chart or diagram that a part is, a line for each.

    Raises:
        UnreadableDocument: the part is damaged.
    """

    def read() -> str:
        root = archive.read_xml(name)
        return "\n".join(dict.fromkeys(_read_chart(root) if root.tag == f"{_C}chartSpace" else read_paragraphs(root)))

    return archive.make_once(name, read)


def _read_chart(root: Element) -> Iterator[str]:
    yield from read_paragraphs(root)  # titles of the chart and its axes
    for names in root.iter():
        if names.tag in _NAMES:
            values = (each.text or "" for each in names.iter(f"{_C}v"))
            if text := ", ".join(filter(None, (" ".join(value.split()) for value in values))):
                yield text


def read_paragraphs(element: Element) -> list[str]:
    """Return the paragraphs of text in an element, those without a character left out."""
    texts = ("".join(each.text or "" for each in paragraph.iter(f"{_A}t")) for paragraph in element.iter(f"{_A}p"))
    return [" ".join(text.split()) for text in texts if text.strip()]
