"""The places where source code may be cut: its definitions and statements, found by tree-sitter: `find_code_blocks`.

Blocks are whole lines, and only the places matter where they begin, so nothing is lost where the syntax is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gemvec.documents.code_names import find_name
from gemvec.documents.languages import Language, open_parser

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

# Longer files are parsed in stretches: where brackets are nested wrongly, a tree takes a thousand times its text.
_STRETCH_CHARACTERS = 2**17
# Deeper definitions have the headings of those around them.
_MAX_HEADINGS = 8

# What stays with the block below it.
_INTRODUCTIONS = frozenset({"decorator", "attribute_item", "access_specifier", "annotation"})
# What is around a definition and has no name of its own; the definition may begin on a later line.
_WRAPPERS = frozenset({"decorated_definition", "export_statement", "ambient_declaration", "template_declaration"})
# What only holds blocks: its first one may begin where it begins.
_BODIES = frozenset(
    {
        *("ERROR", "block", "body_statement", "case_block", "class_body", "compound_statement", "constructor_body"),
        *("declaration_list", "do_block", "enum_body", "enum_class_body", "enum_declaration_list", "enumerator_list"),
        *("enum_variant_list", "field_declaration_list", "function_body", "interface_body", "match_block"),
        *("statement_block", "statement_list", "statements", "switch_block", "switch_body", "then"),
    }
)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A definition or a statement over whole lines; it holds the blocks after it that are deeper.

    Attributes:
        start: its first line, from 0; that of the comments and decorators above it.
        core: the line where it begins without them.
        end: the line after its last one; what follows up to the next block belongs to nothing.
        depth: 1 for a block that is in no other one.
        headings: the names of the definitions around it, outermost first, and its own.
        is_definition: whether the last one is its own.
    """

    start: int
    core: int
    end: int
    depth: int
    headings: tuple[str, ...]
    is_definition: bool


def find_code_blocks(text: str, language: Language) -> tuple[CodeBlock, ...]:
    """Return the blocks of a program, in order.

    Raises:
        MissingDependency: the parser of the language is not installed.
    """
    parser = open_parser(language)
    return tuple(
        block for line, stretch in _cut_stretches(text) for block in _Walk(stretch.encode(), line).find(parser)
    )


def _cut_stretches(text: str) -> Iterator[tuple[int, str]]:
    """Yield parts of a text and the lines where they start; a part begins below a blank line, with no space, if it can.

    A part is at most twice as long as it should be, and a line more.
    """
    start = line = 0
    while start < len(text):
        stop = _find_stop(text, start) if len(text) - start > _STRETCH_CHARACTERS else len(text)
        yield line, text[start:stop]
        line += text.count("\n", start, stop)
        start = stop


_TOP = re.compile(r"\n[ \t]*\n(?=[^\s})\]])")


def _find_stop(text: str, start: int) -> int:
    last = start + 2 * _STRETCH_CHARACTERS
    if found := _TOP.search(text, start + _STRETCH_CHARACTERS, last):
        return found.end()
    return text.find("\n", last) + 1 or len(text)


@dataclass(slots=True)
class _Open:
    """A block that is being read.

    Attributes:
        block: what is known of it; its lines are counted from the start of the stretch.
        wrapped: how deep in the tree the definition stands that a wrapper is around; 0 for what is no wrapper.
    """

    block: CodeBlock
    wrapped: int = 0

    def takes_name(self, row: int, level: int) -> bool:
        """Whether a definition in the block, at this line and level, gives it its name."""
        return not self.block.is_definition and (level == self.wrapped or row == self.block.core)

    def open_inside(self) -> _Frame:
        """Return what is known inside the block."""
        return _Frame(self.block.depth, self.block.headings, self)


@dataclass(slots=True)
class _Frame:
    """What is known inside a node.

    Attributes:
        depth: of the block around it.
        headings: for the blocks in it.
        around: the block around it.
        pending: the lines of comments that stay with the next block, first and last plus one; None for none.
    """

    depth: int
    headings: tuple[str, ...]
    around: _Open | None = None
    pending: tuple[int, int] | None = None

    def open_inner(self, name: str) -> _Frame:
        """Return what is known in a definition that is no block; comments stay with the first block in it."""
        pending, self.pending = self.pending, None  # or blocks would not be in order
        return _Frame(self.depth, _join(self.headings, name), self.around, pending)


class _Walk:
    """Walks the tree of a text; only into nodes of several lines, and without recursion."""

    def __init__(self, data: bytes, first_line: int) -> None:
        self._data = data
        self._first_line = first_line
        self._indents = [len(line) - len(line.lstrip()) for line in data.split(b"\n")]
        self._blocks: list[_Open] = []
        self._begun = -1  # the last line on which a block, or a comment that will be part of one, begins

    def find(self, parser: Parser) -> list[CodeBlock]:
        cursor = parser.parse(self._data).walk()
        frames = [_Frame(0, ())]
        is_done = not cursor.goto_first_child()
        while not is_done:
            node = cursor.node
            inner = self._enter(node, frames[-1], len(frames)) if node and node.is_named else None
            if inner and cursor.goto_first_child():
                frames.append(inner)
                continue
            while not (is_done or cursor.goto_next_sibling()):
                self._leave(frames.pop())
                is_done = not frames or not cursor.goto_parent()
        return [_move(each.block, self._first_line) for each in self._blocks]

    def _enter(self, node: Node, frame: _Frame, level: int) -> _Frame | None:
        """Note the block that a node is; return what is known inside, or None if there is nothing to see inside."""
        row, end = node.start_point.row, _find_end(node)
        is_first = self._is_first(node, frame)
        if node.type in _INTRODUCTIONS or "comment" in node.type:
            if is_first:
                frame.pending = (frame.pending[0] if frame.pending else row, end)
                self._begun = row
            return None
        if end <= row + 1:
            if is_first and node.start_byte < node.end_byte:
                self._add(node, frame, find_name(node), level)
            return None
        if node.type in _BODIES:
            return frame
        name = find_name(node)
        around = frame.around
        if name and around and around.takes_name(row, level):
            return self._name(around, frame, name, row)
        if is_first:
            return self._add(node, frame, name, level).open_inside()
        return frame.open_inner(name) if name else frame

    def _is_first(self, node: Node, frame: _Frame) -> bool:
        """Whether a block may begin with a node: nothing is before it on its line but comments that stay with it."""
        row = node.start_point.row
        is_behind_comment = frame.pending is not None and row < frame.pending[1]
        return is_behind_comment or (row > self._begun and node.start_point.column == self._indents[row])

    def _add(self, node: Node, frame: _Frame, name: str, level: int) -> _Open:
        row = node.start_point.row
        block = CodeBlock(
            start=frame.pending[0] if frame.pending else row,
            core=row,
            end=_find_end(node),
            depth=frame.depth + 1,
            headings=_join(frame.headings, name),
            is_definition=bool(name),
        )
        frame.pending, self._begun = None, row
        opened = _Open(block, wrapped=level + 1 if node.type in _WRAPPERS else 0)
        self._blocks.append(opened)
        return opened

    def _name(self, opened: _Open, frame: _Frame, name: str, row: int) -> _Frame:
        """Give a block the name of the definition in it."""
        headings = _join(opened.block.headings, name)
        opened.block = replace(opened.block, core=row, headings=headings, is_definition=True)
        frame.pending, self._begun = None, row
        return opened.open_inside()

    def _leave(self, frame: _Frame) -> None:
        """Make a block of comments at the end, which stay with nothing."""
        if frame.pending:
            start, end = frame.pending
            self._blocks.append(
                _Open(CodeBlock(start, start, end, frame.depth + 1, frame.headings, is_definition=False))
            )
            frame.pending = None


def _move(block: CodeBlock, lines: int) -> CodeBlock:
    """Return a block of a stretch that begins after so many lines of the text."""
    return replace(block, start=block.start + lines, core=block.core + lines, end=block.end + lines)


def _find_end(node: Node) -> int:
    """Return the line after a node; one that ends where a line begins has no part of that line."""
    return node.end_point.row + (1 if node.end_point.column else 0)


def _join(headings: tuple[str, ...], name: str) -> tuple[str, ...]:
    return (*headings, name) if name and len(headings) < _MAX_HEADINGS else headings
