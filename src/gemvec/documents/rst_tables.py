"""Tables of reStructuredText that have a header, as rows of cells: drawn ones, lists and CSV.

Each function returns None for what it does not understand, or has no header; such a table is read line by line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import pairwise

Rows = list[list[str]]

_GRID_RULE = re.compile(r"^\+(?:[-=]+\+)+$")
_GRID_LINE = re.compile(r"^[|+].*[|+]$")
_SIMPLE_RULE = re.compile(r"^=+(?: +=+)+$")
_SPAN_RULE = re.compile(r"^-+(?: +-+)*$")
_ROW = re.compile(r"^\*\s+-(?:\s|$)")
_CELL = re.compile(r"^\s+-(?:\s|$)")
_OPTION = re.compile(r"^\s*:(?P<name>[\w-]+):\s*(?P<value>.*)$")
_DELIMITERS = {"tab": "\t", "space": " "}


def find_drawn_table(lines: Sequence[str]) -> tuple[int, Rows] | None:
    """Return how many of the lines are a table drawn with rules, and its rows; the first one is its header."""
    if not lines:
        return None
    if _GRID_RULE.match(lines[0]):
        return _find_grid(lines)
    return _find_simple(lines) if _SIMPLE_RULE.match(lines[0]) else None


def _find_grid(lines: Sequence[str]) -> tuple[int, Rows] | None:
    size = next((place for place, line in enumerate(lines) if not _GRID_LINE.match(line)), len(lines))
    drawn = lines[:size]
    heads = [place for place, line in enumerate(drawn) if _GRID_RULE.match(line) and "=" in line]
    if len(heads) != 1 or heads[0] == 0 or not _GRID_RULE.match(drawn[-1]):
        return None
    edges = [place for place, mark in enumerate(drawn[heads[0]]) if mark == "+"]
    header = [_split_grid(line, edges) for line in drawn[1 : heads[0]] if not _GRID_RULE.match(line)]
    rows: Rows = [_join_cells(header)]
    held: Rows = []
    for line in drawn[heads[0] + 1 :]:
        if line.startswith("+") or "+-" in line:
            rows.append(_join_cells(held))
            held = []
        if not line.startswith("+"):
            held.append(_split_grid(line, edges))
    return size, rows


def _split_grid(line: str, edges: Sequence[int]) -> list[str]:
    """Return the cells of a line; where the bars are not below each other (wide letters), bars alone count."""
    bars = line.strip("|+").split("|")
    if len(bars) == len(edges) - 1:
        return [_without_rules(cell) for cell in bars]
    cells: list[str] = []
    for start, end in pairwise(edges):
        is_edge = start >= len(line) or line[start] in "|+"
        if is_edge or not cells:
            cells.append(line[start + 1 : end])
        else:  # a cell over several columns
            cells[-1] += line[start:end]
    return [_without_rules(cell) for cell in cells]


def _without_rules(cell: str) -> str:
    """Return a cell's line; the rule below a cell that ends while its neighbour goes on is none of its text."""
    return "" if not cell.strip("-+") else cell


def _find_simple(lines: Sequence[str]) -> tuple[int, Rows] | None:
    rules = [place for place, line in enumerate(lines) if _SIMPLE_RULE.match(line)]
    ends = [place for place in rules[1:] if place + 1 == len(lines) or not lines[place + 1]]
    if not ends or rules.index(ends[0]) != 2:  # noqa: PLR2004 # above the header, below it, at the end
        return None
    starts = [found.start() for found in re.finditer("=+", lines[0])]
    header = [_split_simple(line, starts) for line in lines[1 : rules[1]] if not _SPAN_RULE.match(line)]
    rows: Rows = [_join_cells(header)]
    for line in lines[rules[1] + 1 : ends[0]]:
        if not line or _SPAN_RULE.match(line):
            continue
        cells = _split_simple(line, starts)
        if cells[0].strip() or len(rows) == 1:
            rows.append(cells)
        else:  # the first column is empty: the row above goes on
            rows[-1] = _join_cells([rows[-1], cells])
    return ends[0] + 1, rows


def _split_simple(line: str, starts: Sequence[int]) -> list[str]:
    cells = list[str]()
    for start, end in pairwise([*starts, max(len(line), starts[-1])]):
        if cells and line[start - 1 : start].strip():  # a cell over several columns
            cells[-1] += line[start:end]
        else:
            cells.append(line[start:end])
    return cells


def _join_cells(lines: Rows) -> list[str]:
    """Return the cells of a row that is several lines high."""
    width = max(map(len, lines), default=0)
    return [" ".join(line[place].strip() for line in lines if place < len(line)).strip() for place in range(width)]


def read_list_table(lines: Sequence[str]) -> Rows | None:
    """Return the rows of a `list-table`: a list of rows, each a list of cells."""
    options, content = _split_options(lines)
    if options.get("header-rows") != "1":
        return None
    rows: Rows = []
    for line in content:
        if _ROW.match(line):
            rows.append([line[line.index("-") + 1 :]])
        elif rows and _CELL.match(line) and _is_cell(line, content):
            rows[-1].append(line[line.index("-") + 1 :])
        elif rows:
            rows[-1][-1] += f" {line.strip()}"
        elif line:
            return None
    return rows or None


def _is_cell(line: str, content: Sequence[str]) -> bool:
    """Whether a dash is as far in as the cells' are, and no list's within a cell."""
    first = next(each for each in content if _ROW.match(each))
    return line.index("-") == first.index("-")


def read_csv_table(lines: Sequence[str]) -> Rows | None:
    """Return the rows of a `csv-table`."""
    options, content = _split_options(lines)
    named = options.get("delim", ",")
    delimiter = _DELIMITERS.get(named, named)
    if len(delimiter) != 1 or not (options.get("header") or options.get("header-rows") == "1"):
        return None
    written = [options["header"]] if options.get("header") else []
    try:
        return list(csv.reader([*written, *filter(None, content)], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return None


def _split_options(lines: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options at the start of a directive's content, and the lines after them without their indentation."""
    options: dict[str, str] = {}
    place = 0
    while place < len(lines) and (found := _OPTION.match(lines[place])):
        options[found["name"]] = found["value"].strip()
        place += 1
    rest = lines[place:]
    indent = min((len(line) - len(line.lstrip()) for line in rest if line), default=0)
    return options, [line[indent:] for line in rest]
