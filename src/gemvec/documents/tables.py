"""CSV and similar tables, row by row: `open_table` detects encoding, delimiter, quoting, header and text columns."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

from gemvec.documents.document import Note
from gemvec.documents.readers import note_guess
from gemvec.documents.text import HALVE, SAMPLE_BYTES, UnreadableDocument, drop_single_zeros, find_encoding

_DELIMITERS = ",;\t|"
# The first line of a file for Excel may name the delimiter.
_SAID_DELIMITER = re.compile(r"\ufeff?sep=(.)\r?\n")
_SAMPLE_ROWS = 200
# A row of more characters is left out, so that a quote that is never closed does not take the rest of the file.
_MAX_ROW_CHARACTERS = 8 * 2**20
_MAX_NAME_CHARACTERS = 64
_NUMBER = re.compile(r"[-+]?[\d.,]+%?")
_TWO_WORDS = re.compile(r"[^\W\d_]+[ \u3000]+[^\W\d_]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{4}")
_LETTER = re.compile(r"[^\W\d_]")
# More lines with one value are rows of a table, and not a title above it.
_MAX_LINES_ABOVE = 20
# A column is text when this share of its values have more than one word.
_TEXT_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row: its values by column, or the reason why it has none."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file of rows.

    Attributes:
        text: what `reader` reads; detach it from the file, or it would close the file.
        reader: the rows' values; None for a line whose quote is never closed.
        delimiter: what is between values.
        names: of the columns.
        text_names: columns that are used as text when no column is called text; otherwise empty.
        notes: what was guessed.
    """

    text: io.TextIOWrapper
    reader: Iterator[list[str] | None]
    delimiter: str
    names: Sequence[str]
    text_names: tuple[str, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[TableRow]:
        """Yield the rows; one with more values than columns, or with a quote that is never closed, has a reason."""
        for values in self.reader:
            if values is None:
                yield TableRow(reason="it opens a quote that is never closed")
            elif not any(values):
                continue
            elif len(values) > len(self.names) == 1:  # a text with commas, and nothing that it could be cut into
                yield TableRow(values={self.names[0]: self.delimiter.join(values)})
            elif len(values) > len(self.names):
                yield TableRow(reason=f"it has {len(values)} values, and the table {len(self.names)} columns")
            else:
                yield TableRow(values=dict(zip(self.names, values, strict=False)))


def open_table(file: IO[bytes], names_text: Callable[[Iterable[str]], bool], *, is_tab_separated: bool) -> Table:
    """Look at the start of a file and return what reads it.

    Args:
        file: what to read, from its start.
        names_text: tells whether some names include that of a text.
        is_tab_separated: the delimiter is known.

    Raises:
        UnreadableDocument: it is not text.
    """
    # Passages may be longer than the csv module's default of 128 KiB for a field.
    csv.field_size_limit(max(2 * _MAX_ROW_CHARACTERS, SAMPLE_BYTES))
    data = file.read(SAMPLE_BYTES)
    file.seek(0)
    encoding, is_guess = find_encoding(drop_single_zeros(data))
    sample = data.decode(encoding, errors=HALVE).replace("\0", "")
    said = _SAID_DELIMITER.match(sample)
    sample = sample[said.end() :] if said else sample
    options = _sniff(sample, said[1] if said else "\t" if is_tab_separated else _DELIMITERS)
    rows = list(islice(_read(io.StringIO(sample, newline=""), options), _SAMPLE_ROWS))
    if len(data) == SAMPLE_BYTES and len(rows) > 1:
        rows.pop()  # may be cut
    above = 0 if names_text(rows[0] if rows else ()) else _count_lines_above(rows)
    del rows[:above]
    has_header = bool(rows) and _is_header(rows, names_text)
    names = _name_columns(rows[0] if has_header else [""] * _width(rows))
    text_names = () if names_text(names) else _find_text_columns(names, rows[has_header:])
    notes = [*note_guess(encoding if is_guess else "")]
    if above:
        notes.append(Note(reason=f"what stands above its table was left out: lines before row {above + 1}"))
    if text_names:
        notes.append(Note(reason=f"no column is called text; used as text: {', '.join(text_names)}"))
    if rows and not has_header:
        notes.append(Note(reason="it seems to have no header; its columns are called column_1 and so on"))
    # A guess from the start of a file may not fit the rest.
    text = io.TextIOWrapper(file, encoding=encoding, errors=HALVE, newline="")
    if said:
        text.readline()
    reader = _read_lines(text, options)
    for _ in range(above + has_header):
        next(reader, None)
    return Table(
        text=text,
        reader=reader,
        delimiter=options["delimiter"],
        names=names,
        text_names=text_names,
        notes=tuple(notes),
    )


def _read(text: Iterable[str], options: dict[str, Any]) -> Iterator[list[str]]:
    try:
        yield from csv.reader(text, **options)
    except csv.Error as error:
        raise UnreadableDocument(f"it is not CSV: {error}") from error


def _read_lines(text: io.TextIOWrapper, options: dict[str, Any]) -> Iterator[list[str] | None]:
    """Yield the rows, and None for a line whose quote is never closed: otherwise it would take the rows after it."""
    ahead, taken = deque[str](), list[str]()

    def take() -> Iterator[str]:
        length = 0
        while (not taken or length < _MAX_ROW_CHARACTERS) and (line := ahead.popleft() if ahead else _read_line(text)):
            length = length + len(line) if taken else len(line)
            taken.append(line)
            yield line

    while True:
        for values in _read(take(), options):
            if len(taken) > 1 and not _closes_quotes("".join(taken), options):
                break
            taken.clear()
            yield values
        else:
            return
        yield None
        ahead.extendleft(reversed(taken[1:]))
        taken.clear()


def _read_line(text: io.TextIOWrapper) -> str:
    line = text.readline(_MAX_ROW_CHARACTERS)
    if len(line) >= _MAX_ROW_CHARACTERS:
        raise UnreadableDocument(
            f"one of its lines has more than {_MAX_ROW_CHARACTERS:,} characters, which would take much memory; split it"
        )
    return line.replace("\0", "")


def _closes_quotes(row: str, options: dict[str, Any]) -> bool:
    """Whether each quote in a row of several lines closes at the end of its value, or in front of spaces there."""
    quote, delimiter = re.escape(options.get("quotechar", '"')), re.escape(options["delimiter"])
    row = re.sub(rf"(?<={quote})[ \t]+(?={delimiter}|\r?\n|$)", "", row)
    try:
        list(csv.reader(io.StringIO(row, newline=""), strict=True, **options))
    except csv.Error:
        return False
    return True


def _sniff(sample: str, delimiters: str) -> dict[str, Any]:
    """Return the quote, and the delimiter with which most rows have the same number of values, more than one."""
    best: tuple[float, int] = (0.0, 0)
    found: dict[str, Any] = {"delimiter": delimiters[0]}
    for delimiter in delimiters:
        quote = _find_quote(sample, delimiter)
        options = {"delimiter": delimiter, "quotechar": quote}
        widths = Counter(
            len(row) for row in islice(_read(io.StringIO(sample, newline=""), options), _SAMPLE_ROWS) if row
        )
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        score = (round(count / max(widths.total(), 1), 2), width)
        if width > 1 and score > best:
            best, found = score, options
    return found


def _find_quote(sample: str, delimiter: str) -> str:
    edges = rf"(?:^|{re.escape(delimiter)}){{0}}[^{{0}}\n]*{{0}}(?={re.escape(delimiter)}|\r?$)"
    double, single = (len(re.findall(edges.format(mark), sample, re.MULTILINE)) for mark in "\"'")
    return "'" if single > double else '"'


def _count_lines_above(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows are above the table: its title, comments, empty lines."""
    widths = Counter(len(row) for row in rows if row)
    width = widths.most_common(1)[0][0] if widths else 0
    for place, row in enumerate(rows[:_MAX_LINES_ABOVE]):
        values = sum(bool(value.strip()) for value in row)
        is_full = len(row) >= width > 1 and values >= max(2, width - 1)
        if is_full or (not place and values > 1 and not row[0].startswith("#")):
            return place
    return 0


def _is_header(rows: Sequence[Sequence[str]], names_text: Callable[[Iterable[str]], bool]) -> bool:
    first = [value.strip() for value in rows[0]]
    if names_text(first):
        return True
    if not all(first) or len(set(first)) < len(first) or any(_NUMBER.fullmatch(value) for value in first):
        return False
    return all(len(value) <= _MAX_NAME_CHARACTERS and "\n" not in value for value in first)


def _name_columns(header: Sequence[str]) -> list[str]:
    """Return a name for each column: a missing one is called by its number, and a repeated one gets a number."""
    names: dict[str, None] = {}
    repeats = Counter[str]()
    for number, said in enumerate(header, start=1):
        name = first = said.strip() or f"column_{number}"
        while name in names:
            repeats[first] += 1
            name = f"{first}_{repeats[first] + 1}"
        names[name] = None
    return list(names)


def _width(rows: Sequence[Sequence[str]]) -> int:
    return max((len(row) for row in rows), default=0)


def _find_text_columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the columns of texts; where there is none, the columns of words."""
    return _find_columns(names, rows, _TWO_WORDS) or _find_columns(names, rows, _LETTER)


def _find_columns(names: Sequence[str], rows: Sequence[Sequence[str]], pattern: re.Pattern[str]) -> tuple[str, ...]:
    found: list[str] = []
    for place, name in enumerate(names):
        values = [row[place] for row in rows if place < len(row) and row[place].strip()]
        if values and sum(bool(pattern.search(value)) for value in values) >= _TEXT_SHARE * len(values):
            found.append(name)
    return tuple(found)
