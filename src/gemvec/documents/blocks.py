"""Where Markdown may be cut: its blocks, found by markdown-it-py, and the headings they stand under.

Only where blocks begin matters here: a block reaches to where the next one begins, so no character is ever lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# markdown-it's idea of a line's end.
_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A heading, a paragraph, a list item, a table's row, a code block: what is not cut unless it is too long.

    Attributes:
        start, end: character offsets; `end` is the next block's `start`.
        level: of a heading, 1 to 6; 0 for anything else.
        headings: the headings it stands under, outermost first; of a heading, itself included.
    """

    start: int
    end: int
    level: int
    headings: tuple[str, ...]


def find_blocks(text: str) -> list[Block]:
    """Return the blocks of Markdown in order; together they are the whole text."""
    offsets = [0, *(found.end() for found in _LINE_END.finditer(text)), len(text)]
    starts = {0: (0, "")}
    starts.update({offsets[line]: (level, heading) for line, level, heading in _find_starts(text)})
    ordered = sorted(starts)
    stack: list[tuple[int, str]] = []
    blocks: list[Block] = []
    for start, end in zip(ordered, [*ordered[1:], len(text)], strict=True):
        level, heading = starts[start]
        if level:
            stack = [outer for outer in stack if outer[0] < level] + [(level, heading)]
        blocks.append(Block(start=start, end=end, level=level, headings=tuple(name for _, name in stack)))
    return blocks


def _find_starts(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield line, heading level and heading of each block; a table's first row stays with the table's head."""
    tokens = _parser().parse(text)
    is_first_row = False
    for index, token in enumerate(tokens):
        if token.type == "tbody_open":
            is_first_row = True
        elif token.type == "tr_open" and is_first_row:
            is_first_row = False
        elif token.map is not None and token.type == "heading_open":
            yield token.map[0], int(token.tag[1:]), tokens[index + 1].content
        elif token.map is not None and _begins_block(token):
            yield token.map[0], 0, ""


def _begins_block(token: Token) -> bool:
    if token.type == "list_item_open":
        return token.level == 1
    return token.level == 0 or (token.type == "tr_open" and token.level == 2)  # noqa: PLR2004 # table > tbody > tr


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    # What stands inside a line does not matter here, and parsing it takes most of the time.
    parser.core.ruler.disable(["inline", "text_join"])
    return parser
