"""Files with many documents: JSON Lines, JSON, CSV and Parquet, one document for each record.

`tables.py` reads CSV, and `mailbox.py` mailboxes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import IO, Any, AnyStr, cast

from gemvec.documents.content import refuse_large_text
from gemvec.documents.document import BadDocument, Document, Note, to_json
from gemvec.documents.json_values import TOO_MANY_VALUES, BadValue, JsonValues, has_many_values
from gemvec.documents.mailbox import read_mailbox
from gemvec.documents.readers import note_guess
from gemvec.documents.tables import TableRow, open_table
from gemvec.documents.text import HALVE, SAMPLE_BYTES, UnreadableDocument, find_encoding, fold, is_damaged_utf8
from gemvec.documents.titles import shorten_title
from gemvec.errors import MissingDependency

_MARKS = {b"\xff\xfe", b"\xfe\xff"}  # of UTF-16 and of UTF-32, little-endian

_WIDTHS = {"utf-16": 2, "utf-32": 4}

# Suffixes of files of records -> what they become, for the documentation.
RECORD_KINDS = {
    (".jsonl", ".ndjson"): "one document for each line, a JSON object",
    (".json",): "one document for each object of a list or of JSON Lines, or one for the object that the file is",
    (".csv", ".tsv"): "one document for each row; delimiter, quotes and header are detected",
    (".parquet",): "one document for each row",
    (".mbox",): "one document for each e-mail, as `.eml`; the id is its Message-ID",
}
RECORD_SUFFIXES = tuple(suffix for suffixes in RECORD_KINDS for suffix in suffixes)
# How much of a JSON file may tell its encoding.
_LOOK_BYTES = 16 * 2**20
# A longer line of JSON Lines is left out.
MAX_LINE_BYTES = 32 * 2**20
_NAMES_SHOWN = 5
# Rows of a Parquet file read at once, and their bytes if they are long; and how much of a file is read ahead.
_ROWS_AT_ONCE, _ROWS_BYTES, _READ_AHEAD_BYTES = 1_024, 8 * 2**20, 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFields:
    """The fields of a record that have a meaning; all others become metadata.

    Attributes:
        text, id, title: names of fields; the first one that a record has counts, in upper or lower case.
        joined_text: fields that make up the text together, in this order; `text` is not used then.
    """

    text: tuple[str, ...] = ("text", "content", "body", "passage")
    id: tuple[str, ...] = ("id", "_id", "document_id", "key")
    title: tuple[str, ...] = ("title",)
    joined_text: tuple[str, ...] = ()

    def to_document(self, record: Mapping[str, Any], *, source: str, place: str) -> Document | BadDocument:
        """Return the document that `record` describes.

        Its id is `source#id`; without an id, a hash of the record is used, so that it stays the same when lines move.
        """
        record = {name: _decode(value) if isinstance(value, bytes) else value for name, value in record.items()}
        id_field, title_field = _first(record, self.id), _first(record, self.title)
        text_fields = self._find_text(record)
        document_id = f"{source}#{record[id_field]}" if id_field and not _is_nested(record[id_field]) else ""
        for name in (*text_fields, id_field, title_field):
            if name and _is_nested(record[name]):
                return BadDocument(source=source, place=place, reason=f"its field {name!r} is not text", id=document_id)
        if not text_fields:
            return BadDocument(source=source, place=place, reason=self._say_no_text(record), id=document_id)
        named = {*text_fields, title_field}
        try:
            text = fold(refuse_large_text("\n\n".join(str(record[name]) for name in text_fields)))
        except UnreadableDocument as error:
            return BadDocument(source=source, place=place, reason=str(error), id=document_id)
        return Document(
            id=document_id or f"{source}#{_hash(record)}",
            text=text,
            title=fold(str(record[title_field])).strip() if title_field else "",
            source=source,
            metadata={name: to_json(value) for name, value in record.items() if name not in named},
            place=place,
        )

    def names_text(self, names: Iterable[str]) -> bool:
        """Whether `names` contains a field of the text."""
        wanted = {name.lower() for name in self.joined_text or self.text}
        return any(name.lower() in wanted for name in names)

    def _find_text(self, record: Mapping[str, Any]) -> list[str]:
        if self.joined_text:
            return list(dict.fromkeys(found for name in self.joined_text if (found := _first(record, (name,)))))
        found = _first(record, self.text)
        return [found] if found else []

    def _say_no_text(self, record: Mapping[str, Any]) -> str:
        names = self.joined_text or self.text
        empty = next((name for name in names if name in record), None)
        if empty:
            return f"its field {empty!r} is empty"
        others = [
            shorten_title(" ".join(name.split()))
            for name, value in record.items()
            if isinstance(value, str) and value.strip()
        ]
        hint = f"; it has {', '.join(others[:_NAMES_SHOWN])} (--text-field names the text)" if others else ""
        return f"it has no field {' or '.join(names)}{hint}"


def read_records(path: Path, source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    """Yield the documents of a file of records; `read_bytes` counts from the start of the file.

    Raises:
        UnreadableDocument: the file as a whole is not of the kind that its name says.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            yield from _read_parquet(path, source, fields)
        elif kind in {".csv", ".tsv"}:
            yield from _read_table(path, source, fields)
        elif kind == ".json":
            yield from _read_json(path, source, fields)
        elif kind == ".mbox":
            yield from read_mailbox(path, source)
        else:
            with path.open("rb") as file:
                yield from read_json_lines(file, source, fields)
    except OSError as error:
        raise UnreadableDocument(f"it cannot be read: {error.strerror}") from error


def read_json_lines(file: IO[bytes], source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    """Yield one document for each line; a line that is not a JSON object is a bad document."""
    lines = _Lines(file)

    def read(number: int, found: tuple[str | None, str]) -> Document | BadDocument | None:
        line, guess = found
        place = f"line {number}"
        if line is None:
            reason = f"it has more than {MAX_LINE_BYTES:,} bytes, which would take much memory; split it"
            return BadDocument(source=source, place=place, reason=reason, read_bytes=lines.read_bytes)
        if not line.strip():
            return None
        document = _read_line(line, source=source, place=place, fields=fields)
        if guess and isinstance(document, Document):
            document = replace(document, notes=note_guess(guess))
        return replace(document, read_bytes=lines.read_bytes)

    # No name here may hold a record, which may be large, while its passages are embedded.
    yield from filter(None, map(read, count(1), lines))


def _read_json(path: Path, source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    """Yield the objects of a JSON file; `place` is the number of the object in its list."""
    with path.open("rb") as file:
        encoding, is_guess = find_encoding(file.read(_LOOK_BYTES))
        file.seek(0)
        notes = note_guess(encoding if is_guess else "")
        values = JsonValues(io.TextIOWrapper(file, encoding=encoding, errors=HALVE, newline=""))
        is_list = values.is_list

        def read(number: int, record: Any) -> Document | BadDocument:
            found = _read_value(
                record, source=source, place=f"record {number}" if is_list or number > 1 else "", fields=fields
            )
            if isinstance(record, dict) and number == 1 and isinstance(found, Document):
                found = replace(found, notes=notes)
            return replace(found, read_bytes=file.tell())

        yield from map(read, count(1), values)


def _read_line(line: str, *, source: str, place: str, fields: RecordFields) -> Document | BadDocument:
    if has_many_values(line):
        return BadDocument(source=source, place=place, reason=TOO_MANY_VALUES)
    try:
        record = json.loads(line, strict=False)  # tabs in a text may be written as they are
    except (ValueError, RecursionError):  # a number with thousands of digits is a ValueError, too
        return BadDocument(source=source, place=place, reason="it is not JSON")
    return _read_value(record, source=source, place=place, fields=fields)


def _read_value(record: Any, *, source: str, place: str, fields: RecordFields) -> Document | BadDocument:
    if isinstance(record, BadValue):
        return BadDocument(source=source, place=place, reason=record.reason)
    if not isinstance(record, dict):
        return BadDocument(source=source, place=place, reason="it is not a JSON object")
    return fields.to_document(cast("dict[str, Any]", record), source=source, place=place)


class _Lines:
    """The lines of a file, each with the encoding that was guessed for it, or an empty one; None for one too long.

    A line that is not UTF-8 is read in the encoding guessed from the whole file, or from the line if the rest is UTF-8.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sample = file.read(SAMPLE_BYTES)
        file.seek(0)
        self.read_bytes = 0
        self._guessed = ""

    def __iter__(self) -> Iterator[tuple[str | None, str]]:
        encoding = find_encoding(self._sample)[0] if self._sample[:4].count(0) or self._sample[:2] in _MARKS else ""
        if encoding.startswith(("utf-16", "utf-32")):
            with io.TextIOWrapper(self._file, encoding=encoding, errors=HALVE) as text:
                for line, length in _cut_lines(text, "\n"):
                    self.read_bytes += length * _WIDTHS[encoding[:6]]
                    yield line, ""
            return
        yield from map(self._decode, _cut_lines(self._file, b"\n"))

    def _decode(self, found: tuple[bytes | None, int]) -> tuple[str | None, str]:
        line, length = found
        self.read_bytes += length
        if line is None:
            return None, ""
        try:
            return line.decode("utf-8-sig"), ""
        except UnicodeDecodeError:
            is_damaged = is_damaged_utf8(line)
            self._guessed = self._guessed if self._guessed or is_damaged else self._guess(line)
            encoding = "" if is_damaged else self._guessed
            return line.decode(encoding or "utf-8", errors=HALVE), encoding

    def _guess(self, line: bytes) -> str:
        for data in (self._sample, line):
            try:
                encoding, is_guess = find_encoding(data)
            except UnreadableDocument:
                continue
            if is_guess:
                return encoding
        return ""


def _cut_lines(file: IO[AnyStr], end: AnyStr) -> Iterator[tuple[AnyStr | None, int]]:
    """Return the lines and their lengths; None for one that is too long."""

    def read() -> tuple[AnyStr | None, int] | None:
        if not (line := file.readline(MAX_LINE_BYTES)):
            return None
        length = len(line)
        if length < MAX_LINE_BYTES or line.endswith(end):
            return line, length
        while not line.endswith(end) and (line := file.readline(SAMPLE_BYTES)):
            length += len(line)
        return None, length

    return iter(read, None)


def _read_table(path: Path, source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    with path.open("rb") as file:
        table = open_table(file, fields.names_text, is_tab_separated=path.suffix.lower() == ".tsv")
        notes = (*table.notes, *_note_missing(fields, table.names))
        if table.text_names and not fields.joined_text:
            fields = replace(fields, joined_text=table.text_names)
        try:
            for number, row in enumerate(table.rows(), start=1):
                found = _read_row(row, source=source, place=f"row {number}", fields=fields)
                if notes and isinstance(found, Document):
                    found, notes = replace(found, notes=notes), ()
                yield replace(found, read_bytes=file.tell())
        finally:
            table.text.detach()


def _note_missing(fields: RecordFields, columns: Iterable[str]) -> tuple[Note, ...]:
    """Return a note about columns of the text that a table does not have, beside those that it has."""
    known = {name.lower() for name in columns}
    missing = [name for name in fields.joined_text if name.lower() not in known]
    if not missing or len(missing) == len(fields.joined_text):  # without any, each row says so
        return ()
    return (Note(reason=f"it has no column {' or '.join(missing)}"),)


def _read_row(row: TableRow, *, source: str, place: str, fields: RecordFields) -> Document | BadDocument:
    if row.reason:
        return BadDocument(source=source, place=place, reason=row.reason)
    return fields.to_document(row.values, source=source, place=place)


def _read_parquet(path: Path, source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependency("Parquet needs more packages.", extra="milvus") from error
    try:
        # Ahead of its rows, a whole group of them would be read, which may be the whole file.
        with parquet.ParquetFile(path, buffer_size=_READ_AHEAD_BYTES, pre_buffer=False) as file:
            said = cast("dict[bytes, bytes]", file.schema_arrow.metadata or {})
            if any(name.startswith(b"gemvec.") for name in said):
                raise UnreadableDocument("it is an export of a collection; `gemvec import` reads it")
            done, total, size = 0, max(cast("int", file.metadata.num_rows), 1), path.stat().st_size
            for rows in cast("Iterator[Any]", file.iter_batches(batch_size=_count_rows_at_once(file.metadata))):
                for record in rows.to_pylist() if rows.nbytes < _ROWS_BYTES else _one_by_one(rows):
                    done += 1
                    found = fields.to_document(record, source=source, place=f"row {done}")
                    yield replace(found, read_bytes=size * done // total)
    except cast("type[Exception]", pa.ArrowInvalid) as error:
        raise UnreadableDocument(f"it is not Parquet: {error}") from error


def _count_rows_at_once(metadata: Any) -> int:
    """Return how many rows of a Parquet file to read at once: fewer where they are long."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    longest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(_ROWS_AT_ONCE, _ROWS_BYTES // max(longest, 1)))


def _one_by_one(rows: Any) -> Iterator[dict[str, Any]]:
    return (rows.slice(number, 1).to_pylist()[0] for number in range(rows.num_rows))


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((name for name in names if record.get(name) not in (None, "")), None)
    if found is None:
        lower = {name.lower(): name for name in record if record[name] not in (None, "")}
        found = next((lower[name.lower()] for name in names if name.lower() in lower), None)
    return found


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict | bytes)


def _decode(value: bytes) -> str | bytes:
    """Return text that a program has stored as bytes; other bytes as they are."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _hash(record: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(dict(record), sort_keys=True, default=str).encode(), digest_size=12).hexdigest()
