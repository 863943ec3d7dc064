"""Where the words of a query stand in a passage: `find_highlights`, by the same rules as the search for words."""

from __future__ import annotations

import re

from gemvec.milvus.schema import STOP_WORDS
from gemvec.milvus.words import make_plain, pair, split_words

_WORD = re.compile(r"\w+")


def find_highlights(query: str, text: str) -> list[tuple[int, int]]:
    """Return the start and end of each stretch of `text` that matches words of `query`, in order.

    Case and accents do not matter. In scripts without spaces, at least two characters in a row must match.
    """
    words, runs = split_words(query)
    wanted = {word for word in words if word not in STOP_WORDS}
    found = [each.span() for each in _WORD.finditer(text) if make_plain(each[0]).lower() in wanted]
    # Character by character, so that places in it are places in the text.
    plain = "".join(made if len(made := make_plain(each)) == 1 else each for each in text)
    for part in {part for run in runs for part in pair(run)}:
        found += [(each.start(), each.start() + len(part)) for each in re.finditer(f"(?={re.escape(part)})", plain)]
    return _merge(found)


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
