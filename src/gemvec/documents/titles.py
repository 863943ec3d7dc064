"""Which titles are used: none that only a program has chosen (`choose_title`), and none endless (`shorten_title`).

That of a passage is the document's title and the headings above it (`join_title`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What Word and Acrobat put before the name of the file that they print or save.
_PROGRAM = re.compile(r"^Microsoft (?:Office )?(?:Word|PowerPoint|Excel) - ")
_SLIDE = r"(?:slide|diapositive|diapositiva|folie|slajd|dia|слайд|幻灯片|スライド|슬라이드)\s*\d+"
_KIND = (
    r"(?:(?:microsoft )?(?:power\s?point|word|excel)[ -]?)?(?:presentation|présentation|präsentation|presentación|"
    r"presentazione|apresentação|презентация|do[ck]umento?|book|workbook)"
    r"(?: (?:de |do |di )?powerpoint)?\s*\d*"
)
# A title and each heading are embedded with every passage below them: about fifty tokens in most scripts.
MAX_TITLE_BYTES = 240
_CUT = "…"
_JOINT = " > "  # between headings
HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")  # in Markdown
_MADE = re.compile(rf"(?:{_SLIDE}|{_KIND}|untitled|(?:no|enter) title|title|normal(?:\.dotm?)?)", re.IGNORECASE)
# In a heading: code, which stays as it is, a picture, a link.
_CODE, _TARGET = r"(?P<code>`+[^`]*`+)", r"\[(?P<shown>[^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])"
_PICTURE, _LINK = re.compile(f"{_CODE}|!{_TARGET}"), re.compile(f"{_CODE}|{_TARGET}")


def choose_title(written: str) -> str:
    """Return a title of a file's properties; empty for one such as `PowerPoint Presentation` or `Slide 1`."""
    title = _PROGRAM.sub("", " ".join(written.split()))
    return "" if _MADE.fullmatch(title) else title


def read_heading(written: str) -> str:
    """Return a heading without addresses of links and without pictures; of one that is only a picture, its text."""
    if "](" not in written and "][" not in written:
        return written
    shown = _LINK.sub(_show, _PICTURE.sub(lambda found: found["code"] or "", written))
    return " ".join(shown.split()) or _LINK.sub(_show, _PICTURE.sub(_show, written)).strip()


def _show(found: re.Match[str]) -> str:
    return found["code"] or found["shown"]


def shorten_title(title: str) -> str:
    """Return a title of at most `MAX_TITLE_BYTES`, cut between words if it is longer; `…` at its end says so."""
    if len(title) * 4 <= MAX_TITLE_BYTES or len(title.encode(errors="surrogatepass")) <= MAX_TITLE_BYTES:
        return title
    start = title[:MAX_TITLE_BYTES].encode(errors="surrogatepass")[: MAX_TITLE_BYTES - len(_CUT.encode())]
    kept = start.decode(errors="ignore")
    words = kept.rpartition(" ")[0]
    return (words if len(words) * 2 > len(kept) else kept).rstrip() + _CUT


def join_headings(headings: Sequence[str]) -> str:
    """Return headings as one, such as `Batches > Cancel`; the outermost are left out where all are too long."""
    kept = [shorten_title(each) for each in headings if each]  # a picture may be all that a heading has
    while len(kept) > 1 and len(_JOINT.join(kept).encode(errors="surrogatepass")) > 2 * MAX_TITLE_BYTES:
        del kept[0]
    return _JOINT.join(kept)


def join_title(title: str, heading: str, text: str) -> str:
    """Return the title that a passage is embedded with: the document's title, then the headings above it.

    A heading at the start of `text` itself is left out, and so is a title that equals the first heading.
    """
    own = HEADING.match(text.split("\n", 1)[0])
    above = f"{_JOINT}{heading}"
    above = above.removesuffix(f"{_JOINT}{shorten_title(read_heading(own[2]))}") if own else above
    above = above.removeprefix(_JOINT)
    if not title or above == title or above.startswith(title + _JOINT):
        return above
    return f"{title}{_JOINT}{above}" if above else title
