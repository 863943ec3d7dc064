"""Characters that are written by their names or numbers, as in HTML: `&amp;`, `&#8212;`: `ENTITY`, `read_entity`."""

from __future__ import annotations

import re
from html import unescape
from html.entities import html5

from gemvec.documents.text import fold

# One that a backslash does not make plain text.
ENTITY = re.compile(r"(?<!\\)&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")


def read_entity(found: re.Match[str]) -> str:
    """Return what a reader sees of an entity, on one line; as it is written if there is none of its name."""
    written = found[0]
    if written[1] != "#" and written[1:] not in html5:
        return written
    character = fold(unescape(written))
    if character.isprintable():
        return character
    return " " if character.isspace() else ""


_RAISED = re.compile(r"[-+\u2212]?\d{1,6}|[-+\u2212]")
_AS_RAISED = str.maketrans("0123456789+-\u2212", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")


def raise_number(text: str) -> str:
    """Return a number in the characters for raised ones, without which 10³ would be 103; other text as it is."""
    return text.translate(_AS_RAISED) if _RAISED.fullmatch(text.strip()) else text
