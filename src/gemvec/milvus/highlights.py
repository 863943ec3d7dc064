"""Where the words of a query stand in a passage: `find_highlights`, by the same rules as the search for words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gemvec.milvus.schema import STOP_WORDS
from gemvec.milvus.words import make_plain, pair, split_words

_WORD = re.compile(r"\w+")


def find_highlights(query: str, text: str) -> list[tuple[int, int]]:
    """Return the start and end of each stretch of `text` that matches words of `query`, in order.

    Case and accents do not matter. In scripts without spaces, at least two characters in a row must match.
    """
    words, runs = split_words(query)
    wanted = {word for word in words if word not in STOP_WORDS}
    plain, places = _flatten(text)
    found = [each.span() for each in _WORD.finditer(plain) if each[0] in wanted]
    for part in {part for run in runs for part in pair(run)}:
        found += [(each.start(), each.start() + len(part)) for each in re.finditer(f"(?={re.escape(part)})", plain)]
    return _merge([(places[start], _find_end(text, places[end - 1] + 1)) for start, end in found])


def _flatten(text: str) -> tuple[str, Sequence[int]]:
    """Return `text` as words are matched in it, and where each of its characters is in `text`."""
    if text.isascii():
        return text.lower(), range(len(text))
    parts, places = list[str](), list[int]()
    for place, character in enumerate(text):
        parts.append(made := make_plain(character).lower())
        places += [place] * len(made)
    return "".join(parts), places


def _find_end(text: str, end: int) -> int:
    """Return the end of a match together with the marks on its last letter, such as a Thai tone."""
    while end < len(text) and not make_plain(text[end]):
        end += 1
    return end


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
