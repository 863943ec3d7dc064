"""Where documents come from: folders, globs, files and standard input, as the user names them: `Sources`."""

from __future__ import annotations

import glob
import io
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

from gemvec.documents.document import BadDocument, Document, UnreadDocument
from gemvec.documents.ignore import IGNORE_FILES, Filters
from gemvec.documents.readers import Reader, decode, find_reader, read_bytes
from gemvec.documents.records import RECORD_SUFFIXES, RecordFields, read_json_lines, read_records
from gemvec.documents.root import Root
from gemvec.documents.scope import STANDARD_INPUT, STANDARD_INPUT_NAME, Scope, find_fixed_part
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.walk import LeftOut, LeftOutFolder, Walk
from gemvec.errors import GemvecError, InvalidRequest, MissingDependency


class Sources:
    """The documents of some sources, in a stable order; each file only once, even if several sources name it.

    Args:
        sources: folders (searched through, hidden and unknown files left out), globs, files, `-` for standard input;
            one string is one source.
        fields: the fields of records that have a meaning.
        standard_input: what `-` reads; the standard input of the process when None.
        root: the folder that document names are relative to; the current folder when None.
        own: files and folders of gemvec itself, which are never read.
        may_be_gone: treat a source that does not exist as one without documents.
        filters: which files of folders and globs are meant; a file that is named itself is always read.

    Attributes:
        is_root_given: whether the caller has named the root.
        scopes: the documents that belong to the sources.
        gone: the sources that do not exist, as they were given, with their scopes.
        left_out: what was found in folders and not read.
        total_files: number of files to read.
        total_bytes: the size of all files.

    Raises:
        InvalidRequest: a source does not exist, and `may_be_gone` is False.
    """

    def __init__(
        self,
        sources: Sequence[str],
        *,
        fields: RecordFields | None = None,
        standard_input: IO[bytes] | None = None,
        root: Path | str | None = None,
        own: Collection[Path] = (),
        may_be_gone: bool = False,
        filters: Filters | None = None,
    ) -> None:
        self._fields = fields or RecordFields()
        self._standard_input = standard_input
        self._root = Root.of(root or ".")
        self.is_root_given = root is not None
        self._filters = filters or Filters()
        self._walk = Walk([path.expanduser().resolve() for path in own], self._filters)
        self._may_be_gone = may_be_gone
        self._paths: list[Path | None] = []
        self.scopes: list[Scope] = []
        self.gone: dict[str, Scope] = {}
        for source in [sources] if isinstance(sources, str) else sources:
            self._add(source)
        named = {self._root.name(path) if path else STANDARD_INPUT: path for path in self._paths}
        self._paths = list(named.values())
        self.total_files = sum(path is not None for path in self._paths)
        self.total_bytes = sum(_count_bytes(path) for path in self._paths if path)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read, and nothing that could not be read."""
        return not self._paths and not self._walk.errors

    @property
    def root(self) -> Path:
        """The folder that document names are relative to, an absolute path."""
        return self._root.path

    @property
    def left_out(self) -> LeftOut:
        """What was found in folders and not read."""
        found = self._walk.left_out
        folders = [replace(each, source=self._root.name(Path(each.source))) for each in found.folders]
        return LeftOut(files=found.files, ignored=found.ignored, folders=folders)

    def __iter__(self) -> Iterator[Document | BadDocument]:
        """Read everything; what cannot be read is a `BadDocument`."""
        for each in self.unread():
            yield replace(each.read(), read_bytes=each.read_bytes) if isinstance(each, UnreadDocument) else each

    def unread(self) -> Iterator[Document | BadDocument | UnreadDocument]:
        """Yield everything, but leave to the caller whether to parse the files that take long."""
        done = 0
        for error in self._walk.errors:
            source = self._root.name(Path(str(error.filename)))
            what = "it" if Path(str(error.filename)).name in IGNORE_FILES else "the folder"
            yield BadDocument(source=source, reason=f"{what} cannot be read: {error.strerror}")
        for path in self._paths:
            for found in self._read(path):
                yield replace(found, read_bytes=done + found.read_bytes) if done else found
            done += _count_bytes(path) if path else 0

    def _add(self, source: str) -> None:
        scope = Scope.of(source, self._root, self._filters)
        path = Path(source).expanduser()
        if source == STANDARD_INPUT:
            self._paths.append(None)
        elif path.is_dir():
            self._add_folder(path)
        elif os.path.lexists(path):
            self._add_files([path])
        elif found := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 # Path.glob takes no absolute pattern
            files = [each for name in found if (each := Path(name)).is_file() or not each.exists()]
            self._add_files(list(self._walk.filter(Path(find_fixed_part(path)), files)))
        elif self._may_be_gone:
            self.gone[source] = scope
        else:
            raise InvalidRequest(f"There is no file, folder or match for {source!r}.", field="source")
        self.scopes.append(scope)

    def _add_folder(self, path: Path) -> None:
        if reason := self._walk.find_owner(path):
            self._walk.left_out.folders.append(LeftOutFolder(source=str(path), reason=reason))
        else:
            self._paths.extend(self._walk.find(path))

    def _add_files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if reason := self._walk.find_owner(path):
                folder = LeftOutFolder(source=str(path.parent), reason=reason)
                if folder not in self._walk.left_out.folders:
                    self._walk.left_out.folders.append(folder)
            else:
                self._paths.append(path)

    def _read(self, path: Path | None) -> Iterator[Document | BadDocument | UnreadDocument]:
        if path is None:
            yield from self._read_standard_input()
            return
        source = self._root.name(path)
        try:
            if path.suffix.lower() in RECORD_SUFFIXES:
                yield from read_records(path, source, self._fields)
            elif (reader := find_reader(path)).is_slow:
                yield UnreadDocument(
                    id=source,
                    source=source,
                    content=reader.digest(read_bytes(path)),
                    read=partial(_read_file, path, source),
                    read_bytes=_count_bytes(path),
                )
            else:
                yield _to_document(path, source, reader)
        except Exception as error:  # noqa: BLE001 # a broken document fails anywhere inside the library that reads it
            yield _to_bad(error, source)

    def _read_standard_input(self) -> Iterator[Document | BadDocument]:
        """JSON Lines if the first line is a JSON object, otherwise one document."""
        data = (self._standard_input or sys.stdin.buffer).read()
        if _is_json_object(data.split(b"\n", 1)[0]):
            yield from read_json_lines(io.BytesIO(data), STANDARD_INPUT_NAME, self._fields)
            return
        try:
            text, notes = decode(data)
        except UnreadableDocument as error:
            yield BadDocument(source=STANDARD_INPUT_NAME, reason=str(error))
            return
        yield Document(id=STANDARD_INPUT_NAME, text=text, source=STANDARD_INPUT_NAME, format="markdown", notes=notes)


def _count_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it says why
        return 0


def _read_file(path: Path, source: str) -> Document | BadDocument:
    try:
        return _to_document(path, source, find_reader(path))
    except Exception as error:  # noqa: BLE001 # as above
        return _to_bad(error, source)


def _to_bad(error: Exception, source: str) -> BadDocument:
    """Return why a file is left out; raise what concerns more than this file."""
    if isinstance(error, UnreadableDocument | MissingDependency):
        return BadDocument(source=source, reason=str(error))
    if isinstance(error, GemvecError):
        raise error
    return BadDocument(source=source, reason=f"it cannot be read: {str(error) or type(error).__name__}")


def _to_document(path: Path, source: str, reader: Reader) -> Document:
    data = read_bytes(path)
    read = reader.read(data)
    return Document(
        id=source,
        text=read.text,
        title=read.title or path.stem,
        source=source,
        format=read.format,
        metadata=read.metadata,
        page_starts=read.page_starts,
        page_names=read.page_names,
        has_lines=read.has_lines,
        notes=read.notes,
        content=reader.digest(data) if reader.is_slow else "",
        read_bytes=len(data),
    )


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
