"""Subtitles: `read_cues`, the words of SubRip (.srt) and WebVTT (.vtt) files with the time at which each is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from gemvec.documents.text import UnreadableDocument

_TIME = re.compile(r"^\s*((?:\d+:)?\d{1,2}:\d{2})[.,]\d{1,3}\s*-->")
_UNREAD = re.compile(r"\s*(?:NOTE|STYLE|REGION)(?:\s|$)")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")


def read_cues(text: str) -> tuple[list[str], list[str]]:
    """Return the words of each cue, and the time at which it begins, such as `0:12:31`; repeated ones come once.

    Raises:
        UnreadableDocument: there is no cue.
    """
    words: list[str] = []
    times: list[str] = []
    for time, shown in _find_cues(text):
        if shown and (not words or words[-1] != shown):  # cues that roll up repeat the line before
            words.append(shown)
            times.append(time)
    if not words:
        raise UnreadableDocument("it has no subtitles")
    return words, times


def _find_cues(text: str) -> Iterator[tuple[str, str]]:
    time, shown = "", list[str]()
    for block in _find_blocks(text):
        lines = block.strip("\n").split("\n")
        start = next((place for place, line in enumerate(lines[:2]) if _TIME.match(line)), None)
        found = _TIME.match(lines[start]) if start is not None else None
        if found is not None:
            yield time, "\n".join(shown)
            time, shown = found[1], []
        elif not time or _UNREAD.match(block) or block.strip().isdigit():  # a header, a note, a style, a number
            continue
        # A blank line does not end the words of a cue: many files have them between their lines.
        words = lines if start is None else lines[start + 1 :]
        shown += filter(None, (unescape(_TAG.sub("", line)).strip() for line in words))
    yield time, "\n".join(shown)


def _find_blocks(text: str) -> Iterator[str]:
    """Yield what blank lines part, and cues without one between them."""
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.strip("\n").split("\n")
        begin, has_time = 0, False
        for place, line in enumerate(lines):
            if not _TIME.match(line):
                continue
            if has_time:
                first = place - 1 if lines[place - 1].strip().isdigit() else place
                yield "\n".join(lines[begin:first])
                begin = first
            has_time = True
        yield "\n".join(lines[begin:])
