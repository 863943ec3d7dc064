"""What the styles of a Word document mean: `map_styles` tells mammoth which of them are headings and which are code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
# Templates of publishers give their headings names and no levels.
_TITLE = re.compile(r"(?:(?:chapter|part|book|appendix|backmatter|frontmatter)[ _-]?)?title", re.IGNORECASE)
_LETTERED = re.compile(r"(?:h|head|heading)[ _-]?([a-e])", re.IGNORECASE)
_CODE = re.compile(
    r"(?:source[ _-]?)?code(?:[ _-]?(?:block|wide|single|annotated))?|(?:html )?preformatted(?: text)?", re.IGNORECASE
)
# Names that mammoth's notation can hold.
_PLAIN_NAME = re.compile(r"[^'\\\n]+")
_MAX_LEVEL, _MAX_PARENTS = 6, 20


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    level: int  # of a heading, from 1; 0 for anything else
    parent: str


def map_styles(styles: Element) -> list[str]:
    """Return lines of a style map for mammoth.

    A heading is a style with a level in Word's outline, its own or one that it inherits, or one that is called like a
    heading in the templates of publishers (`Title`, `ChapterTitle`, `HeadA`).

    Args:
        styles: the root of `word/styles.xml`.
    """
    space = _STRICT if styles.tag.startswith(_STRICT) else _WORD
    found = {
        each.get(f"{space}styleId") or "": _read_style(each, space)
        for each in styles.iter(f"{space}style")
        if each.get(f"{space}type") == "paragraph"
    }
    lines: list[str] = []
    for each in found.values():
        if not _PLAIN_NAME.fullmatch(each.name):
            continue
        if level := _find_level(each, found):
            lines.append(f"p[style-name='{each.name}'] => h{min(level, _MAX_LEVEL)}:fresh")
        elif _CODE.fullmatch(each.name):
            lines.append(f"p[style-name='{each.name}'] => pre:separator('\\n')")
    return lines


def _read_style(style: Element, space: str) -> _Style:
    def read(path: str) -> str:
        found = style.find("/".join(f"{space}{each}" for each in path.split("/")))
        return (found.get(f"{space}val") or "") if found is not None else ""

    outline = read("pPr/outlineLvl")
    # Word counts from 0, and 9 is the level of text.
    level = int(outline) + 1 if outline.isascii() and outline.isdigit() and int(outline) < 9 else 0  # noqa: PLR2004
    return _Style(name=read("name"), level=level, parent=read("basedOn"))


def _find_level(style: _Style, styles: Mapping[str, _Style]) -> int:
    if _TITLE.fullmatch(style.name):
        return 1
    if lettered := _LETTERED.fullmatch(style.name):
        return ord(lettered[1].lower()) - ord("a") + 2
    seen: _Style | None = style
    for _ in range(_MAX_PARENTS):  # styles may refer to each other in a circle
        if seen is None or seen.level:
            break
        seen = styles.get(seen.parent)
    return seen.level if seen is not None else 0
