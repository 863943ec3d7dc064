"""Documents cut into passages along their structure: `Splitter`.

Markdown is cut between its blocks, section by section (`blocks.py`, `sections.py`), source code between its definitions
and statements (`code_passages.py`). Plain text, and a block that is too long by itself, is cut by
semantic-text-splitter: between paragraphs, then sentences, then words.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING

from gemvec.documents.blocks import Block, find_blocks
from gemvec.documents.code_passages import cut_code
from gemvec.documents.document import Document
from gemvec.documents.markup import has_words
from gemvec.documents.packed import Passages
from gemvec.documents.sections import SCRAP_SHARE, SizedBlock, find_sections, pack
from gemvec.documents.titles import HEADING, join_headings, join_title
from gemvec.documents.token_counter import TokenCounter
from gemvec.documents.vocabulary import Vocabulary
from gemvec.errors import InvalidRequest

if TYPE_CHECKING:
    from semantic_text_splitter import TextSplitter

# Part of every key: raise it when the same options would cut the same document differently.
SPLITTER_VERSION = 4

# A long "word" without spaces (base64, minified code) may be one token; Milvus takes 65,535 bytes in a field.
MAX_PASSAGE_CHARACTERS = 8_000
# For each passage the splitter looks through the whole rest of a text, so a long text is first cut into pieces.
_STRETCH_CHARACTERS = 50_000

# Blocks whose tokens are counted at once.
_BLOCKS_PER_COUNT = 1_000
# Space around a block may count as so many tokens more, or fewer, where the block stands among others.
_TOKENS_PER_JOINT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageOptions:
    """How documents are cut.

    Attributes:
        max_tokens: most tokens in a passage without its title; up to an eighth more if only a scrap would be left.
        overlap_tokens: tokens of one passage that the next one repeats where a paragraph had to be cut.
    """

    max_tokens: int = 128
    overlap_tokens: int = 16

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InvalidRequest(f"max_tokens is {self.max_tokens}; it must be at least 1.", field="max_tokens")
        if not 0 <= self.overlap_tokens < self.max_tokens:
            raise InvalidRequest(
                f"overlap_tokens is {self.overlap_tokens}; it must be at least 0 and less than the most tokens of a "
                f"passage, {self.max_tokens}.",
                field="overlap_tokens",
            )

    @property
    def version(self) -> str:
        """What a passage's key says about how it was cut."""
        return f"{SPLITTER_VERSION}:{self.max_tokens}:{self.overlap_tokens}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One passage of a document.

    Attributes:
        number: 0 for the first one of the document.
        text: the passage as it is in the document.
        heading: the headings above it, such as `Batches > Cancel`; empty when there are none.
        position: where it starts in the source: `line 12`, `page 3`, or `part 2 of 5`.
        title: the document's title and the headings, for the model.
    """

    number: int
    text: str
    heading: str
    position: str
    title: str

    def key(self, document_id: str, splitter_version: str) -> str:
        """Return the primary key: 32 characters that change when the row's vector changes."""
        parts = (document_id, self.number, self.text, self.title, splitter_version)
        return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


class Splitter:
    """Cuts documents into passages.

    Args:
        options: sizes.
        tokenizer_file: the model's `tokenizer.json`, so that sizes are in its tokens; None estimates them. It is not
            read before the first document is cut.
    """

    def __init__(self, options: PassageOptions | None = None, tokenizer_file: Path | None = None) -> None:
        self.options = options or PassageOptions()
        self._tokenizer_file = tokenizer_file
        self._counter = TokenCounter(tokenizer_file)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the model knows; everything, if its tokenizer is not here."""
        return Vocabulary(self._tokenizer_file)

    @property
    def is_exact(self) -> bool:
        """Whether the model's own tokenizer counts."""
        return self._tokenizer_file is not None

    @property
    def version(self) -> str:
        """What a passage's key says about how it was cut."""
        return self.options.version

    def split(self, document: Document) -> list[Passage]:
        """Return the passages of `document`, in order.

        Each is a part of its text without surrounding space; a part from the middle of a table has the table's header
        above it. Parts that are only markup, or only a list of links, are left out.
        """
        return list(self.split_packed(document))

    def split_packed(self, document: Document) -> Passages:
        """Return the same passages in little memory, also of a long document."""
        return Passages(self._find(document), has_parts=not document.has_lines or bool(document.place))

    def _find(self, document: Document) -> Iterator[Passage]:
        """Yield the passages; their positions lack which part of the document they are."""
        line_starts = _find_line_starts(document)
        pieces = (piece for piece in self._cut(document) if has_words(piece.text, document.format))
        for number, piece in enumerate(pieces):
            heading = join_headings(piece.headings)
            yield Passage(
                number=number,
                text=piece.text,
                heading=heading,
                position=_find_place(document, line_starts, piece.start),
                title=join_title(document.title, heading, piece.text),
            )

    def count_tokens(self, text: str) -> int:
        """Return the tokens of `text` by the measure that sizes passages."""
        return self._counter.count(text)

    @cached_property
    def _splitter(self) -> TextSplitter:
        return self._make_splitter(self.options.overlap_tokens)

    @cached_property
    def _line_splitter(self) -> TextSplitter:
        return self._make_splitter(0)

    def _make_splitter(self, overlap_tokens: int) -> TextSplitter:
        from semantic_text_splitter import TextSplitter

        # What it calls must not refer to it: it cannot tell that to the garbage collector, so neither would be freed.
        return TextSplitter.from_callback(self._counter.count, self.options.max_tokens, overlap_tokens)

    def _cut(self, document: Document) -> Iterator[_Piece]:
        if document.format == "code":
            yield from self._cut_code(document)
            return
        text = document.text
        if document.format == "text":
            yield from self._split_text(_Piece.of(text, []))
            return
        blocks: Iterable[SizedBlock] = self._size(text)
        if len(text.strip()) <= MAX_PASSAGE_CHARACTERS:
            blocks = list(blocks)
            whole = _Piece.of(text, blocks).stripped()
            if self._fits(whole):
                yield from [whole] if whole.text else []
                return
        for section in find_sections(blocks, self.options.max_tokens):
            for some in pack(text, section, self.options.max_tokens):
                yield from self._split_blocks(text, some)

    def _size(self, text: str) -> Iterator[SizedBlock]:
        """Yield the blocks of Markdown, each with its tokens."""
        blocks = find_blocks(text)
        while some := list(islice(blocks, _BLOCKS_PER_COUNT)):
            yield from zip(
                some, self._counter.count_all([text[block.start : block.end] for block in some]), strict=True
            )

    def _cut_code(self, document: Document) -> Iterator[_Piece]:
        """Yield runs of whole lines; only a line that is too long by itself is cut, and nothing is repeated."""
        lines = document.text.split("\n")
        lines = [*(f"{line}\n" for line in lines[:-1]), lines[-1]]
        offsets = [0, *accumulate(map(len, lines))]
        found = cut_code(
            lines,
            self._counter.count_all(lines),
            document.blocks,
            max_tokens=self.options.max_tokens,
            max_characters=MAX_PASSAGE_CHARACTERS,
        )
        for each in found:
            start, text = offsets[each.start], document.text[offsets[each.start] : offsets[each.stop]]
            body = text.lstrip("\n")
            run = _Piece(start=start + len(text) - len(body), text=body.rstrip(), headings=each.headings)
            if not run.text or self._fits(run) or "\n" in run.text:
                yield run
                continue
            for offset, part in self._line_splitter.chunk_indices(run.text):
                yield replace(run, start=run.start + offset, text=part)

    def _split_blocks(self, text: str, blocks: Sequence[SizedBlock]) -> Iterator[_Piece]:
        """Yield the pieces that some blocks make up; rows of a table have its header above them."""
        body = _find_body(blocks)
        header = text[body.header[0] : body.header[1]] if body.header else ""
        if header and self.count_tokens(header) * 2 > self.options.max_tokens:
            header = ""  # there would be no room for rows
        for piece in self._split_text(_Piece.of(text, blocks)):
            yield replace(piece, text=header + piece.text) if header else piece

    def _split_text(self, piece: _Piece) -> Iterator[_Piece]:
        """Yield `piece` without surrounding space, in parts when it is too long; a heading is never a whole part."""
        whole = piece.stripped()
        if not whole.text:
            return
        if self._fits(whole):
            yield whole
            return
        if whole.is_code:
            yield from self._split_code(whole)
            return
        stretches = _cut_roughly(whole.text, _STRETCH_CHARACTERS)
        stretches.reverse()
        while stretches:  # a long text is in all of them once more
            offset, stretch = stretches.pop()
            for start, part in self._split_stretch(stretch):
                yield _Piece(start=whole.start + offset + start, text=part, headings=piece.headings)

    def _split_code(self, piece: _Piece) -> Iterator[_Piece]:
        """Yield runs of whole lines; a line that is too long by itself is cut like text."""
        lines = piece.text.splitlines(keepends=True)
        sizes = self._counter.count_all(lines)
        start = offset = tokens = 0
        for line, size in zip(lines, sizes, strict=True):
            is_full = tokens + size > self.options.max_tokens or offset + len(line) - start > MAX_PASSAGE_CHARACTERS
            if is_full and offset > start:
                yield from self._split_run(piece, start, offset)
                start, tokens = offset, 0
            offset, tokens = offset + len(line), tokens + size
        yield from self._split_run(piece, start, offset)

    def _split_run(self, piece: _Piece, start: int, end: int) -> Iterator[_Piece]:
        text = piece.text[start:end]
        is_one_line = "\n" not in text.strip("\n")
        offset = start + len(text) - len(text.lstrip("\n"))
        run = _Piece(start=piece.start + offset, text=text.strip("\n"), headings=piece.headings)
        if not run.text.strip():
            return
        yield from self._split_text(run) if is_one_line else [run]

    def _split_stretch(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the parts of a text and where they start; a heading stays with what follows."""
        start: int | None = None
        for offset, part in self._splitter.chunk_indices(text):
            end = offset + len(part)
            start = offset if start is None else start
            if end < len(text) and all(HEADING.match(line) for line in part.splitlines() if line.strip()):
                continue
            for inner, bounded in _cut_roughly(text[start:end], MAX_PASSAGE_CHARACTERS):
                yield start + inner, bounded
            start = None

    def _fits(self, piece: _Piece) -> bool:
        """Whether a piece may be a passage; its tokens are counted unless those of its blocks decide."""
        if len(piece.text) > MAX_PASSAGE_CHARACTERS:
            return False
        limit = self.options.max_tokens * (1 + SCRAP_SHARE)
        if piece.tokens and piece.tokens[1] <= limit:
            return True
        if piece.tokens and piece.tokens[0] > limit:
            return False
        return self.count_tokens(piece.text) <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A piece of a document's text.

    Attributes:
        start: the character of the document's text at which it starts.
        text: it, with space around it unless it is `stripped`.
        headings: those above it, outermost first.
        tokens: about how many they are at least and at most, from those of its blocks; None if unknown.
        is_code: whether it is code.
    """

    start: int
    text: str
    headings: tuple[str, ...]
    tokens: tuple[int, int] | None = None
    is_code: bool = False

    @classmethod
    def of(cls, text: str, blocks: Sequence[SizedBlock]) -> _Piece:
        """Return the part of `text` that `blocks` make up; all of it when there are none."""
        if not blocks:
            return cls(start=0, text=text, headings=())
        first, (last, _) = _find_body(blocks), blocks[-1]
        start = blocks[0][0].start
        tokens, joints = sum(each for _, each in blocks), _TOKENS_PER_JOINT * len(blocks)
        return cls(
            start=start,
            text=text[start : last.end],
            headings=first.headings,
            tokens=(tokens - joints, tokens + joints),
            is_code=first.is_code and all(block.is_code or block.level for block, _ in blocks),
        )

    def stripped(self) -> _Piece:
        """Return the piece without surrounding space."""
        text = self.text.lstrip()
        start = self.start + len(self.text) - len(text)
        return replace(self, start=start, text=text.rstrip())


def _find_body(blocks: Sequence[SizedBlock]) -> Block:
    """Return the first block that is no heading, or the first one."""
    return next((block for block, _ in blocks if not block.level), blocks[0][0])


def _cut_roughly(text: str, max_characters: int) -> list[tuple[int, str]]:
    from semantic_text_splitter import TextSplitter

    return [(0, text)] if len(text) <= max_characters else TextSplitter(max_characters).chunk_indices(text)


def _find_line_starts(document: Document) -> array[int]:
    """Return the offset at which each line starts, when positions name lines."""
    if not document.has_lines or document.place or document.page_starts:
        return array("q")
    return array("q", (0, *(found.end() for found in re.finditer("\n", document.text))))


def _find_place(document: Document, line_starts: Sequence[int], offset: int) -> str:
    """Return where a passage starts; empty if only its number says that."""
    if document.page_starts:
        page = bisect_right(document.page_starts, offset)
        return document.page_names[page - 1] if document.page_names else f"page {page}"
    if document.place:
        return document.place
    return f"line {bisect_right(line_starts, offset)}" if document.has_lines else ""
