"""Files that hold many documents: JSON Lines, CSV and Parquet, one document a record."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from io import StringIO
from pathlib import Path
from typing import IO, Any, cast

from gemvec.documents.document import BadDocument, Document, to_json
from gemvec.documents.readers import UnreadableDocument, decode
from gemvec.errors import MissingDependency

RECORD_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFields:
    """Which fields of a record mean what; the first one that a record has counts. All others become metadata."""

    text: tuple[str, ...] = ("text", "content", "body", "passage")
    id: tuple[str, ...] = ("id", "_id", "document_id", "key")
    title: tuple[str, ...] = ("title",)

    def to_document(self, record: Mapping[str, Any], *, source: str, place: str) -> Document | BadDocument:
        """Return the document that `record` describes.

        Its id is `source#id`; without an id, a hash of the record, so that it stays the same when lines move.
        """
        text_field, id_field, title_field = (_first(record, names) for names in (self.text, self.id, self.title))
        document_id = f"{source}#{record[id_field]}" if id_field and not _is_nested(record[id_field]) else ""
        for name in (text_field, id_field, title_field):
            if name and _is_nested(record[name]):
                return BadDocument(source=source, place=place, reason=f"its field {name!r} is no text", id=document_id)
        if text_field is None:
            return BadDocument(source=source, place=place, reason=self._say_no_text(record), id=document_id)
        return Document(
            id=document_id or f"{source}#{_hash(record)}",
            text=str(record[text_field]),
            title=str(record[title_field]) if title_field else "",
            source=source,
            metadata={name: to_json(value) for name, value in record.items() if name not in {text_field, title_field}},
            place=place,
        )

    def _say_no_text(self, record: Mapping[str, Any]) -> str:
        empty = next((name for name in self.text if name in record), None)
        return f"its field {empty!r} is empty" if empty else f"it has no field {' or '.join(self.text)}"


def read_records(path: Path, source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    """Yield the documents of a `.jsonl`, `.csv` or `.parquet` file; `read_bytes` counts from the file's beginning.

    Raises:
        UnreadableDocument: the file as a whole is not what its name says.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            yield from _read_parquet(path, source, fields)
        elif kind == ".csv":
            yield from _read_csv(path, source, fields)
        else:
            with path.open("rb") as file:
                yield from read_json_lines(file, source, fields)
    except OSError as error:
        raise UnreadableDocument(f"it cannot be read: {error.strerror}") from error


def read_json_lines(file: IO[bytes], source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    """Yield one document a line; a line that is no JSON object is a bad document."""
    read_bytes = 0
    for number, line in enumerate(file, start=1):
        read_bytes += len(line)
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            record = json.loads(decode(line))
        except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError, too
            yield BadDocument(source=source, place=place, reason="it is not JSON", read_bytes=read_bytes)
            continue
        if not isinstance(record, dict):
            yield BadDocument(source=source, place=place, reason="it is not a JSON object", read_bytes=read_bytes)
            continue
        found = fields.to_document(cast("dict[str, Any]", record), source=source, place=place)
        yield replace(found, read_bytes=read_bytes)


def _read_csv(path: Path, source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    # Passages are longer than the csv module's default of 128 KiB a field.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    text = decode(path.read_bytes())
    try:
        for number, record in enumerate(csv.DictReader(StringIO(text, newline="")), start=1):
            named = {name: value for name, value in record.items() if name}
            yield replace(
                fields.to_document(named, source=source, place=f"row {number}"), read_bytes=path.stat().st_size
            )
    except csv.Error as error:
        raise UnreadableDocument(f"it is not CSV: {error}") from error


def _read_parquet(path: Path, source: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependency("Parquet needs more packages.", extra="milvus") from error
    try:
        with parquet.ParquetFile(path) as file:
            said = cast("dict[bytes, bytes]", file.schema_arrow.metadata or {})
            if any(name.startswith(b"gemvec.") for name in said):
                raise UnreadableDocument("it is an export of a collection; `gemvec import` reads it")
            done, total, size = 0, max(cast("int", file.metadata.num_rows), 1), path.stat().st_size
            for rows in cast("Iterator[Any]", file.iter_batches(batch_size=1024)):
                for record in cast("list[dict[str, Any]]", rows.to_pylist()):
                    done += 1
                    found = fields.to_document(record, source=source, place=f"row {done}")
                    yield replace(found, read_bytes=size * done // total)
    except cast("type[Exception]", pa.ArrowInvalid) as error:
        raise UnreadableDocument(f"it is not Parquet: {error}") from error


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if record.get(name) not in (None, "")), None)


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict)


def _hash(record: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(dict(record), sort_keys=True, default=str).encode(), digest_size=12).hexdigest()
