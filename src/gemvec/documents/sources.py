"""Where documents come from: folders, globs, files and standard input, as the user names them: `Sources`."""

from __future__ import annotations

import glob
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import IO

from gemvec.documents.document import BadDocument, Document
from gemvec.documents.readers import READERS, UnreadableDocument, decode, read_file
from gemvec.documents.records import RECORD_SUFFIXES, RecordFields, read_json_lines, read_records
from gemvec.errors import GemvecError, InvalidRequest

STANDARD_INPUT = "-"
_STANDARD_INPUT_NAME = "standard input"
_SUFFIXES = frozenset(READERS) | frozenset(RECORD_SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which of a collection's documents a source stands for, so that vanished ones can be told (`--prune`).

    Attributes:
        path: a folder, a file or a glob, as in the documents' `source`.
        is_folder: whether everything below `path` is meant.
    """

    path: str
    is_folder: bool = False

    def holds(self, source: str) -> bool:
        """Whether a document from `source` would be found again by reading this source."""
        if source == self.path:
            return True
        if self.is_folder and self.path == ".":
            return source != _STANDARD_INPUT_NAME and not PurePath(source).is_absolute()
        if self.is_folder:
            return source.startswith(self.path.rstrip("/") + "/")
        return glob.has_magic(self.path) and _matches(source.split("/"), self.path.split("/"))


class Sources:
    """The documents of some sources, in a stable order; each file once, however many sources name it.

    Args:
        sources: folders (searched through, hidden and unknown files left out), globs, files, `-` for standard input;
            one string is one source.
        fields: which fields of records mean what.
        standard_input: what `-` reads; the process' own when None.

    Raises:
        InvalidRequest: a source does not exist.
    """

    def __init__(
        self, sources: Sequence[str], *, fields: RecordFields | None = None, standard_input: IO[bytes] | None = None
    ) -> None:
        self._fields = fields or RecordFields()
        self._standard_input = standard_input
        self._paths: list[Path | None] = []
        self._unreadable: list[BadDocument] = []  # folders
        self.scopes: list[Scope] = []
        for source in [sources] if isinstance(sources, str) else sources:
            self._add(source)
        named = {name_source(path) if path else STANDARD_INPUT: path for path in self._paths}
        self._paths = list(named.values())
        self.total_bytes = sum(_count_bytes(path) for path in self._paths if path)

    def __iter__(self) -> Iterator[Document | BadDocument]:
        """Read everything; what cannot be read comes as a `BadDocument`."""
        done = 0
        yield from self._unreadable
        for path in self._paths:
            for found in self._read(path):
                yield replace(found, read_bytes=done + found.read_bytes)
            done += _count_bytes(path) if path else 0

    def _add(self, source: str) -> None:
        if source == STANDARD_INPUT:
            self._paths.append(None)
            self.scopes.append(Scope(path=_STANDARD_INPUT_NAME))
            return
        path = Path(source).expanduser()
        if path.is_dir():
            self._paths.extend(_walk(path, self._leave_out_folder))
            self.scopes.append(Scope(path=name_source(path), is_folder=True))
        elif path.exists():
            self._paths.append(path)
            self.scopes.append(Scope(path=name_source(path)))
        elif found := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 # Path.glob takes no absolute pattern
            self._paths.extend(each for name in found if (each := Path(name)).is_file())
            self.scopes.append(Scope(path=name_source(path)))
        else:
            raise InvalidRequest(f"There is no file, folder or match for {source!r}.", field="source")

    def _leave_out_folder(self, error: OSError) -> None:
        source = name_source(Path(str(error.filename)))
        self._unreadable.append(BadDocument(source=source, reason=f"the folder cannot be read: {error.strerror}"))

    def _read(self, path: Path | None) -> Iterator[Document | BadDocument]:
        if path is None:
            yield from self._read_standard_input()
            return
        source = name_source(path)
        try:
            if path.suffix.lower() in RECORD_SUFFIXES:
                yield from read_records(path, source, self._fields)
            else:
                yield _to_document(path, source)
        except UnreadableDocument as error:
            yield BadDocument(source=source, reason=str(error))
        except GemvecError:
            raise
        except Exception as error:  # noqa: BLE001 # a broken document fails anywhere inside the library that reads it
            yield BadDocument(source=source, reason=f"it cannot be read: {str(error) or type(error).__name__}")

    def _read_standard_input(self) -> Iterator[Document | BadDocument]:
        """JSON Lines when the first line is a JSON object, else one document."""
        data = (self._standard_input or sys.stdin.buffer).read()
        if _is_json_object(data.split(b"\n", 1)[0]):
            yield from read_json_lines(io.BytesIO(data), _STANDARD_INPUT_NAME, self._fields)
            return
        try:
            text = decode(data)
        except UnreadableDocument as error:
            yield BadDocument(source=_STANDARD_INPUT_NAME, reason=str(error))
            return
        yield Document(id=_STANDARD_INPUT_NAME, text=text, source=_STANDARD_INPUT_NAME, format="markdown")


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob; unlike fnmatch, `*` stays within one folder."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def name_source(path: Path) -> str:
    """Return how a path is written in a collection: from the current folder when inside it, else whole."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 # resolve() would follow links, and ids would change with them
    current = Path.cwd()
    return (absolute.relative_to(current) if absolute.is_relative_to(current) else absolute).as_posix()


def _count_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it says why
        return 0


def _walk(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the files to read; also a link to nowhere, so that it is reported, but no pipe, which never ends."""
    for root, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__", "node_modules")))
        for name in sorted(files):
            path = Path(root) / name
            is_known = not name.startswith(".") and path.suffix.lower() in _SUFFIXES
            if is_known and (path.is_file() or not path.exists()):
                yield path


def _to_document(path: Path, source: str) -> Document:
    read = read_file(path)
    return Document(
        id=source,
        text=read.text,
        title=read.title or path.stem,
        source=source,
        format=read.format,
        metadata=read.metadata,
        page_starts=read.page_starts,
        has_lines=read.has_lines,
        read_bytes=_count_bytes(path),
    )


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
