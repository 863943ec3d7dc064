"""What `gemvec batch create` reads: rows of a .csv or .parquet file, or lines of text, as requests to embed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemvec.errors import BadSetting, InvalidRequest, MissingDependency

if TYPE_CHECKING:
    from gemvec.client.batches import BatchClient
    from gemvec.embedding.embed import EmbedRequest
    from gemvec.embedding.task_type import TaskType
    from gemvec.wire.batches import EmbedContentBatch

Row = Mapping[str, Any]

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a table to read.

    Attributes:
        text: the column of texts.
        key: the column of keys, which are returned with the results; None for `key`, else `id`, else row numbers from
            0.
        title: the column of titles; None for `title`, if there is one. Only read if the task type takes titles.
    """

    text: str = "text"
    key: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInput:
    """The options of `gemvec batch create`.

    Attributes:
        model: the name to embed with.
        display_name: a human-readable name; None for the file's name.
        priority: int64; higher ones go first.
        columns: which columns of a table to read.
        task_type: name of the task type.
        dimensionality: number of values in each vector.
    """

    model: str
    display_name: str | None
    priority: int
    columns: Columns
    task_type: str | None
    dimensionality: int | None

    def create(self, client: BatchClient, source: str) -> EmbedContentBatch:
        """Create a batch from a file of requests, from the rows of a table, or from an uploaded file.

        Raises:
            BadSetting: the file has an unknown format, lacks a column, or has its options in its lines.
        """
        path = Path(source)
        if source.startswith("files/") and not path.exists():
            return self._create_from_file(client, source, source)
        if _is_table(path):
            return self._create_from_rows(client, path)
        if self.task_type is not None or self.dimensionality is not None:
            raise BadSetting(f"--task-type and --dimensionality cannot be used: each line of {path} has its own.")
        if not path.is_file():
            raise InvalidRequest(f"Cannot read {path}: there is no such file.", field="source")
        return self._create_from_file(client, path, path.name)

    def _create_from_file(self, client: BatchClient, file: str | Path, name: str) -> EmbedContentBatch:
        return client.create_from_file(self.model, file, display_name=self.display_name or name, priority=self.priority)

    def _create_from_rows(self, client: BatchClient, path: Path) -> EmbedContentBatch:
        from gemvec.client.config import parse_task_type

        task_type = parse_task_type(self.task_type)
        rows = read_rows(path, self.columns, task_type=task_type, dimensionality=self.dimensionality)
        keys, requests = tee(rows)
        return client.create(
            self.model,
            (request for _, request in requests),
            keys=(key for key, _ in keys),
            display_name=self.display_name or path.name,
            priority=self.priority,
        )


def read_rows(
    path: Path, columns: Columns, *, task_type: TaskType | None, dimensionality: int | None
) -> Iterator[tuple[str, EmbedRequest]]:
    """Yield the key and the request of each row; at most a few thousand rows are in memory.

    Raises:
        BadSetting: a column is missing.
        InvalidRequest: the file cannot be read.
        MissingDependency: the file is Parquet and pyarrow is not installed.
    """
    from gemvec.embedding.embed import EmbedRequest
    from gemvec.embedding.task_type import TaskType

    takes_title = task_type is TaskType.RETRIEVAL_DOCUMENT
    with _readable(path):
        for number, row in _READERS[path.suffix.lower()](path):
            cells = _Cells(path, row, columns)
            request = EmbedRequest(
                text=cells.text,
                task_type=task_type or TaskType.TASK_TYPE_UNSPECIFIED,
                title=cells.title if takes_title else None,
                output_dimensionality=dimensionality,
            )
            yield cells.key or str(number), request


def _is_table(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix not in {*_READERS, ".jsonl"}:
        raise BadSetting(f"{path} has an unknown format: expected .jsonl, {', '.join(sorted(_READERS))}.")
    return suffix in _READERS


class _Cells:
    """The values of one row that are used."""

    def __init__(self, path: Path, row: Row, columns: Columns) -> None:
        for option, name in (("text", columns.text), ("key", columns.key), ("title", columns.title)):
            if name is not None and name not in row:
                there = ", ".join(row)
                raise BadSetting(f"--{option}-column has value {name!r}: {path} has no such column, only {there}.")
        key = row.get("key", row.get("id")) if columns.key is None else row[columns.key]
        title = row.get(columns.title or "title")
        self.text = "" if row[columns.text] is None else str(row[columns.text])
        self.key = None if key is None else str(key)
        self.title = str(title) if title else None


def _read_text(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file):
            text = line.removesuffix("\n")
            if text:
                yield number, {"text": text}


def _read_csv(path: Path) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, restkey="", restval="")):
            yield number, {name: value for name, value in row.items() if name}


def _read_parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingDependency("Parquet needs pyarrow.", extra="milvus") from error
    number = 0
    with parquet.ParquetFile(path) as opened:
        file: Any = opened  # pyarrow has no types
        for group in file.iter_batches(_ROWS_AT_ONCE):
            for row in group.to_pylist():
                yield number, row
                number += 1


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    ".txt": _read_text,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


@contextmanager
def _readable(path: Path) -> Generator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(f"Cannot read {path}: {reason}.", field="source") from error
    except ValueError as error:  # pyarrow's errors are ValueErrors
        if not type(error).__module__.startswith("pyarrow"):
            raise
        raise InvalidRequest(f"Cannot read {path}: {error}.", field="source") from error
