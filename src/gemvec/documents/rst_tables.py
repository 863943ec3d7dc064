"""Tables of reStructuredText that have a header, as rows of cells: drawn ones, lists and CSV.

Each function returns None for what it does not understand, or has no header; such a table is read line by line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from unicodedata import category, combining, east_asian_width

from gemvec.documents.markdown_table import Cell, fill_rows
from gemvec.documents.rst_grids import GOES_ON, read_grid

Rows = list[list[str]]
Columns = tuple[int, int]  # the first column of a screen and the one after the last

_GRID_RULE = re.compile(r"^\+(?:[-=]+\+)+$")
_GRID_LINE = re.compile(r"^[|+].*[|+]$")
_SIMPLE_RULE = re.compile(r"^=+(?: +=+)+$")
_SPAN_RULE = re.compile(r"^-+(?: +-+)*$")
_ROW = re.compile(r"^\*\s+-(?:\s|$)")
_CELL = re.compile(r"^\s+-(?:\s|$)")
_OPTION = re.compile(r"^\s*:(?P<name>[\w-]+):\s*(?P<value>.*)$")
# Options that change how the cells are written.
_UNREAD_CSV = frozenset({"quote", "escape", "keepspace"})
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
    if any(lines[size : size + 1]) or not _GRID_RULE.match(drawn[-1]):
        return None
    rows = _read_plain_grid(drawn) or _read_spanned_grid(drawn)
    return (size, rows) if rows else None


def _read_plain_grid(drawn: Sequence[str]) -> Rows | None:
    """Return the rows of a grid in which all rules go from side to side."""
    heads = [place for place, line in enumerate(drawn) if _GRID_RULE.match(line) and "=" in line]
    if len(heads) != 1 or heads[0] == 0:
        return None
    edges = _find_edges(drawn[heads[0]])
    rows: Rows = []
    held: Rows = []
    for place, line in enumerate(drawn):
        if _GRID_RULE.match(line):
            if not set(_find_edges(line)) <= set(edges) or len(line) != len(drawn[0]):
                return None
            if place >= heads[0]:
                rows.append(_join_cells(held))
                held = []
        elif cells := _split_grid(line, edges):
            held.append(cells)
        else:
            return None
    return rows


def _read_spanned_grid(drawn: Sequence[str]) -> Rows | None:
    widened = [_widen(line) for line in drawn]
    grid = read_grid(widened) if all(widened) else None
    return fill_rows(*grid) if grid else None


def _widen(line: str) -> str:
    """Return a line with a mark after each letter of two columns; empty if screens may differ in it."""
    columns = _find_columns(line)
    if columns is None or any(map(combining, line)):
        return ""
    return "".join(line[columns[place]] if place in columns else GOES_ON for place in range(max(columns)))


def _find_edges(rule: str) -> list[int]:
    return [place for place, mark in enumerate(rule) if mark == "+"]


def _split_grid(line: str, edges: Sequence[int]) -> list[str] | None:
    """Return the cells of a line, one for each column; a cell over several columns is followed by empty ones.

    A line with a rule beside text, where a cell goes over several rows, gives None.
    """
    if "+" in (line[0], line[-1]):
        return None
    bars = line[1:-1].split("|")
    columns = _find_columns(line)
    if columns is None or max(columns) != edges[-1] + 1:  # letters of other widths than here: the bars alone count
        return bars if len(bars) == len(edges) - 1 and not line.isascii() else None
    marks = {place: line[place] for edge in edges if (place := columns.get(edge)) is not None}
    found = [place for place, mark in marks.items() if mark == "|"]
    if "+" in marks.values() or len(found) not in {len(edges), line.count("|")}:
        return None
    ends = dict(pairwise(found))
    starts = [columns.get(edge) for edge in edges[:-1]]
    return [line[start + 1 : ends[start]] if start is not None and start in ends else "" for start in starts]


def _find_columns(line: str) -> dict[int, int] | None:
    """Return which character is at each column of a screen, as docutils counts; None if screens may differ in it."""
    if any(category(mark) in {"Mn", "Me", "Cf"} and not combining(mark) for mark in line):
        return None
    widths = (0 if combining(mark) else 2 if east_asian_width(mark) in "WF" else 1 for mark in line)
    return {column: place for place, column in enumerate(accumulate(widths, initial=0))}


def _find_simple(lines: Sequence[str]) -> tuple[int, Rows] | None:
    size = find_simple_end(lines)
    rules = [place for place, line in enumerate(lines[:size]) if _SIMPLE_RULE.match(line)]
    if len(rules) != 3 or {lines[place] for place in rules} != {lines[0]}:  # noqa: PLR2004 # above and below the header, at the end
        return None
    columns = [found.span() for found in re.finditer("=+", lines[0])]
    header = _read_simple(lines[1 : rules[1]], columns, is_head=True)
    body = _read_simple(lines[rules[1] + 1 : rules[2]], columns, is_head=False)
    return (size, fill_rows([*header, *body], len(header))) if header and body is not None else None


def find_simple_end(lines: Sequence[str]) -> int:
    """Return how many of the lines are a table between rules of equals signs; 0 if there is none, or it has no end."""
    if not lines or not _SIMPLE_RULE.match(lines[0]):
        return 0
    rules = [place for place, line in enumerate(lines) if _SIMPLE_RULE.match(line)]
    return next((place + 1 for place in rules[1:] if place + 1 == len(lines) or not lines[place + 1]), 0)


def _read_simple(lines: Sequence[str], columns: Sequence[Columns], *, is_head: bool) -> list[list[Cell]] | None:
    """Return rows of a simple table; a rule below some lines says over which columns their cells go.

    A line without text in the first column goes on with the row above; in a header each line is a row, or part of one
    with a rule below.
    """
    rows: list[list[Cell]] = []
    held: list[str] = []

    def end(spans: Sequence[Columns]) -> bool:
        split = [_split_simple(line, spans) for line in held]
        made = [cells for cells in split if cells]
        if len(made) < len(split):
            return False
        texts = _join_cells(made)
        cells = [Cell(text, _count_columns(span, columns)) for text, span in zip(texts, spans, strict=False)]
        rows.extend([cells] if cells else [])
        held.clear()
        return True

    for line in filter(None, lines):
        if _SPAN_RULE.match(line) and held:
            spans = [found.span() for found in re.finditer("-+", line)]
            if sum(_count_columns(span, columns) for span in spans) != len(columns) or not end(spans):
                return None
            continue
        is_new = bool(held) and not is_head and bool(line[: columns[0][1]].strip())
        if is_new and not end(columns):
            return None
        held.append(line)
    return rows if end(columns) else None


def _count_columns(span: Columns, columns: Sequence[Columns]) -> int:
    return sum(span[0] <= start < span[1] for start, _ in columns)


def _split_simple(line: str, columns: Sequence[Columns]) -> list[str] | None:
    """Return the cells of a line; None for a blank line and text between the columns."""
    found = _find_columns(line)
    if not found:
        return None
    width = max(found)
    bounds = [found.get(min(bound, width)) for column in columns for bound in column]
    places = [place for place in bounds if place is not None]
    if len(places) < len(bounds):
        return None
    places[-1] = len(line)  # the last column may be longer than its rule
    parts = [line[start:end] for start, end in pairwise(places)]
    return None if "".join(parts[1::2]).strip() else parts[::2]


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
    return rows if len(set(map(len, rows))) == 1 else None


def _is_cell(line: str, content: Sequence[str]) -> bool:
    """Whether a dash is as far in as the cells' are, and no list's within a cell."""
    first = next(each for each in content if _ROW.match(each))
    return line.index("-") == first.index("-")


def read_csv_table(lines: Sequence[str]) -> Rows | None:
    """Return the rows of a `csv-table`."""
    options, content = _split_options(lines)
    named = options.get("delim", ",")
    header = options.get("header", "")
    if not (header or options.get("header-rows") == "1") or any(content[:1]) or not _UNREAD_CSV.isdisjoint(options):
        return None
    written = [f"{line}\n" for line in content if line]
    try:
        rows = list(csv.reader(written, delimiter=_DELIMITERS.get(named, named), skipinitialspace=True, strict=True))
        return [*csv.reader(filter(None, [header]), skipinitialspace=True, strict=True), *rows]
    except (csv.Error, TypeError, ValueError):
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
