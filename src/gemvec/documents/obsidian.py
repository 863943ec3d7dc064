"""Comments of Obsidian in Markdown, `%%so written%%`, which no reader sees: `strip_comments`. Lines keep numbers."""

from __future__ import annotations

import re
from bisect import bisect_right

from gemvec.documents.site_markup import follow_fence

_MARK, _BOTH = "%%", 2
# In a line, a comment touches its marks; others, such as `%% of %%`, may be text. Code stays.
_INLINE = re.compile(
    r"(?P<code>(?<!`)(?P<mark>`+)(?!`).+?(?<!`)(?P=mark)(?!`))"
    r"|(?<![\w%])%%(?=[^\s%])[^%]*+(?<=[^\s%])%%(?![\w%])"
)


def strip_comments(text: str) -> str:
    """Return Markdown without comments: in a line, a line, or from a line of two signs to the next that ends so."""
    return "\n".join(_strip(text.split("\n"))) if _MARK in text else text


def _strip(lines: list[str]) -> list[str]:
    marked = [place for place, line in enumerate(lines) if _MARK in line]
    made, fence = list[str](), ""
    while len(made) < len(lines):
        place = len(made)
        line = lines[place]
        was_code, fence = bool(fence), follow_fence(fence, line)
        if was_code or fence or _MARK not in line:
            made.append(line)
        elif end := _find_end(lines, place, marked):
            made += [""] * (end - place)
        else:
            made.append(_INLINE.sub(lambda found: found["code"] or "", line))
    return made


def _find_end(lines: list[str], place: int, marked: list[int]) -> int:
    """Return the line below the comment that a line begins; 0 if it begins none."""
    text = lines[place].strip()
    marks = text.count(_MARK)
    if not text.startswith(_MARK) or marks > _BOTH:
        return 0
    if marks == _BOTH:
        return place + 1 if text.endswith(_MARK) else 0
    below = bisect_right(marked, place)
    last = marked[below] if below < len(marked) else place
    is_whole = text == _MARK or all(map(str.strip, lines[place:last]))
    is_end = lines[last].count(_MARK) == 1 and lines[last].rstrip().endswith(_MARK)
    return last + 1 if last > place and is_whole and is_end else 0
