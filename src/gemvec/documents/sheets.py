"""Spreadsheets of Excel (.xlsx): `read_sheets`, each sheet as a table of Markdown."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from gemvec.documents.archive import Archive
from gemvec.documents.document import Note
from gemvec.documents.markdown_table import write_rows
from gemvec.documents.text import UnreadableDocument
from gemvec.errors import MissingDependency

# More cells are not for reading; they would take minutes.
MAX_CELLS = 1_000_000


def read_sheets(data: bytes) -> tuple[list[str], list[str], list[Note]]:
    """Return each sheet that has something in it as Markdown, their names, and what was left out.

    Raises:
        UnreadableDocument: it is not a spreadsheet, or is empty.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingDependency("Reading XLSX needs more packages.", extra="documents") from error
    archive = Archive(data, "a spreadsheet")
    archive.check_parts()
    texts, names, notes = list[str](), list[str](), list[Note]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about parts that hold no text
        try:
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise UnreadableDocument(f"it is not a spreadsheet: {error}") from error
        left = MAX_CELLS
        for sheet in book.worksheets:
            rows = list(_read_rows(sheet, left))
            left -= sum(map(len, rows))
            if left <= 0:
                notes.append(Note(reason=f"its cells after the first {MAX_CELLS:,} are left out", is_loss=True))
            if table := write_rows(rows):
                texts.append(f"## {sheet.title}\n\n{table}")
                names.append(sheet.title)
            if left <= 0:
                break
    if not texts:
        raise UnreadableDocument("it has no cells with content")
    return texts, names, notes


def _read_rows(sheet: Any, most: int) -> Iterator[list[str]]:
    """Yield the rows without empty ones and without the empty cells at their ends, up to `most` cells."""
    sheet.reset_dimensions()  # otherwise each row is filled up to the sheet's last column
    for values in sheet.iter_rows(values_only=True):
        row = [_format(value) for value in values]
        while row and not row[-1]:
            row.pop()
        if row:
            yield row
            most -= len(row)
        if most <= 0:
            return


def _format(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
