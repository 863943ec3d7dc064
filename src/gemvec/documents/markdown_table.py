"""Rows of cells as a table of Markdown: `write_rows`; `write_table` for cells that go over several columns or rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

# As in browsers.
MAX_SPAN = 1_000
# A longer text of a cell over several rows is only in the first of them; a shorter one names what each row is about.
MAX_REPEATED = 100
# A table with more cells than these for each one that is written is not a table of texts.
_MAX_FILLED, _SOME_FILLED = 20, 10_000
# A cell over more rows than these names a part of a table, and not a column.
_MAX_HEADS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table, and over how many columns and rows it goes."""

    text: str
    columns: int = 1
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a laid-out table: which cell covers it, and whether it is in the cell's first row and column."""

    row: int
    index: int
    is_first_row: bool
    is_first_column: bool


def write_rows(rows: list[list[str]]) -> str:
    """Return rows of cells as a table of Markdown; the first one is its header. Empty rows are left out."""
    lines: list[str] = []
    for row in rows:
        cells = [" ".join(cell.replace("|", "\\|").split()) for cell in row]
        if any(cells):
            lines.append("| " + " | ".join(cells) + " |")
            if len(lines) == 1:
                lines.append("|" + " --- |" * len(cells))
    return "\n".join(lines)


def write_table(rows: Sequence[Sequence[Cell]], heads: int = 0) -> str:
    """Return a table of Markdown, with a title that goes over its whole width as a line above it.

    Args:
        rows: the cells that begin in each row.
        heads: how many rows the header has; 0 guesses it: the first row, or as many rows as go beside its names if a
            name of it goes over several columns.
    """
    titles = 0
    while not heads and titles < len(rows) - 1 and is_title([cell.columns for cell in rows[titles]]):
        titles += 1
    rest = rows[titles:]
    named = [(cell.columns, cell.rows) for row in rest[:1] for cell in row if cell.text.strip()]
    heads = min(heads or count_heads(named), len(rest))
    above = (" ".join(cell.text.split()) for row in rows[:titles] for cell in row)
    return "\n\n".join(filter(None, [*above, write_rows(fill_rows(rest, heads))]))


def read_span(said: str | None) -> int:
    """Return over how many columns or rows a cell goes by what a file says; 1 if that is no number above 0."""
    return min(int(said[:6]), MAX_SPAN) or 1 if said and said.isascii() and said.isdigit() else 1


def is_title(columns: Sequence[int]) -> bool:
    """Whether a row above the header, with cells over so many columns, is the title of the table."""
    return len(columns) == 1 and columns[0] > 1


def count_heads(row: Sequence[tuple[int, int]]) -> int:
    """Return how many rows a header has, by the columns and rows over which the cells with text of its first one go.

    Where a name goes over several columns, names of each of them are below it, beside names that go over both rows. A
    name of one column and one row has data below it.
    """
    is_grouped = any(columns > 1 for columns, _ in row) and (1, 1) not in row
    heads = max((rows for _, rows in row if is_grouped), default=1)
    return heads if heads <= _MAX_HEADS else 1


def fill_rows(rows: Sequence[Sequence[Cell]], heads: int = 1) -> list[list[str]]:
    """Return a row of texts for each row of cells, with each text in its own column.

    The header's rows become one. A short text of a cell over several rows is in each of them; one over several columns
    is in the first of them.

    Args:
        rows: the cells that begin in each row.
        heads: how many rows the header has.
    """
    places = lay_out([[(cell.columns, cell.rows) for cell in row] for row in rows])

    def read(place: Place | None, *, is_head: bool) -> str:
        if place is None or (not place.is_first_column and not is_head):
            return ""
        text = rows[place.row][place.index].text
        return text if is_head or place.is_first_row or len(text) <= MAX_REPEATED else ""

    body = [_cut_end([read(place, is_head=False) for place in row]) for row in places[heads:]]
    if not heads:
        return body
    width = max([count_columns(places[:heads]), *map(len, body)])
    header = [_join_head([read(at(row, column), is_head=True) for row in places[:heads]]) for column in range(width)]
    return [header, *body]


def count_columns(places: Sequence[Sequence[Place | None]]) -> int:
    """Return the number of columns up to the last one in which a cell begins."""
    firsts = (column for row in places for column, place in enumerate(row) if place and place.is_first_column)
    return max(firsts, default=-1) + 1


def _join_head(texts: Sequence[str]) -> str:
    return " ".join(filter(None, dict.fromkeys(text.strip() for text in texts)))


def _cut_end(row: list[str]) -> list[str]:
    while row and not row[-1]:
        row.pop()
    return row


def at(row: Sequence[Place | None], column: int) -> Place | None:
    """Return the place in a column; None in a row that is shorter."""
    return row[column] if column < len(row) else None


def lay_out(rows: Sequence[Sequence[tuple[int, int]]]) -> list[list[Place | None]]:
    """Return what is at each place of a table, None for places that no cell covers; rows end with their last cell.

    Args:
        rows: for the cells that begin in each row, over how many columns and rows they go; 0 rows are all that follow.
    """
    left = _SOME_FILLED + _MAX_FILLED * sum(map(len, rows))
    above: dict[int, deque[Place]] = {}  # what goes on below, by column
    made: list[list[Place | None]] = []
    for number, row in enumerate(rows):
        line: dict[int, Place] = {column: places.popleft() for column, places in above.items()}
        above = {column: places for column, places in above.items() if places}
        column = 0
        for index, (width, height) in enumerate(row):
            while column in line:
                column += 1
            below = _count_below(height, len(rows) - number - 1)
            is_too_large = width * (below + 1) > left
            columns = range(column, column + (1 if is_too_large else width))
            below = 0 if is_too_large else below
            left -= len(columns) * (below + 1)
            for place in columns:
                line.setdefault(place, Place(number, index, is_first_row=True, is_first_column=place == column))
                more = Place(number, index, is_first_row=False, is_first_column=place == column)
                if below:
                    above.setdefault(place, deque([more] * below))
            column = columns.stop
        made.append([line.get(place) for place in range(max(line, default=-1) + 1)])
    return made


def _count_below(rows: int, most: int) -> int:
    """Return how many rows a cell goes on for."""
    return min(rows - 1, most) if rows else most
