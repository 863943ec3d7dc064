"""Where documents come from, as the user names them: files, folders, addresses and standard input: `Sources`."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

from gemvec.documents.document import BadDocument, Document, UnreadDocument, explain_unread
from gemvec.documents.file_places import FilePlace, StandardInput
from gemvec.documents.ignore import IGNORE_FILES, Filters
from gemvec.documents.languages import CODE_NOT_ASKED_FOR
from gemvec.documents.place import Found, Place
from gemvec.documents.records import RecordFields
from gemvec.documents.remote import Remote
from gemvec.documents.root import Root
from gemvec.documents.scope import STANDARD_INPUT, AddressScope, AnyScope, find_fixed_part, find_scope
from gemvec.documents.walk import LeftOut, LeftOutFolder, Walk
from gemvec.errors import InvalidRequest


class Sources:
    """The documents of some sources, in a stable order; each file only once, even if several sources name it.

    Args:
        sources: folders (searched through, hidden and unknown files left out), globs, files, `-` for standard input,
            and addresses: of buckets (`s3://`, `gs://`, `az://`), of pages and sitemaps (`https://`), and of Git
            repositories (`https://HOST/NAME.git`); one string is one source.
        fields: the fields of records that have a meaning.
        standard_input: what `-` reads; the standard input of the process when None.
        root: the folder that document names are relative to; the current folder when None.
        own: files and folders of gemvec itself, which are never read.
        may_be_gone: treat a source that does not exist as one without documents.
        filters: which files of folders and globs are meant; a file that is named itself is always read, if it is no
            source code or code is asked for.
        remote: what fetches sources that are not files; one with its usual limits when None.

    Attributes:
        is_root_given: whether the caller has named the root.
        filters: as given.
        scopes: the documents that belong to the sources; not those of a source of which a part could not be listed.
        gone: the sources that do not exist, as they were given, with their scopes.
        left_out: what was found in folders and not read.
        total_files: number of files to read.
        total_bytes: the size of all files, about.

    Raises:
        InvalidRequest: a source does not exist, and `may_be_gone` is False; it is empty; or it is of a kind that is
            not read.
        TransportFailure, StorageFailure, FailedPrecondition, BadSetting: see `Remote.open`.
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
        remote: Remote | None = None,
    ) -> None:
        self._fields = fields or RecordFields()
        self._standard_input = standard_input
        self._root = Root.of(root or ".")
        self.is_root_given = root is not None
        self.filters = filters or Filters()
        self._walk = Walk([path.expanduser().resolve() for path in own], self.filters)
        self._may_be_gone = may_be_gone
        self._remote = remote
        self._remote_left_out: list[LeftOut] = []
        self._refused: list[BadDocument] = []
        self._places: dict[str, Place] = {}
        self.scopes: list[AnyScope] = []
        self.gone: dict[str, AnyScope] = {}
        for source in [sources] if isinstance(sources, str) else sources:
            self._add(source)
        self.total_files = sum(not isinstance(place, StandardInput) for place in self._places.values())
        self.total_bytes = sum(place.size_bytes for place in self._places.values())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read, and nothing that could not be read."""
        return not self._places and not self._walk.errors and not self._refused

    @property
    def root(self) -> Path:
        """The folder that document names are relative to, an absolute path."""
        return self._root.path

    @property
    def left_out(self) -> LeftOut:
        """What was found in folders and not read."""
        found = self._walk.left_out
        folders = [replace(each, source=self._name_folder(Path(each.source))) for each in found.folders]
        folders = list(dict.fromkeys(folders))  # several sources may hold one
        whole = LeftOut(files=found.files.copy(), ignored=found.ignored.copy(), folders=folders)
        for each in self._remote_left_out:
            whole.add(each)
        return whole

    def __iter__(self) -> Iterator[Document | BadDocument]:
        """Read everything; what cannot be read is a `BadDocument`."""
        for each in self.unread():
            yield replace(each.read(), read_bytes=each.read_bytes) if isinstance(each, UnreadDocument) else each

    def unread(self) -> Iterator[Found]:
        """Yield everything, but leave to the caller whether to parse the files that take long."""
        done = 0
        for error in self._walk.errors:
            source = self._root.name(Path(str(error.filename)))
            what = "it" if Path(str(error.filename)).name in IGNORE_FILES else "the folder"
            yield BadDocument(source=source, reason=f"{what} cannot be read: {error.strerror}")
        yield from self._refused
        for place in self._places.values():
            # No name here may hold a document, which may be large, while its passages are embedded.
            yield from map(partial(_count_from, done), self._read(place))
            done += place.size_bytes

    def _add(self, source: str) -> None:
        scope = find_scope(source, self._root, self.filters)
        if isinstance(scope, AddressScope):
            self._add_address(scope)
            return
        path = Path(source).expanduser()
        if source == STANDARD_INPUT:
            self._places[STANDARD_INPUT] = StandardInput(self._standard_input)
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

    def _name_folder(self, folder: Path) -> str:
        """Return the name of a folder; of a link to one, its own name and not that of the other folder."""
        if not os.path.islink(folder):  # noqa: PTH114 # pathlib raises where a path is too long
            return self._root.name(folder)
        return (Path(self._root.name(folder.parent)) / folder.name).as_posix()

    def _add_address(self, scope: AddressScope) -> None:
        """Find what a source consists of that is not a file; if a part of it is not known, nothing of it is gone."""
        address = scope.address
        self._remote = self._remote or Remote()
        found = self._remote.open(address, self.filters)
        if found.is_missing and not self._may_be_gone:
            raise InvalidRequest(f"There is nothing at {address.url!r}.", field="source")
        if found.is_missing:
            self.gone[address.url] = scope
        for place in found.places:
            self._places.setdefault(place.name, place)
        self._remote_left_out.append(found.left_out)
        self._refused += found.bad
        if not found.bad:
            self.scopes.append(scope)

    def _add_file(self, path: Path) -> None:
        name = self._root.name(path)
        self._places[name] = FilePlace.of(path, name)

    def _add_folder(self, path: Path) -> None:
        if reason := self._walk.find_owner(path):
            self._walk.left_out.folders.append(LeftOutFolder(source=str(path), reason=reason))
        else:
            for each in self._walk.find(path):
                self._add_file(each)

    def _add_files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if reason := self._walk.find_owner(path):
                folder = LeftOutFolder(source=str(path.parent), reason=reason)
                if folder not in self._walk.left_out.folders:
                    self._walk.left_out.folders.append(folder)
            elif not self.filters.reads(path):
                name = self._root.name(path)
                self._refused.append(BadDocument(source=name, id=name, reason=CODE_NOT_ASKED_FOR))
            else:
                self._add_file(path)

    def _read(self, place: Place) -> Iterator[Found]:
        try:
            yield from place.read(self._fields)
        except Exception as error:  # noqa: BLE001 # a broken document fails anywhere inside the library that reads it
            yield explain_unread(error, place.name)


def _count_from(start: int, found: Found) -> Found:
    """Return what was found in a place that starts after so many bytes of the sources."""
    return replace(found, read_bytes=start + found.read_bytes) if start else found
