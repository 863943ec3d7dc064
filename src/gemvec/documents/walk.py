"""The files of a folder that are documents, and what is left out: `walk`, `LeftOut`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gemvec.documents.readers import READERS
from gemvec.documents.records import RECORD_SUFFIXES

SUFFIXES = frozenset(READERS) | frozenset(RECORD_SUFFIXES)
_NAMED_FOLDERS = {"node_modules": "packages of Node.js", "__pycache__": "compiled Python"}
HIDDEN, NO_SUFFIX = "hidden", "no suffix"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutFolder:
    """A folder that was not searched, and why."""

    source: str
    reason: str


@dataclass(slots=True, kw_only=True)
class LeftOut:
    """What was found in folders and not read.

    Attributes:
        files: numbers of files without a reader, by suffix in lower case, `no suffix` and `hidden`.
        folders: folders that were not searched.
    """

    files: Counter[str] = field(default_factory=Counter[str])
    folders: list[LeftOutFolder] = field(default_factory=list[LeftOutFolder])

    @property
    def unknown_files(self) -> int:
        """Number of files without a reader, hidden ones not counted."""
        return self.files.total() - self.files[HIDDEN]


class Walk:
    """Finds the files to read below folders.

    Args:
        own: files and folders of gemvec itself (absolute, without links): databases, caches, reports.

    Attributes:
        left_out: what was found and not read.
        errors: folders that cannot be read.
    """

    def __init__(self, own: Collection[Path] = ()) -> None:
        self._own = frozenset(own)
        self.left_out = LeftOut()
        self.errors: list[OSError] = []

    def find(self, folder: Path) -> Iterator[Path]:
        """Yield the files to read; also broken links, so that they are reported, but no pipes, which never end."""
        for root, folders, files in os.walk(folder, onerror=self.errors.append):
            place = Path(root)
            folders[:] = [name for name in sorted(folders) if self._enters(place / name)]
            for name in sorted(files):
                path = place / name
                if self._reads(path) and (path.is_file() or not path.exists()):
                    yield path

    def find_owner(self, path: Path) -> str | None:
        """Return why `path` is gemvec's own file or folder, or None if it is not."""
        real = Path(os.path.realpath(path))
        for each in (real, *real.parents):
            if each in self._own:
                return "gemvec keeps its own data there"
            if _is_lite_database(each):
                return "it is a Milvus Lite database"
        return None

    def _enters(self, path: Path) -> bool:
        reason = self._find_reason(path)
        if reason:
            self.left_out.folders.append(LeftOutFolder(source=str(path), reason=reason))
        return reason is None

    def _find_reason(self, path: Path) -> str | None:
        if path.name.startswith("."):
            return "hidden"
        if path.name in _NAMED_FOLDERS:
            return _NAMED_FOLDERS[path.name]
        if Path(os.path.realpath(path)) in self._own:
            return "gemvec keeps its own data there"
        if _is_lite_database(path):
            return "it is a Milvus Lite database"
        if _has_file(path, "pyvenv.cfg"):
            return "a virtual environment of Python"
        return "marked as a cache by CACHEDIR.TAG" if _has_file(path, "CACHEDIR.TAG") else None

    def _reads(self, path: Path) -> bool:
        if path.name.startswith("."):
            self.left_out.files[HIDDEN] += 1
            return False
        if Path(os.path.realpath(path)) in self._own:
            return False
        if path.suffix.lower() not in SUFFIXES:
            self.left_out.files[path.suffix.lower() or NO_SUFFIX] += 1
            return False
        return True


def _is_lite_database(path: Path) -> bool:
    """Whether `path` is a folder with a Milvus Lite database, whose files are Parquet, too."""
    return _has_file(path, "LOCK") and os.path.isdir(path / "collections")  # noqa: PTH112 # see `_has_file`


def _has_file(folder: Path, name: str) -> bool:
    # pathlib raises where a path is too long.
    return os.path.isfile(folder / name)  # noqa: PTH113
