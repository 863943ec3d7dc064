"""Drawn tables of reStructuredText with cells over several columns or rows: `read_grid`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gemvec.documents.markdown_table import Cell

_PART_OF_RULE = re.compile(r"\+(?=[-=]+\+)|(?<=[-=])\+")
_WALL = frozenset("|+")
# Stands where a letter of two columns goes on.
GOES_ON = "\0"


def read_grid(lines: Sequence[str]) -> tuple[list[list[Cell]], int] | None:
    """Return the cells that begin in each row, and how many rows the header has; None if it is no such table.

    Args:
        lines: from the rule above the table to the one below it, all of the same width in columns, each letter of two
            columns followed by `GOES_ON`.
    """
    rules = [number for number, line in enumerate(lines) if _PART_OF_RULE.search(line)]
    columns = sorted({found.start() for number in rules for found in _PART_OF_RULE.finditer(lines[number])})
    heads = [number for number in rules if "=" in lines[number] and set(lines[number]) == {"+", "="}]
    if len(heads) != 1 or rules[0] != 0 or rules[-1] != len(lines) - 1:
        return None
    if columns[0] != 0 or columns[-1] != len(lines[0]) - 1 or len(set(map(len, lines))) > 1:
        return None
    fields = list(_Grid(lines, rules, columns).find_cells())
    found = [field for field in fields if field is not None]
    if len(found) < len(fields):
        return None
    # What looks like a part of a rule may be text: only where cells begin are rows and columns.
    rows, sides = sorted({each.row for each in found}), sorted({each.column for each in found})
    made: dict[int, list[Cell]] = {row: [] for row in rows}
    for each in found:
        width = sum(each.column <= side <= each.right for side in sides)
        made[each.row].append(Cell(each.text, width, sum(each.row <= row <= each.below for row in rows)))
    return list(made.values()), sum(row < rules.index(heads[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class _Field:
    """A cell: the first and last of the grid's rows and columns that it covers."""

    row: int
    below: int
    column: int
    right: int
    text: str


class _Grid:
    """The fields between all rules and all bars; a cell is one or more of them without anything drawn between."""

    def __init__(self, lines: Sequence[str], rules: Sequence[int], columns: Sequence[int]) -> None:
        self._lines = lines
        self._rows = list(pairwise(rules))
        self._columns = list(pairwise(columns))

    def find_cells(self) -> Iterator[_Field | None]:
        """Yield each cell; None for what is no rectangle."""
        seen: set[tuple[int, int]] = set()
        for row in range(len(self._rows)):
            for column in range(len(self._columns)):
                if (row, column) in seen:
                    continue
                right = next(each for each in range(column, len(self._columns)) if self._has_bar(row, each))
                below = next(each for each in range(row, len(self._rows)) if self._ends(each, column, right))
                fields = {(y, x) for y in range(row, below + 1) for x in range(column, right + 1)}
                is_whole = seen.isdisjoint(fields) and self._is_one(row, below, column, right)
                seen |= fields
                text = self._read(row, below, column, right)
                yield _Field(row, below, column, right, text) if is_whole else None

    def _is_one(self, row: int, below: int, column: int, right: int) -> bool:
        """Whether bars are at the right of some fields, and none between them."""
        return all(self._has_bar(y, x) == (x == right) for y in range(row, below + 1) for x in range(column, right + 1))

    def _ends(self, row: int, column: int, right: int) -> bool:
        """Whether a rule is below all of some fields; below a part of them it may be text."""
        return all(self._has_rule(row, each) for each in range(column, right + 1))

    def _has_bar(self, row: int, column: int) -> bool:
        """Whether a bar is at the right of a field."""
        above, below = self._rows[row]
        place = self._columns[column][1]
        is_last = column == len(self._columns) - 1
        return is_last or all(line[place] in _WALL for line in self._lines[above : below + 1])

    def _has_rule(self, row: int, column: int) -> bool:
        """Whether a rule is below a field."""
        left, right = self._columns[column]
        rule = self._lines[self._rows[row][1]][left + 1 : right]
        return row == len(self._rows) - 1 or (bool(rule) and set(rule) <= {"-"}) or set(rule) == {"="}

    def _read(self, row: int, below: int, column: int, right: int) -> str:
        first, last = self._rows[row][0] + 1, self._rows[below][1]
        left, end = self._columns[column][0] + 1, self._columns[right][1]
        return " ".join(line[left:end].replace(GOES_ON, "").strip() for line in self._lines[first:last]).strip()
