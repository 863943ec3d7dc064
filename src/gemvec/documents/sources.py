"""Where documents come from: folders, globs, files and standard input, as the user names them: `Sources`."""

from __future__ import annotations

import glob
import io
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import IO

from gemvec.documents.document import BadDocument, Document
from gemvec.documents.readers import decode, read_file
from gemvec.documents.records import RECORD_SUFFIXES, RecordFields, read_json_lines, read_records
from gemvec.documents.root import Root
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.walk import LeftOut, LeftOutFolder, Walk
from gemvec.errors import GemvecError, InvalidRequest

STANDARD_INPUT = "-"
_STANDARD_INPUT_NAME = "standard input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The documents of a collection that belong to a source, so that missing documents can be found (`--prune`).

    Attributes:
        path: a folder, a file or a glob: absolute, or `standard input`.
        root: the folder that document names are relative to.
        is_folder: whether everything below `path` is meant.
    """

    path: str
    root: Root
    is_folder: bool = False

    def holds(self, source: str) -> bool:
        """Whether reading this source would find a document from `source` again."""
        if _STANDARD_INPUT_NAME in {source, self.path}:
            return source == self.path
        if "://" in source or not source:  # a program's document, not from a file
            return False
        located = self.root.locate(source)
        if self.is_folder:
            return located.is_relative_to(self.path)
        return str(located) == self.path or (
            glob.has_magic(self.path) and _matches(located.parts, PurePath(self.path).parts)
        )


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
    ) -> None:
        self._fields = fields or RecordFields()
        self._standard_input = standard_input
        self._root = Root.of(root or ".")
        self.is_root_given = root is not None
        self._walk = Walk([path.expanduser().resolve() for path in own])
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
    def root(self) -> Path:
        """The folder that document names are relative to, an absolute path."""
        return self._root.path

    @property
    def left_out(self) -> LeftOut:
        """What was found in folders and not read."""
        found = self._walk.left_out
        folders = [replace(each, source=self._root.name(Path(each.source))) for each in found.folders]
        return LeftOut(files=found.files, folders=folders)

    def __iter__(self) -> Iterator[Document | BadDocument]:
        """Read everything; what cannot be read is a `BadDocument`."""
        done = 0
        for error in self._walk.errors:
            source = self._root.name(Path(str(error.filename)))
            yield BadDocument(source=source, reason=f"the folder cannot be read: {error.strerror}")
        for path in self._paths:
            for found in self._read(path):
                yield replace(found, read_bytes=done + found.read_bytes)
            done += _count_bytes(path) if path else 0

    def _add(self, source: str) -> None:
        if source == STANDARD_INPUT:
            self._paths.append(None)
            self.scopes.append(Scope(path=_STANDARD_INPUT_NAME, root=self._root))
            return
        path = Path(source).expanduser()
        if path.is_dir():
            self._add_folder(path)
        elif os.path.lexists(path):
            self._add_files([path])
            self.scopes.append(self._scope(path))
        elif found := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 # Path.glob takes no absolute pattern
            self._add_files([each for name in found if (each := Path(name)).is_file() or not each.exists()])
            self.scopes.append(self._scope_of_glob(path))
        elif self._may_be_gone:
            is_glob = glob.has_magic(source)
            self.gone[source] = self._scope_of_glob(path) if is_glob else self._scope(path, is_folder=True)
            self.scopes.append(self.gone[source])
        else:
            raise InvalidRequest(f"There is no file, folder or match for {source!r}.", field="source")

    def _add_folder(self, path: Path) -> None:
        self.scopes.append(self._scope(path, is_folder=True))
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

    def _scope(self, path: Path, *, is_folder: bool = False) -> Scope:
        return Scope(path=str(self._root.locate(self._root.name(path))), root=self._root, is_folder=is_folder)

    def _scope_of_glob(self, pattern: Path) -> Scope:
        """Return the scope of a glob; links are followed in the part before its first wildcard."""
        parts = pattern.parts
        first = next(place for place, part in enumerate(parts) if glob.has_magic(part))
        folder = Path(*parts[:first]).resolve()
        return Scope(path=str(folder.joinpath(*parts[first:])), root=self._root)

    def _read(self, path: Path | None) -> Iterator[Document | BadDocument]:
        if path is None:
            yield from self._read_standard_input()
            return
        source = self._root.name(path)
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
        """JSON Lines if the first line is a JSON object, otherwise one document."""
        data = (self._standard_input or sys.stdin.buffer).read()
        if _is_json_object(data.split(b"\n", 1)[0]):
            yield from read_json_lines(io.BytesIO(data), _STANDARD_INPUT_NAME, self._fields)
            return
        try:
            text, notes = decode(data)
        except UnreadableDocument as error:
            yield BadDocument(source=_STANDARD_INPUT_NAME, reason=str(error))
            return
        yield Document(id=_STANDARD_INPUT_NAME, text=text, source=_STANDARD_INPUT_NAME, format="markdown", notes=notes)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob; unlike fnmatch, `*` stays within one folder."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _count_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it says why
        return 0


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
        notes=read.notes,
        read_bytes=_count_bytes(path),
    )


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
