"""Blocks of Markdown joined into passages: short sections are joined, long ones are divided evenly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from gemvec.documents.blocks import Block

# A section with less than this share of a full passage is joined with the one below it.
SHORT_SHARE = 0.25
# How much longer than asked for a passage may be if otherwise a scrap of this size would be left.
SCRAP_SHARE = 0.125

SizedBlock = tuple[Block, int]  # a block and its tokens


def find_sections(blocks: Iterable[SizedBlock], max_tokens: int) -> Iterator[list[SizedBlock]]:
    """Yield sections, each from its heading to the next; a short one together with the one below it."""
    short_tokens = max_tokens * SHORT_SHARE
    held: list[SizedBlock] = []
    for block, size in blocks:
        if block.level and held and not _goes_on(held, block, short_tokens):
            yield held
            held = []
        held.append((block, size))
    yield held


def _goes_on(held: list[SizedBlock], heading: Block, short_tokens: float) -> bool:
    """Whether the text below `heading` belongs to the current section."""
    if not _has_content(held):
        return True
    above = held[0][0].headings
    return heading.headings[: len(above)] == above and sum(size for _, size in held) < short_tokens


def pack(text: str, section: list[SizedBlock], max_tokens: int) -> Iterator[list[SizedBlock]]:
    """Yield runs of blocks of about the same size; a run is longer only if one of its blocks is."""
    limit = max_tokens * (1 + SCRAP_SHARE)
    total = sum(size for _, size in section)
    target = total / max(1, math.ceil(total / max_tokens - SCRAP_SHARE))
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
