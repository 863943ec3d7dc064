"""The places where Markdown may be cut: its blocks, found by markdown-it-py, with the headings above them.

Only the start of a block matters here: a block ends where the next one starts, so no character is lost.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from gemvec.documents.stretches import cut_stretches
from gemvec.documents.titles import read_heading

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# markdown-it's idea of a line's end.
_LINE_END = re.compile(r"\r\n?|\n")


class Block(NamedTuple):
    """A heading, a paragraph, a list item, a table's row, a code block: what is not cut unless it is too long.

    Attributes:
        start, end: character offsets; `end` is the next block's `start`.
        header: start and end of the header above a table's row; None for anything else.
        is_code: whether it is code, which is not cut inside a line.
        level: of a heading, 1 to 6; 0 for anything else.
        headings: the headings above it, outermost first; for a heading, including itself.
    """

    start: int
    end: int
    level: int
    headings: tuple[str, ...]
    header: tuple[int, int] | None = None
    is_code: bool = False


class _Start(NamedTuple):
    """Where a block starts, and what it is. `header` is in lines."""

    line: int = 0
    level: int = 0
    heading: str = ""
    header: tuple[int, int] | None = None
    is_code: bool = False


def find_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of Markdown in order; together they are the whole text."""
    offsets = array("q", (0, *(found.end() for found in _LINE_END.finditer(text)), len(text)))
    stack: list[tuple[int, str]] = []
    headings: tuple[str, ...] = ()
    start, found = 0, _Start()
    for after in chain(_find_starts(text), [None]):
        end = offsets[after.line] if after else len(text)
        if after and end == start:  # of those that start together, the last one counts
            found = after
            continue
        if found.level:
            stack = [outer for outer in stack if outer[0] < found.level] + [(found.level, found.heading)]
            headings = tuple(name for _, name in stack)
        yield Block(
            start=start,
            end=end,
            level=found.level,
            headings=headings,
            header=(offsets[found.header[0]], offsets[found.header[1]]) if found.header else None,
            is_code=found.is_code,
        )
        if after:
            start, found = end, after


class Lines(NamedTuple):
    """Lines of Markdown.

    Attributes:
        html: the first line of each block of HTML, and the line after its last one.
        prose: the lines that are text and not code or HTML.
    """

    html: list[tuple[int, int]]
    prose: list[int]


def find_lines(text: str) -> Lines:
    """Return which lines of Markdown are HTML, and which are text."""
    spans: dict[str, list[tuple[int, int]]] = {"html_block": [], "inline": []}
    for stretch in cut_stretches(text):
        for token in _parser().parse(stretch.text):
            if token.type in spans and token.map:
                start = stretch.find_line(token.map[0])
                spans[token.type].append((start, start + token.map[1] - token.map[0]))
    return Lines(spans["html_block"], sorted({line for span in spans["inline"] for line in range(*span)}))


def _find_starts(text: str) -> Iterator[_Start]:
    """Yield where blocks start; a table's first row stays with the table's head."""
    for stretch in cut_stretches(text):
        if not stretch.line:
            yield from _find_starts_in(stretch.text)
            continue
        for start in _find_starts_in(stretch.text):
            if stretch.header and start.line == 0:  # the head that is repeated, and the first row with it
                yield _Start(line=stretch.line, header=stretch.header)
                continue
            top = stretch.find_line(start.header[0]) if start.header else 0
            header = (top, top + 2) if start.header else None
            yield start._replace(line=stretch.find_line(start.line), header=header)


def _find_starts_in(text: str) -> Iterator[_Start]:
    tokens = _parser().parse(text)
    header: tuple[int, int] | None = None
    depth = 0  # what holds the blocks that are told apart: the page, or the list item or quote of the last heading
    for index, token in enumerate(tokens):
        if token.map is None:
            continue
        line = token.map[0]
        depth = depth if token.level >= depth else 0
        if token.type == "table_open":
            header = (line, line + 2)  # the names and the rule below them
        if token.type == "heading_open":
            depth = token.level
            yield _Start(line=line, level=int(token.tag[1:]), heading=read_heading(tokens[index + 1].content))
        elif token.type == "tr_open" and (tokens[index - 1].type == "tbody_open" or not header or line < header[1]):
            continue
        elif _begins_block(token, depth):
            is_code = token.type in {"fence", "code_block"}
            yield _Start(line=line, header=header if token.type == "tr_open" else None, is_code=is_code)


def _begins_block(token: Token, depth: int) -> bool:
    if token.type == "list_item_open":
        return token.level == depth + 1
    return token.level == depth or (token.type == "tr_open" and token.level == depth + 2)  # table > tbody > tr


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    # Text inside a line does not matter here, and parsing it takes most of the time.
    parser.core.ruler.disable(["inline", "text_join"])
    return parser
