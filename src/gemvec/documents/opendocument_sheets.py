"""Spreadsheets of LibreOffice (.ods): `read_ods`, each sheet as a table of Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gemvec.documents.content import Content, refuse_many_characters
from gemvec.documents.document import Note
from gemvec.documents.markdown_table import MAX_SPAN, Cell, read_span
from gemvec.documents.opendocument import DRAW, OFFICE, TABLE, TEXT, OpenDocument, flatten
from gemvec.documents.sheets import MAX_CELLS, note_hidden, write_sheet
from gemvec.documents.text import UnreadableDocument

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ROW, _SHEET, _SHAPES = f"{TABLE}table-row", f"{TABLE}table", f"{TABLE}shapes"
_CELLS = {f"{TABLE}table-cell": True, f"{TABLE}covered-table-cell": False}  # whether a cell is shown
_PARAGRAPHS = frozenset({f"{TEXT}p", f"{TEXT}h", f"{TEXT}list"})
_ANNOTATION = f"{OFFICE}annotation"
# More columns than any program has.
_MAX_COLUMNS = 2**14
_MAX_REPEATED = 1_000


def read_ods(data: Content) -> tuple[list[str], list[str], str, list[Note]]:
    """Return each sheet that has something in it as Markdown, their names, the title, and what was left out.

    Raises:
        UnreadableDocument: it is not a spreadsheet, or is empty.
    """
    document = OpenDocument(data, "an OpenDocument spreadsheet", f"{OFFICE}spreadsheet")
    texts, names, hidden = list[str](), list[str](), list[str]()
    length = 0
    for sheet in _find_sheets(document):
        length += sheet.length
        refuse_many_characters(length)
        if text := sheet.write():
            texts.append(f"## {sheet.name}\n\n{text}")
            names.append(sheet.name)
            hidden += [sheet.name] if sheet.is_hidden else []
        document.notes += sheet.notes
    if not texts:
        raise UnreadableDocument(document.notes[0].reason if document.notes else "it has no cells with content")
    return texts, names, document.title, [*document.notes, *note_hidden(hidden)]


def _find_sheets(document: OpenDocument) -> Iterator[_Sheet]:
    """Yield the sheets, each when all of it was read, up to the last cell that is read."""
    sheet: _Sheet | None = None
    left = MAX_CELLS
    for element, is_whole in document.elements(frozenset({_ROW, _SHAPES})):
        if element.tag == _SHEET and not is_whole:
            if sheet is not None:
                yield sheet
            sheet = _Sheet(document, element, left)
        elif is_whole and sheet is not None:
            before = sheet.count
            sheet.add(element)
            left -= sheet.count - before
            if left <= 0:
                document.notes.append(
                    Note(reason=f"its cells after the first {MAX_CELLS:,} are left out", is_loss=True)
                )
                break
    if sheet is not None:
        yield sheet


class _Sheet:
    """A sheet, row by row.

    Attributes:
        name: of the sheet.
        is_hidden: whether a reader has to ask for it.
        count: its cells.
        length: their characters.
        notes: what is shortened.
    """

    def __init__(self, document: OpenDocument, table: Element, most: int) -> None:
        self._document = document
        self.name = " ".join(table.get(f"{TABLE}name", "").split())
        self.is_hidden = table.get(f"{TABLE}style-name") in document.hidden
        self.count = 0
        self.notes: list[Note] = []
        self._most = most
        self._rows: list[list[Cell]] = []
        self._beside: list[str] = []
        self._row = 0
        self.length = 0
        self._is_merged = False
        self._last_covered = 0  # the last row that a cell above it goes over

    def write(self) -> str:
        """Return it as Markdown, what stands beside its cells below them."""
        return "\n\n".join(filter(None, [write_sheet(self._rows, is_merged=self._is_merged), *self._beside]))

    def add(self, element: Element) -> None:
        """Add a row, or the shapes that no cell holds."""
        if element.tag == _SHAPES:
            self._beside += self._read_shapes(element)
            return
        times = _count(element.get(f"{TABLE}number-rows-repeated"))
        row = self._read_row(element)
        if row:
            self._repeat(row, times)
        elif self._row < self._last_covered:  # an empty row counts where a cell above goes over it
            self._rows += [[]] * min(times, self._last_covered - self._row, MAX_SPAN)
        self._row += times

    def _repeat(self, row: list[Cell], times: int) -> None:
        read = min(times, _MAX_REPEATED, max(1, (self._most - self.count) // len(row)))
        if read < times:
            self._note(f"a row that is repeated {times:,} times is read {read:,} times")
        self._rows += [row] * read
        self.count += len(row) * read
        self.length += sum(len(cell.text) for cell in row) * read
        refuse_many_characters(self.length)

    def _read_row(self, element: Element) -> list[Cell]:
        row: list[Cell] = []
        empty = column = 0  # empty cells are only there before others
        for each in element:
            is_shown = _CELLS.get(each.tag)
            if is_shown is None:
                continue
            times = _count(each.get(f"{TABLE}number-columns-repeated"))
            text = self._read_cell(each, column) if len(each) or each.attrib else ""
            if is_shown and (text or each.get(f"{TABLE}number-columns-spanned")):
                row += [Cell("")] * empty
                row += [self._make_cell(each, text)] * self._shorten(times)
                empty = 0
            elif is_shown:
                empty = min(empty + times, _MAX_COLUMNS - len(row))
            column += times
        while row and not row[-1].text:
            row.pop()
        return row

    def _shorten(self, times: int) -> int:
        if times > _MAX_REPEATED:
            self._note(f"a cell that is repeated {times:,} times is read {_MAX_REPEATED:,} times")
        return min(times, _MAX_REPEATED)

    def _make_cell(self, cell: Element, text: str) -> Cell:
        columns, rows = (read_span(cell.get(f"{TABLE}number-{name}-spanned")) for name in ("columns", "rows"))
        self._is_merged = self._is_merged or columns > 1 or rows > 1
        self._last_covered = max(self._last_covered, self._row + rows)
        return Cell(text, columns, rows)

    def _read_cell(self, cell: Element, column: int) -> str:
        """Return the text of a cell, and read what else is in it."""
        shown = " ".join(flatten(each) for each in cell if each.tag in _PARAGRAPHS)
        for each in cell.iterfind(_ANNOTATION):
            text = " ".join(" ".join(map(flatten, each.iter(f"{TEXT}p"))).split())
            self._beside += [f"Comment on {_name_column(column + 1)}{self._row + 1}: {text}"] if text else []
        self._beside += self._read_shapes(cell)
        kind = cell.get(f"{OFFICE}value-type")
        if kind == "date" and (moment := cell.get(f"{OFFICE}date-value")):
            return moment.removesuffix("T00:00:00").replace("T", " ")
        return shown or (cell.get(f"{OFFICE}value") or cell.get(f"{OFFICE}string-value") or "" if kind else "")

    def _read_shapes(self, element: Element) -> Iterator[str]:
        for each in element:
            if each.tag.startswith(DRAW):
                lines = (" ".join(flatten(line).split()) for line in each.iter(f"{TEXT}p"))
                is_chart = next(each.iter(f"{DRAW}object"), None) is not None
                text = self._document.read_chart(each, has_names=False) if is_chart else "\n".join(filter(None, lines))
                yield from filter(None, [text])

    def _note(self, reason: str) -> None:
        note = Note(reason=f"{reason} on its sheet {self.name}")
        if note not in self.notes:
            self.notes.append(note)


def _count(said: str | None) -> int:
    """Return how often something is there by what a file says; once if that is no number above 0."""
    return max(int(said[:9]), 1) if said and said.isascii() and said.isdigit() else 1


def _name_column(number: int) -> str:
    """Return the letters of a column: A for 1, AA for 27."""
    letters = ""
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters
