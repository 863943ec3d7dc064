"""Blocks of source code joined into passages: `cut_code`. A definition that fits is never cut, nor is a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from gemvec.documents.code_blocks import CodeBlock
from gemvec.documents.sections import SCRAP_SHARE, SHORT_SHARE

# How much longer than otherwise a passage may be that ends with closing brackets and empty lines.
_STRETCH = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePassage:
    """A run of lines.

    Attributes:
        start, stop: the first line, from 0, and the line after the last one.
        headings: the definitions that it is in, outermost first.
    """

    start: int
    stop: int
    headings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What is not cut: a definition or statement that fits, or a line of one that does not."""

    start: int
    stop: int
    headings: tuple[str, ...]
    is_whole: bool = False  # a definition


@dataclass(frozen=True, slots=True)
class _Section:
    """Parts of one definition, or what was joined.

    Attributes:
        parts: in order.
        headings: for all of them.
        is_whole: whether it is a definition that fits.
        is_joined: whether short ones have been joined.
    """

    parts: list[_Part] = field(default_factory=list[_Part])
    headings: tuple[str, ...] = ()
    is_whole: bool = False
    is_joined: bool = False

    @property
    def start(self) -> int:
        return self.parts[0].start

    @property
    def stop(self) -> int:
        return self.parts[-1].stop


class _Measure:
    """How long runs of lines are.

    Args:
        lines: with their ends.
        tokens: of each of them.
        max_tokens: of a passage.
        max_characters: of a passage.
    """

    def __init__(self, lines: Sequence[str], tokens: Sequence[int], max_tokens: int, max_characters: int) -> None:
        self._tokens = [0, *accumulate(tokens)]
        self._characters = [0, *accumulate(map(len, lines))]
        self._letters = [0, *accumulate(any(map(str.isalnum, line)) for line in lines)]
        self._max_characters = max_characters
        self.max_tokens = max_tokens
        self.limit = max_tokens * (1 + SCRAP_SHARE)

    def size(self, start: int, stop: int) -> int:
        """Return the tokens of some lines."""
        return self._tokens[stop] - self._tokens[start]

    def fits(self, start: int, stop: int, *, stretched: bool = False) -> bool:
        """Whether some lines can be a passage, or one that is stretched for the closing brackets at its end."""
        stretch = _STRETCH if stretched else 1
        is_short = self._characters[stop] - self._characters[start] <= self._max_characters * stretch
        return is_short and self.size(start, stop) <= self.limit * stretch

    def is_blank(self, start: int, stop: int) -> bool:
        """Whether some lines have neither letters nor digits: they are empty, or close what is above them."""
        return self._letters[stop] == self._letters[start]

    def is_short(self, section: _Section, share: float) -> bool:
        """Whether a section has less than this share of a full passage."""
        return self.size(section.start, section.stop) < share * self.max_tokens


def cut_code(
    lines: Sequence[str], tokens: Sequence[int], blocks: Sequence[CodeBlock], *, max_tokens: int, max_characters: int
) -> Iterator[CodePassage]:
    """Yield the passages of a program, in order; together they are all its lines.

    Args:
        lines: of the program, with their ends.
        tokens: of each line.
        blocks: of the program.
        max_tokens: of a passage; up to an eighth more if only a scrap would be left.
        max_characters: of a passage. Only a passage of a single line may be longer.
    """
    measure = _Measure(lines, tokens, max_tokens, max_characters)
    sections = _find_sections(_find_parts(blocks, len(lines), measure))
    for section in _join_scraps(_join_short(sections, measure), measure):
        yield from _pack(section, measure)


def _find_parts(blocks: Sequence[CodeBlock], total: int, measure: _Measure) -> Iterator[_Part]:
    after = _find_next(blocks)
    starts = [*(block.start for block in blocks), total]
    yield from _to_lines(0, starts[0], ())
    number = 0
    while number < len(blocks):
        block, stop = blocks[number], starts[after[number]]
        around = block.headings[:-1] if block.is_definition else block.headings
        if measure.fits(block.start, stop):
            yield _Part(start=block.start, stop=stop, headings=block.headings, is_whole=block.is_definition)
            number = after[number]
        elif measure.fits(block.core, min(block.end, stop)) and block.core < block.end:
            end = min(block.end, stop)
            yield from _to_lines(block.start, block.core, block.headings)
            yield _Part(start=block.core, stop=end, headings=block.headings, is_whole=block.is_definition)
            yield from _to_lines(end, stop, around)
            number = after[number]
        else:
            yield from _cut_head(block, starts[number + 1], measure)
            number += 1


def _cut_head(block: CodeBlock, stop: int, measure: _Measure) -> Iterator[_Part]:
    """Yield the parts of a block before the blocks in it: comments and decorators with the line that they are for."""
    ends = (end for end in (stop, min(block.core + 1, stop)) if measure.fits(block.start, end))
    if end := next(ends, None):
        yield _Part(start=block.start, stop=end, headings=block.headings)
    yield from _to_lines(end or block.start, stop, block.headings)


def _find_next(blocks: Sequence[CodeBlock]) -> list[int]:
    """Return the number of the block after each one that is not in it."""
    after, open_ones = [len(blocks)] * len(blocks), list[int]()
    for number, block in enumerate(blocks):
        while open_ones and blocks[open_ones[-1]].depth >= block.depth:
            after[open_ones.pop()] = number
        open_ones.append(number)
    return after


def _to_lines(start: int, stop: int, headings: tuple[str, ...]) -> Iterator[_Part]:
    return (_Part(start=line, stop=line + 1, headings=headings) for line in range(start, stop))


def _find_sections(parts: Iterator[_Part]) -> Iterator[_Section]:
    """Yield definitions that fit, and runs of parts of the same definition."""
    held = _Section()
    for part in parts:
        if held.parts and not part.is_whole and not held.is_whole and part.headings == held.headings:
            held.parts.append(part)
            continue
        if held.parts:
            yield held
        held = _Section([part], part.headings, part.is_whole)
    if held.parts:
        yield held


def _join_short(sections: Iterator[_Section], measure: _Measure) -> Iterator[_Section]:
    """Join short sections, and a scrap with the section below it."""
    held: _Section | None = None
    for section in sections:
        joined = _join(held, section, measure) if held else None
        if held and not joined:
            yield held
        held = joined or section
    if held:
        yield held


def _join(above: _Section, below: _Section, measure: _Measure) -> _Section | None:
    """Return two sections as one, or None if they are better apart."""
    if measure.is_blank(below.start, below.stop):
        return replace(above, parts=above.parts + below.parts)
    common = _find_common(above.headings, below.headings)
    can_be_one = measure.fits(above.start, below.stop) or not measure.fits(below.start, below.stop)
    if not can_be_one or len(common) < max(len(above.headings), len(below.headings)) - 1:
        return None
    parts = above.parts + below.parts
    if measure.is_blank(above.start, above.stop) or (not above.is_whole and measure.is_short(above, SCRAP_SHARE)):
        return replace(below, parts=parts)
    is_short_above = above.is_joined or measure.is_short(above, SHORT_SHARE)
    is_one = is_short_above and measure.is_short(below, SHORT_SHARE) and measure.fits(above.start, below.stop)
    return _Section(parts, common, is_joined=True) if is_one else None


def _join_scraps(sections: Iterator[_Section], measure: _Measure) -> Iterator[_Section]:
    """Join a scrap with the section above it, where it did not fit into the one below."""
    held: _Section | None = None
    for section in sections:
        is_scrap = not section.is_whole and measure.is_short(section, SCRAP_SHARE)
        if held and is_scrap and measure.fits(held.start, section.stop):
            held = replace(held, parts=held.parts + section.parts)
            continue
        if held:
            yield held
        held = section
    if held:
        yield held


def _find_common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]


def _pack(section: _Section, measure: _Measure) -> Iterator[CodePassage]:
    """Yield runs of parts of about the same size."""
    total = measure.size(section.start, section.stop)
    target = total / max(1, math.ceil(total / measure.max_tokens - SCRAP_SHARE))
    start = section.start
    for part in section.parts:
        is_full = not measure.fits(start, part.stop)
        is_better_below = measure.size(start, part.start) + measure.size(part.start, part.stop) / 2 > target
        is_rest = measure.is_blank(part.start, part.stop) or measure.is_blank(part.start, section.stop)
        is_kept = is_rest and measure.fits(start, part.stop, stretched=True)
        if part.start > start and (is_full or is_better_below) and not is_kept:
            yield CodePassage(start=start, stop=part.start, headings=section.headings)
            start = part.start
    yield CodePassage(start=start, stop=section.stop, headings=section.headings)
