"""Blocks of Markdown joined into passages: short sections are joined, long ones are divided evenly."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator

from gemvec.documents.blocks import Block

# A section with less than this share of a full passage is joined with the one below it.
SHORT_SHARE = 0.25
# How much longer than asked for a passage may be if otherwise a scrap of this size would be left.
SCRAP_SHARE = 0.125

SizedBlock = tuple[Block, int]  # a block and its tokens


class Section:
    """The blocks from a heading to the next one, each with its tokens, in order.

    They are not kept as objects: a list may have half a million items, each of which is a block.

    Attributes:
        tokens: how many all of them have.
        headings: those above its first block, which includes its own.
        has_content: whether it has more than headings.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.headings: tuple[str, ...] = ()
        self.has_content = False
        self._numbers = array("q")
        self._headings: list[tuple[str, ...]] = []
        self._headers: list[tuple[int, int] | None] = []

    def __bool__(self) -> bool:
        return bool(self._headings)

    def __iter__(self) -> Iterator[SizedBlock]:
        numbers = iter(self._numbers)
        rows = zip(numbers, numbers, numbers, numbers, numbers, self._headings, self._headers, strict=True)
        for start, end, level, is_code, tokens, headings, header in rows:
            yield Block(start, end, level, headings, header, bool(is_code)), tokens

    def add(self, block: Block, tokens: int) -> None:
        """Add the block that comes next."""
        if not self:
            self.headings = block.headings
        self.tokens += tokens
        self.has_content = self.has_content or not block.level
        self._numbers.extend((block.start, block.end, block.level, block.is_code, tokens))
        self._headings.append(block.headings)
        is_repeated = bool(self._headers) and self._headers[-1] == block.header  # a table's rows have the same one
        self._headers.append(self._headers[-1] if is_repeated else block.header)


def find_sections(blocks: Iterable[SizedBlock], max_tokens: int) -> Iterator[Section]:
    """Yield sections, each from its heading to the next; a short one together with the one below it."""
    short_tokens = max_tokens * SHORT_SHARE
    held = Section()
    for block, size in blocks:
        if block.level and held and not _goes_on(held, block, short_tokens):
            yield held
            held = Section()
        held.add(block, size)
    yield held


def _goes_on(held: Section, heading: Block, short_tokens: float) -> bool:
    """Whether the text below `heading` belongs to the current section."""
    if not held.has_content:
        return True
    return heading.headings[: len(held.headings)] == held.headings and held.tokens < short_tokens


def pack(text: str, section: Section, max_tokens: int) -> Iterator[list[SizedBlock]]:
    """Yield runs of blocks of about the same size; a run is longer only if one of its blocks is."""
    limit = max_tokens * (1 + SCRAP_SHARE)
    target = section.tokens / max(1, math.ceil(section.tokens / max_tokens - SCRAP_SHARE))
    held: list[SizedBlock] = []
    for block, size in section:
        so_far = sum(each for _, each in held)
        is_full = so_far + size > limit or so_far + size / 2 > target
        if is_full and _has_content(held):
            # A line that introduces what follows, `like this:`, stays with it.
            kept = held[-1:] if _introduces(text, held[-1][0]) and _has_content(held[:-1]) else []
            yield held[: len(held) - len(kept)]
            held = kept
        held.append((block, size))
    yield held


def _has_content(held: list[SizedBlock]) -> bool:
    return any(not block.level for block, _ in held)


def _introduces(text: str, block: Block) -> bool:
    return not block.level and text[block.start : block.end].rstrip().endswith(":")
