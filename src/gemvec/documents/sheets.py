"""Spreadsheets of Excel (.xlsx): `read_sheets`, each sheet as a table of Markdown."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from gemvec.documents.archive import Archive, find_targets, note_damage
from gemvec.documents.content import MAX_TEXT_BYTES, Content, to_file
from gemvec.documents.document import Note
from gemvec.documents.markdown_table import MAX_SPAN, Cell, write_rows, write_table
from gemvec.documents.sheet_drawings import read_drawings
from gemvec.documents.sheet_numbers import write_number, write_plain
from gemvec.documents.text import UnreadableDocument
from gemvec.errors import MissingDependency

# More cells are not for reading; they would take minutes.
MAX_CELLS = 1_000_000
# More rows with one cell are a list, and not lines above a table.
_MAX_LINES_ABOVE = 20
_SHOWN_NAMES = 5
# Formats of dates that a file names by these numbers only.
_DATE_FORMATS = frozenset({*range(27, 32), 36, *range(50, 55), 57, 58})
_KIND = "a spreadsheet"
_BOOK = "xl/workbook.xml"
_STYLES = ("xl/styles.xml", "xl/theme/theme1.xml")
# What openpyxl raises for parts that it does not understand.
_BAD_PARTS = (KeyError, ValueError, TypeError, AttributeError)
# Over how many columns and rows a cell goes, by its row and column.
_Merged = Mapping[tuple[int, int], tuple[int, int]]
_MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^<>]*?ref=["']([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})["']""")


def read_sheets(data: Content) -> tuple[list[str], list[str], list[Note]]:
    """Return each sheet that has something in it as Markdown, their names, and what was left out.

    Raises:
        UnreadableDocument: it is not a spreadsheet, or is empty.
    """
    texts, names, hidden = list[str](), list[str](), list[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about parts that hold no text
        book, archive, notes = _open_book(data)
        left, length = MAX_CELLS, 0
        parts = _find_parts(archive)
        for sheet in book.worksheets:
            merged = _find_merged(archive, parts.get(sheet.title, ""))
            rows, damage = _read_sheet(sheet, merged, left)
            notes += damage
            beside, damage = _read_beside(archive, sheet.title, parts)
            notes += damage
            length += sum(map(len, beside)) + sum(len(cell.text) for row in rows for cell in row)
            if length > MAX_TEXT_BYTES:  # many sheets may share one long drawing or text
                raise UnreadableDocument(f"its sheets have more than {MAX_TEXT_BYTES:,} characters; split it")
            text = "\n\n".join(filter(None, [write_sheet(rows, is_merged=bool(merged)), *beside]))
            left -= sum(map(len, rows))
            if text:
                texts.append(f"## {sheet.title}\n\n{text}")
                names.append(sheet.title)
                hidden += [sheet.title] if sheet.sheet_state != "visible" else []
            if left <= 0:
                notes.append(Note(reason=f"its cells after the first {MAX_CELLS:,} are left out", is_loss=True))
                break
    if not texts:
        raise UnreadableDocument(notes[0].reason if notes else "it has no cells with content")
    return texts, names, [*notes, *note_hidden(hidden)]


def note_hidden(names: Sequence[str]) -> list[Note]:
    """Return a note about sheets that a reader does not see at once; none if there are none."""
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    reason = f"sheets of it that are hidden are read, too: {', '.join(names[:_SHOWN_NAMES])}{more}"
    return [Note(reason=reason)] if names else []


def _open_book(data: Content) -> tuple[Any, Archive, list[Note]]:
    """Return the book, the archive that it is in, and what was left out: damaged parts, or styles."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingDependency("Reading XLSX needs more packages.", extra="documents") from error
    archive = Archive(data, _KIND)
    damaged = archive.check_parts()
    if _BOOK in damaged:
        raise UnreadableDocument(f"it is not {_KIND}: its part {_BOOK} is damaged")
    _refuse_shared_parts(archive)
    notes = note_damage(damaged)
    is_strict = archive.is_strict(_BOOK)
    if damaged or is_strict:
        data = archive.pack(damaged, is_loose=is_strict)
        archive = Archive(data, _KIND)
    try:
        return load_workbook(to_file(data), read_only=True, data_only=True), archive, notes
    except _BAD_PARTS:
        data = archive.pack(_STYLES)
    try:
        book = load_workbook(to_file(data), read_only=True, data_only=True)
    except _BAD_PARTS as error:
        raise UnreadableDocument(f"it is not a spreadsheet: {error}") from error
    return book, archive, [*notes, Note(reason="its styles are not understood, so its dates are numbers", is_loss=True)]


def _refuse_shared_parts(archive: Archive) -> None:
    """Refuse a book of which several sheets are one part: a small file could take hours."""
    targets = find_targets(archive, _BOOK)
    parts = [targets.get(mark, "") for _, mark in _find_sheets(archive)]
    shared = next((part for part, times in Counter(filter(None, parts)).items() if times > 1), None)
    if shared is not None:
        raise UnreadableDocument(f"it is not {_KIND}: several of its sheets are its part {shared}")


def _read_sheet(sheet: Any, merged: _Merged, most: int) -> tuple[list[list[Cell]], list[Note]]:
    """Return the rows of a sheet up to the first that is damaged, and a note about that."""
    rows: list[list[Cell]] = []
    try:
        for row in _read_rows(sheet, merged, most):
            rows.append(row)  # noqa: PERF402 - those before a damage are kept
    except (SyntaxError, IndexError, *_BAD_PARTS) as error:
        if isinstance(error, UnreadableDocument):
            raise
        return rows, [Note(reason=f"its sheet {sheet.title} is damaged after row {len(rows)}", is_loss=True)]
    return rows, []


def _read_beside(archive: Archive, title: str, parts: Mapping[str, str]) -> tuple[list[str], list[Note]]:
    """Return what stands beside the cells of a sheet, and a note if that is damaged."""
    try:
        return read_drawings(archive, parts.get(title, "")), []
    except (UnreadableDocument, RecursionError):  # the latter: groups in each other without end
        reason = f"what stands beside the cells of its sheet {title} is damaged and left out"
        return [], [Note(reason=reason, is_loss=True)]


def _find_parts(archive: Archive) -> dict[str, str]:
    """Return the parts of the sheets by their names."""
    targets = find_targets(archive, _BOOK)
    return {name: targets.get(mark, "") for name, mark in _find_sheets(archive)}


def _find_sheets(archive: Archive) -> Iterator[tuple[str, str]]:
    """Yield the names of the sheets, and the ids of their relationships."""
    for each in archive.read_xml(_BOOK).iter():
        if each.tag.endswith("}sheet"):
            marks = (value for name, value in each.items() if name.endswith("}id"))
            yield each.get("name", ""), next(marks, "")


def _find_merged(archive: Archive, part: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Return over how many columns and rows merged cells go, by the row and column of each one's first cell."""
    if part not in archive.names:
        return {}
    merged: dict[tuple[int, int], tuple[int, int]] = {}
    for found in _MERGED.finditer(archive.read(part)):
        left, above, right, below = (_count_columns(each) if each.isalpha() else int(each) for each in found.groups())
        if right >= left and below >= above:
            merged[above, left] = (right - left + 1, below - above + 1)
    return merged


def _count_columns(letters: bytes) -> int:
    """Return the number of a column: 1 for A, 27 for AA."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number


def _read_rows(sheet: Any, merged: _Merged, most: int) -> Iterator[list[Cell]]:
    """Yield the rows without empty ones and without the empty cells at their ends, up to `most` cells."""
    sheet.reset_dimensions()  # otherwise each row is filled up to the sheet's last column
    taken: dict[int, int] = {}  # the last row of the merged cell that a column is in
    length = 0
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        row: list[Cell] = []
        is_covered = any(last >= number for last in taken.values())  # so that the rows of merged cells count
        for column, cell in enumerate(cells, start=1):
            if taken.get(column, 0) >= number:
                continue
            columns, rows = merged.get((number, column), (1, 1))
            columns = min(columns, MAX_SPAN)
            taken.update(dict.fromkeys(range(column, column + columns), number + rows - 1))
            row.append(Cell(_format(cell), columns, rows))
            length += len(row[-1].text)
        if length > MAX_TEXT_BYTES:  # many cells may share one long text
            raise UnreadableDocument(f"its cells have more than {MAX_TEXT_BYTES:,} characters; split it")
        while row and not row[-1].text:
            row.pop()
        if row or is_covered:
            yield row
            most -= len(row)
        if most <= 0:
            return


def write_sheet(rows: list[list[Cell]], *, is_merged: bool) -> str:
    """Return the rows of a sheet as a table of Markdown, below the lines that stand above its header."""
    above = _count_lines_above(rows)
    lines = [" ".join(cell.text.split()) for row in rows[:above] for cell in row if cell.text]
    return "\n\n".join([*lines, _write_table(rows[above:], is_merged=is_merged)])


def _write_table(rows: list[list[Cell]], *, is_merged: bool) -> str:
    if is_merged:
        return write_table(rows)
    # Most sheets, and all large ones that programs write, need no places of cells, which take much memory.
    width = max(map(len, rows), default=0)
    texts = [[cell.text for cell in row] for row in rows]
    return write_rows([row + [""] * (width - len(row)) for row in texts[:1]] + texts[1:])


def _count_lines_above(rows: Sequence[Sequence[Cell]]) -> int:
    """Return how many rows with one cell stand above the first one with more: the title of the table, and its date."""
    for place, row in enumerate(rows[:_MAX_LINES_ABOVE]):
        filled = [cell for cell in row if cell.text]
        if len(filled) > 1:
            return place
        if any(cell.rows > 1 for cell in row):
            break
    return 0


def _format(cell: Any) -> str:
    """Return the value of a cell as a reader sees it, dates and times in ISO 8601."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _write_number(cell, value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, date | time):
        return value.isoformat()
    return _write_duration(value) if isinstance(value, timedelta) else str(value)


def _write_number(cell: Any, value: float) -> str:
    try:
        code, number = cell.number_format, cell.style_array.numFmtId
    except IndexError:  # its style is not there
        return write_plain(value)
    return _write_date(cell, value) if number in _DATE_FORMATS else write_number(value, code)


def _write_date(cell: Any, value: float) -> str:
    """Return a date whose format has a number and no text, as programs of East Asia write them."""
    from openpyxl.utils import datetime as dates

    try:
        moment = cast("Any", dates).from_excel(value, cell.parent.parent.epoch)
    except (ValueError, OverflowError):
        return write_plain(value)
    return moment.date().isoformat() if isinstance(moment, datetime) else str(moment)


def _write_duration(value: timedelta) -> str:
    """Return hours, minutes and seconds; more than a day has more than 24 hours."""
    seconds = round(value.total_seconds())
    sign, seconds = "-" if seconds < 0 else "", abs(seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
