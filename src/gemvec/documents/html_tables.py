"""Tables of web pages as plain rows of cells: `fill_tables`. Cells over several columns or rows are written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from bs4 import Tag

from gemvec.documents.markdown_table import (
    MAX_REPEATED,
    Place,
    at,
    count_columns,
    count_heads,
    is_title,
    lay_out,
    read_span,
)

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

_CELLS = ["td", "th"]
_PARTS = ["tr", "td", "th", "thead", "tbody", "tfoot", "caption"]
# What only a table has in its cells that is there for the page's layout.
_NOT_IN_CELLS = ["table", "h1", "h2", "h3", "h4", "h5", "h6"]
_BREAKS = frozenset({"br", "p", "div", "li"})
_LAYOUT_ROLES = frozenset({"presentation", "none"})


def fill_tables(page: BeautifulSoup) -> None:
    """Give each row of each table a cell for each column; tables that only lay out the page become plain blocks.

    The header's rows become one. A short text of a cell over several rows is in each of them.
    """
    for table in page.find_all("table"):
        if is_layout(table):
            _unwrap(table)
        else:
            _set_caption_above(table)
            _fill(page, table)


def is_layout(table: Tag) -> bool:
    """Whether a table only lays out the page."""
    return table.get("role") in _LAYOUT_ROLES or table.find(_NOT_IN_CELLS) is not None or _has_one_column(table)


def _has_one_column(table: Tag) -> bool:
    """Whether no row has several cells, or a head, as the frames around letters have it."""
    for row in table.find_all("tr"):
        cells = row.find_all(_CELLS)
        if len(cells) > 1 or any(cell.name == "th" for cell in cells):
            return False
    return True


def _set_caption_above(table: Tag) -> None:
    """Leave only rows in a table: the converter takes the first row for the header only if nothing is before it."""
    for part in table.find_all(["caption", "colgroup", "col"]):
        if part.name == "caption" and part.find("tr") is None:  # its end may be missing
            part.name = "p"
            table.insert_before(part.extract())
        elif part.name != "caption":
            part.unwrap()


def _unwrap(table: Tag) -> None:
    for part in table.find_all(_PARTS):
        if part.find_parent("table") is table:
            part.name = "div"
    table.name = "div"


def _fill(page: BeautifulSoup, table: Tag) -> None:
    rows = table.find_all("tr")
    cells: list[list[Tag]] = [row.find_all(_CELLS) for row in rows]
    heads = sum(1 for _ in takewhile(_is_head, rows))
    spans = [[cell.has_attr("colspan") or cell.has_attr("rowspan") for cell in row] for row in cells]
    if heads <= 1 and not any(map(any, spans)):
        return
    ends = _find_ends(rows)
    sizes = [
        [(_count(cell, "colspan"), _count_rows(cell, ends[number] - number)) for cell in row]
        for number, row in enumerate(cells)
    ]
    places = lay_out(sizes)
    titles = 0
    while not heads and titles < len(rows) - 1 and is_title([columns for columns, _ in sizes[titles]]):
        _set_above(page, table, rows[titles], _read(cells[titles][0]))
        titles += 1
    named = [size for size, cell in zip(sizes[titles], cells[titles], strict=True) if _read(cell)]
    heads = min(max(heads, count_heads(named)), len(rows) - titles)
    body = slice(titles + heads, None)
    for row, found in zip(rows[body], places[body], strict=True):
        _fill_row(page, row, cells, found)
    head = slice(titles, titles + heads)
    if heads > 1 or any(map(any, spans[head])):
        width = max([count_columns(places[head]), *(len(row.find_all(_CELLS)) for row in rows[body])])
        _join_heads(page, rows[head], _name_columns(cells, places[head], width))


def _set_above(page: BeautifulSoup, table: Tag, row: Tag, title: str) -> None:
    """Make a paragraph above the table of a row that is the table's title."""
    above = page.new_tag("p")
    above.string = title
    table.insert_before(above)
    row.decompose()


def _is_head(row: Tag) -> bool:
    if row.parent is not None and row.parent.name == "thead":
        return True
    return row.find("th") is not None and row.find("td") is None


def _find_ends(rows: Sequence[Tag]) -> list[int]:
    """Return the row after the last one of the group that each row is in: no cell goes over that."""
    ends = [len(rows)] * len(rows)
    for number in range(len(rows) - 2, -1, -1):
        ends[number] = ends[number + 1] if rows[number].parent is rows[number + 1].parent else number + 1
    return ends


def _count(cell: Tag, name: str) -> int:
    return read_span(str(cell.get(name, "")).strip())


def _count_rows(cell: Tag, most: int) -> int:
    return most if str(cell.get("rowspan", "")).strip() == "0" else min(_count(cell, "rowspan"), most)


def _fill_row(page: BeautifulSoup, row: Tag, cells: Sequence[Sequence[Tag]], places: Sequence[Place | None]) -> None:
    filled: list[Tag] = []
    last = 0
    for place in places:
        cell = cells[place.row][place.index] if place else None
        if place and cell and place.is_first_row and place.is_first_column:
            cell.attrs.pop("colspan", None)
            cell.attrs.pop("rowspan", None)
            filled.append(cell)
            last = len(filled)
            continue
        filled.append(page.new_tag("td"))
        text = _read(cell) if place and cell and place.is_first_column else ""
        if 0 < len(text) <= MAX_REPEATED:
            filled[-1].string = text
            last = len(filled)
    row.clear()
    row.extend(filled[:last])


def _name_columns(
    cells: Sequence[Sequence[Tag]], places: Sequence[Sequence[Place | None]], width: int
) -> Iterator[str]:
    """Yield what the rows of a header say above each column, from the outermost name inwards."""
    for column in range(width):
        found = [at(row, column) for row in places]
        names = dict.fromkeys(_read(cells[place.row][place.index]) for place in found if place)
        yield " ".join(filter(None, names))


def _join_heads(page: BeautifulSoup, rows: Sequence[Tag], names: Iterable[str]) -> None:
    """Make one row of the rows of a header."""
    joined: list[Tag] = []
    for name in names:
        joined.append(page.new_tag("th"))
        joined[-1].string = name
    rows[0].clear()
    rows[0].extend(joined)
    for row in rows[1:]:
        row.decompose()


def _read(cell: Tag) -> str:
    """Return the text of a cell, with spaces where it has line breaks and blocks."""
    parts = (" " * (each.name in _BREAKS) if isinstance(each, Tag) else str(each) for each in cell.descendants)
    return " ".join("".join(parts).split())
