"""What a file in Rich Text Format shows, paragraph by paragraph and row by row, as Markdown: `Blocks`."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from gemvec.documents.markdown_table import Cell, write_table
from gemvec.documents.text import UnreadableDocument

_MAX_CELLS, _MAX_LEVEL = 200_000, 6
_SPACES = dict.fromkeys(map(ord, "\t\v\f\r\u00a0"), " ")
_SQUEEZED = (("  ", " "), (" \n", "\n"), ("\n ", "\n"), ("\n\n", "\n"))


@dataclass(slots=True)
class _Cell:
    text: str
    columns: int = 1
    rows: int = 1


@dataclass(slots=True)
class _Flow:
    """A text with its paragraphs and tables: that of the file, of a note, or of a box.

    Attributes:
        made: Markdown so far.
        is_item: whether it ends with an item of a list.
        line: the paragraph so far.
        mark: what stands before it as an item of a list.
        cell: paragraphs of the cell so far.
        row, rows: of the table so far.
        below: cells of the rows above, by column, that may go on below.
    """

    is_note: bool = False
    made: io.StringIO = field(default_factory=io.StringIO)
    is_item: bool = False
    line: io.StringIO = field(default_factory=io.StringIO)
    mark: io.StringIO = field(default_factory=io.StringIO)
    cell: list[str] = field(default_factory=list[str])
    row: list[str] = field(default_factory=list[str])
    rows: list[list[_Cell]] = field(default_factory=list[list[_Cell]])
    below: dict[int, _Cell] = field(default_factory=dict[int, _Cell])
    heads: int = 0

    def add(self, text: str, *, is_item: bool = False) -> None:
        """Add a block; items of a list stand below each other."""
        if self.made.tell():
            self.made.write("\n" if is_item and self.is_item else "\n\n")
        self.made.write(text)
        self.is_item = is_item


class Blocks:
    """The blocks of a file so far."""

    def __init__(self) -> None:
        self._flow = _Flow()
        self._outer: list[_Flow] = []
        self._notes: list[str] = []
        self._count = 0  # of cells
        self._merged: list[str] = []  # of the cells of a row: how each is merged
        self._merging = ""
        self._is_head = False

    @property
    def is_inside(self) -> bool:
        """Whether a note or box is open."""
        return bool(self._outer)

    def write(self) -> str:
        """Return all as Markdown, notes at the end."""
        self._end()
        return "\n\n".join(filter(None, [self._flow.made.getvalue(), *self._notes]))

    def enter(self, *, is_note: bool) -> None:
        """Begin a note or a box."""
        self._outer.append(self._flow)
        self._flow = _Flow(is_note=is_note)

    def leave(self) -> None:
        """End the note or box that is open."""
        self._end()
        inner, self._flow = self._flow, self._outer.pop()
        text = inner.made.getvalue()
        if inner.is_note:
            number = len(self._notes) + 1
            self._notes.append(text if text.startswith(f"[{number}]") else f"[{number}] {text}")
        elif text:
            self._flow.add(text)

    def name_note(self) -> str:
        """Return the mark of a note: of the one that is open, or of the next one."""
        return f"[{len(self._notes) + 1}]"

    def add(self, text: str) -> None:
        """Add text to the paragraph."""
        self._flow.line.write(text)

    def mark(self, text: str) -> None:
        """Add to what stands before an item of a list."""
        self._flow.mark.write(text)

    def end_paragraph(self, *, level: int = 0, item: int = 0, is_cell: bool = False) -> None:
        """End a paragraph; one in a table is a part of a cell."""
        flow = self._flow
        text = _read_lines(flow.line)
        mark = _read_lines(flow.mark)
        flow.line, flow.mark = io.StringIO(), io.StringIO()
        if is_cell:
            flow.cell += filter(None, [f"{mark} {text}".strip()])
            return
        self._end_table()
        if not text:
            return
        if level:
            text = f"{'#' * min(level, _MAX_LEVEL)} {' '.join(text.split())}"
        elif mark:
            is_number = any(character.isalnum() for character in mark)
            text = f"{'  ' * item}{mark if is_number else '-'} {text}"
        flow.add(text, is_item=bool(mark) and not level)

    def begin_row(self) -> None:
        """Begin the definition of a row."""
        self._merged, self._merging, self._is_head = [], "", False

    def mark_head(self) -> None:
        """Note that the row is repeated on each page."""
        self._is_head = True

    def merge(self, *, is_row: bool) -> None:
        """Note that the cell that is being defined is a part of the one above, or of the one before."""
        self._merging = "above" if is_row else "before"

    def end_definition(self) -> None:
        """End the definition of a cell."""
        if len(self._merged) < _MAX_CELLS:
            self._merged.append(self._merging)
        self._merging = ""

    def end_cell(self) -> None:
        """End a cell."""
        self.end_paragraph(is_cell=True)
        flow = self._flow
        flow.row.append(" ".join(flow.cell))
        flow.cell = []
        self._count += 1
        if self._count > _MAX_CELLS:
            raise UnreadableDocument(f"its tables have more than {_MAX_CELLS:,} cells; split it")

    def end_row(self) -> None:
        """End a row."""
        flow = self._flow
        cells: list[_Cell] = []
        below: dict[int, _Cell] = {}
        for column, text in enumerate(flow.row):
            merged = self._merged[column] if column < len(self._merged) else ""
            if merged == "before" and cells:
                cells[-1].columns += 1
                continue
            above = flow.below.get(column) if merged == "above" else None
            if above is not None:
                above.rows += 1
                below[column] = above
                continue
            cells.append(_Cell(text))
            below[column] = cells[-1]
        flow.heads += self._is_head and flow.heads == len(flow.rows)
        flow.row, flow.below = [], below
        flow.rows.append(cells)

    def _end(self) -> None:
        self.end_paragraph()
        if self._flow.row:
            self.end_row()
        self._end_table()

    def _end_table(self) -> None:
        flow = self._flow
        if flow.rows:
            rows = [[Cell(cell.text, cell.columns, cell.rows) for cell in row] for row in flow.rows]
            if table := write_table(rows, flow.heads):
                flow.add(table)
            flow.rows, flow.below, flow.heads = [], {}, 0


def _read_lines(written: io.StringIO) -> str:
    """Return a text without spaces that mean nothing, its lines apart."""
    text = join_halves(written.getvalue()).translate(_SPACES)
    for many, one in _SQUEEZED:  # its words, one by one, would take much memory
        while many in text:
            text = text.replace(many, one)
    return text.strip()


def join_halves(text: str) -> str:
    """Return a text in which characters that were written as two halves are one."""
    if text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text):
        return text
    return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")
