"""Long Markdown in stretches that are parsed one after the other: `cut_stretches`.

markdown-it makes several objects for each line and each cell, together about fifty times as many bytes as the text has.
A stretch ends only where a parser that starts there sees the same blocks: before a heading or a paragraph below a blank
line, or between two rows of a table, whose header the next stretch repeats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

# Shorter texts are one stretch.
STRETCH_CHARACTERS = 1_000_000

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NEW_BLOCK = re.compile(r"#{1,6}[ \t]|[^\W\d_]")
_TABLE_RULE = re.compile(r"\|(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a text, of whole lines.

    Attributes:
        text: it; the header of a table comes before the rows of a table that a stretch before has begun.
        line: number of its first line in the whole text, the repeated header not counted.
        header: the lines of the header that is repeated, first and last plus one; None when there is none.
    """

    text: str
    line: int
    header: tuple[int, int] | None = None

    def find_line(self, line: int) -> int:
        """Return where line `line` of the stretch is in the whole text."""
        if self.header is None:
            return self.line + line
        repeated = self.header[1] - self.header[0]
        return self.header[0] + line if line < repeated else self.line + line - repeated


def cut_stretches(text: str) -> Iterator[Stretch]:
    """Yield the stretches of Markdown; a text with carriage returns is one stretch."""
    if len(text) <= STRETCH_CHARACTERS:
        yield Stretch(text=text, line=0)
        return
    lines = [text] if "\r" in text else list(StringIO(text, newline="\n"))
    start, size, header = 0, 0, None
    scan = _Scan()
    for number, line in enumerate(lines):
        is_place = scan.read(number, line)
        if is_place and size >= STRETCH_CHARACTERS:
            yield _join(lines, start, number, header)
            start, size, header = number, 0, scan.header
        size += len(line)
    yield _join(lines, start, len(lines), header)


def _join(lines: list[str], start: int, end: int, header: tuple[int, int] | None) -> Stretch:
    repeated = lines[header[0] : header[1]] if header else []
    return Stretch(text="".join([*repeated, *lines[start:end]]), line=start, header=header)


class _Scan:
    """What is known of the lines read so far.

    Attributes:
        header: the lines of the header of the table that the last line is a row of; None outside of tables.
    """

    def __init__(self) -> None:
        self.header: tuple[int, int] | None = None
        self._fence = ""
        self._above = "\n"

    def read(self, number: int, line: str) -> bool:
        """Read the next line; return whether a stretch may begin with it."""
        above, self._above = self._above, line
        fence = _FENCE.match(line)
        if self._fence:
            if fence and fence[1].startswith(self._fence):
                self._fence = ""
            return False
        if fence:
            self._fence = fence[1]
        if self.header and line.startswith("|"):
            return number > self.header[1]
        is_rule = above.startswith("|") and _TABLE_RULE.fullmatch(line) is not None
        self.header = (number - 1, number + 1) if is_rule else None
        return not above.strip() and _NEW_BLOCK.match(line) is not None
