"""Long Markdown in stretches that are parsed one after the other: `cut_stretches`.

markdown-it makes several objects for each line and each cell, together about fifty times as many bytes as the text has.
A stretch ends only where a parser that starts there sees the same blocks: before a heading or a paragraph below a blank
line, between two items of a list, or between two rows of a table, whose header the next stretch repeats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Shorter texts are one stretch.
STRETCH_CHARACTERS = 1_000_000

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}(?=[^`]*$)|~{3,})")
# HTML that goes on over blank lines, and how it ends.
_HTML = re.compile(
    r" {0,3}<(?:(?P<raw>(?:script|pre|style|textarea)(?=[\s>]))"
    r"|(?P<note>!--)|(?P<data>!\[CDATA\[)|(?P<type>![a-z])|\?)",
    re.IGNORECASE,
)
_HTML_ENDS = {"raw": "</(?:script|pre|style|textarea)>", "note": "-->", "data": r"\]\]>", "type": ">", None: r"\?>"}
_LIST_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
# An item of a list that is not in another one, also one that begins with emphasis; not a rule of stars or hyphens.
_OUTER_ITEM = re.compile(
    r"(?:(?P<bullet>[-*+])|\d{1,9}(?P<point>[.)])) {1,4}(?P<text>[^\s*_-]|\*{1,3}(?=[^\s*])|_{1,3}(?=[^\s_]))"
)
_NEW_BLOCK = re.compile(r"#{1,6}[ \t]|[^\W\d_]")
_TABLE_RULE = re.compile(r"\|(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*\n?")
_BAR = re.compile(r"(?<!\\)\|")


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
    """Yield the stretches of Markdown."""
    if len(text) <= STRETCH_CHARACTERS:
        yield Stretch(text=text, line=0)
        return
    start, offset, header, repeated = 0, 0, None, ""
    scan = _Scan()
    for number, found in enumerate(_LINE.finditer(text)):
        line = found[0].rstrip("\r\n") + "\n"
        is_place = scan.read(number, line)
        if is_place and found.start() - offset >= STRETCH_CHARACTERS:
            yield Stretch(text=repeated + text[offset : found.start()], line=start, header=header)
            start, offset, header = number, found.start(), scan.header
            repeated = scan.header_text if header else ""
    yield Stretch(text=repeated + text[offset:], line=start, header=header)


class _Scan:
    """What is known of the lines read so far.

    Attributes:
        header: the lines of the header of the table that the last line is a row of; None outside of tables.
        header_text: that header.
    """

    def __init__(self) -> None:
        self.header: tuple[int, int] | None = None
        self.header_text = ""
        self._end: re.Pattern[str] | None = None  # of the code or HTML that the last line is in
        self._is_list = False
        self._item = ""  # the mark of the items of the list that the last line is in; empty if it may be in none
        self._indent = 1  # of the text of such an item
        self._is_doubtful = False  # whether code or HTML may have begun in a list, or below it
        self._above = "\n"

    def read(self, number: int, line: str) -> bool:
        """Read the next line; return whether a stretch may begin with it."""
        above, self._above = self._above, line
        is_item = self._begins_item(above, line)
        if self._end:
            self._item = ""
            self._end = None if self._end.search(line) else self._end
            return False
        self._is_list = self._goes_on_in_list(above, line)
        self._end = self._find_end(line)
        if self.header and line.startswith("|"):
            return number > self.header[1]
        self.header = (number - 1, number + 1) if _is_table_rule(above, line) else None
        self.header_text = above + line if self.header else ""
        return is_item or (not above.strip() and _NEW_BLOCK.match(line) is not None)

    def _begins_item(self, above: str, line: str) -> bool:
        """Whether an item of a list begins with a line, and not lines of HTML or of a paragraph that look like one."""
        rest = line.lstrip()
        if not rest or line.startswith(" " * self._indent):  # a blank line, or one of the item above
            return False
        item = _OUTER_ITEM.match(line)
        mark = (item["bullet"] or item["point"]) if item else ""
        self._item = mark if not self._is_doubtful and (not above.strip() or mark == self._item) else ""
        self._indent = item.start("text") if item and self._item else 1
        return bool(self._item)

    def _goes_on_in_list(self, above: str, line: str) -> bool:
        is_outside = line.strip() and not line[0].isspace() and (not above.strip() or line.startswith(("#", "`", "~")))
        return _LIST_ITEM.match(line) is not None or (self._is_list and not is_outside)

    def _find_end(self, line: str) -> re.Pattern[str] | None:
        """Return what ends the code or HTML that begins in a line; None if nothing does, or the end of a list may."""
        if self._is_list and line[0].isspace():
            self._is_doubtful |= line.lstrip().startswith(("`", "~", "<"))
            return None
        if fence := _FENCE.match(line):
            mark = fence["mark"]
            return re.compile(rf"^ {{0,3}}{mark[0]}{{{len(mark)},}}[ \t]*$")
        html = _HTML.match(line)
        end = re.compile(_HTML_ENDS[html.lastgroup], re.IGNORECASE) if html else None
        return None if html and end and end.search(line, html.end()) else end


def _is_table_rule(above: str, line: str) -> bool:
    """Whether a line is the rule below a table's names, which has a column for each of them."""
    return (
        above.startswith("|")
        and _TABLE_RULE.fullmatch(line) is not None
        and len(_BAR.findall(f"{above.strip().removesuffix('|')}|")) == len(_BAR.findall(line))
    )
