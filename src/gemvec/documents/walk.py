"""The files of a folder that are documents, and what is left out: `walk`, `LeftOut`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gemvec.documents.ignore import Filters, IgnoreFiles
from gemvec.documents.languages import is_code
from gemvec.documents.readers import READERS_BY_SUFFIX
from gemvec.documents.records import RECORD_SUFFIXES

SUFFIXES = frozenset(READERS_BY_SUFFIX) | frozenset(RECORD_SUFFIXES)
NAMED_FOLDERS = {
    "node_modules": "packages of Node.js",
    "bower_components": "packages of Bower",
    "site-packages": "packages of Python",
    "__pycache__": "compiled Python",
}
# Folders that a build makes, by what is beside them: without that, they may contain anything.
BUILT_FOLDERS = {
    "build": ("pyproject.toml", "setup.py", "package.json", "CMakeLists.txt", "build.gradle", "build.gradle.kts"),
    "dist": ("pyproject.toml", "setup.py", "package.json"),
    "target": ("Cargo.toml", "pom.xml", "build.sbt"),
    "vendor": ("go.mod", "composer.json"),
    "_build": ("conf.py", "Makefile", "mix.exs", "dune-project"),
    "_site": ("_config.yml", "_config.toml"),
}
HIDDEN, NO_SUFFIX, NO_FILE, EMPTY = "hidden", "no suffix", "pipes and sockets", "being empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutFolder:
    """A folder that was not searched, and why."""

    source: str
    reason: str


@dataclass(slots=True, kw_only=True)
class LeftOut:
    """What was found in folders and not read.

    Attributes:
        files: numbers of files without a reader, by suffix in lower case, `no suffix`, `hidden`, `pipes and sockets`.
        ignored: numbers of files that rules leave out, by the ignore file or the option that says so.
        folders: folders that were not searched.
    """

    files: Counter[str] = field(default_factory=Counter[str])
    ignored: Counter[str] = field(default_factory=Counter[str])
    folders: list[LeftOutFolder] = field(default_factory=list[LeftOutFolder])

    @property
    def unknown_files(self) -> int:
        """Number of files without a reader, hidden ones not counted."""
        return self.files.total() - self.files[HIDDEN]

    def add(self, other: LeftOut) -> None:
        """Add what was left out elsewhere."""
        self.files += other.files
        self.ignored += other.ignored
        self.folders += other.folders


class Walk:
    """Finds the files to read below folders.

    Args:
        own: files and folders of gemvec itself (absolute, without links): databases, caches, reports.
        filters: which files are asked for.

    Attributes:
        left_out: what was found and not read.
        errors: folders and ignore files that cannot be read.
    """

    def __init__(self, own: Collection[Path] = (), filters: Filters | None = None) -> None:
        self._own = frozenset(own)
        self._filters = filters or Filters()
        self.left_out = LeftOut()
        self._counted: set[int] = set()  # hashes of paths, which may be very many
        self.errors: list[OSError] = []

    def find(self, folder: Path) -> Iterator[Path]:
        """Yield the files to read; also broken links, so that they are reported, but no pipes, which never end."""
        rules = _Rules(folder, self._filters)
        for root, folders, files in os.walk(folder, onerror=self.errors.append):
            place = Path(root)
            folders[:] = [name for name in sorted(folders) if self._enters(place / name, rules)]
            for name in sorted(files):
                path = place / name
                if not self._reads(path, rules):
                    continue
                if path.is_file() or not path.exists():
                    yield path
                else:
                    self._count(self.left_out.files, NO_FILE, path)
        self.errors.extend(rules.ignore_files.errors)

    def find_owner(self, path: Path) -> str | None:
        """Return why `path` is gemvec's own file or folder, or None if it is not."""
        real = Path(os.path.realpath(path))
        for each in (real, *real.parents):
            if each in self._own:
                return "gemvec keeps its own data there"
            if _is_lite_database(each):
                return "it is a Milvus Lite database"
        return None

    def filter(self, folder: Path, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield those of `paths` that the filters take, and count the others; patterns are relative to `folder`."""
        base = Path(os.path.abspath(folder))  # noqa: PTH100 # resolve() would follow links
        for path in paths:
            whole = Path(os.path.abspath(path))  # noqa: PTH100 # the same
            if reason := self._filters.find_reason(whole.relative_to(base)):
                self._count(self.left_out.ignored, reason, path)
            else:
                yield path

    def _enters(self, path: Path, rules: _Rules) -> bool:
        reason = self._find_reason(path)
        if reason is None and (rule := rules.find_reason(path, is_folder=True)):
            reason = f"left out by {rule}"
        if reason:
            self.left_out.folders.append(LeftOutFolder(source=str(path), reason=reason))
        return reason is None

    def _find_reason(self, path: Path) -> str | None:
        if path.name.startswith("."):
            return "hidden"
        if path.name in NAMED_FOLDERS:
            return NAMED_FOLDERS[path.name]
        if Path(os.path.realpath(path)) in self._own:
            return "gemvec keeps its own data there"
        is_link = os.path.islink(path)  # noqa: PTH114 # see `_has_file`
        return _find_kind(path) or ("a link to a folder" if is_link else None)

    def _reads(self, path: Path, rules: _Rules) -> bool:
        if path.name.startswith("."):
            self._count(self.left_out.files, HIDDEN, path)
            return False
        if Path(os.path.realpath(path)) in self._own:
            return False
        if reason := rules.find_reason(path):
            self._count(self.left_out.ignored, reason, path)
            return False
        if path.suffix.lower() not in SUFFIXES or not self._filters.reads(path):
            self._count(self.left_out.files, path.suffix.lower() or NO_SUFFIX, path)
            return False
        if is_code(path) and _is_empty(path):  # such as most `__init__.py`
            self._count(self.left_out.ignored, EMPTY, path)
            return False
        return True

    def _count(self, counts: Counter[str], name: str, path: Path) -> None:
        """Count a file, but only once if several sources hold it."""
        if (whole := hash(os.path.abspath(path))) not in self._counted:  # noqa: PTH100 # resolve() would follow links
            self._counted.add(whole)
            counts[name] += 1


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False  # reading it says why


def _find_kind(folder: Path) -> str | None:
    """Return what kind of folder it is, if that kind is never searched."""
    if _is_lite_database(folder):
        return "it is a Milvus Lite database"
    if _has_file(folder, "pyvenv.cfg"):
        return "a virtual environment of Python"
    signs = BUILT_FOLDERS.get(folder.name, ())
    if folder.suffix == ".egg-info" or any(_has_file(folder.parent, sign) for sign in signs):
        return "what a build has made"
    return "marked as a cache by CACHEDIR.TAG" if _has_file(folder, "CACHEDIR.TAG") else None


class _Rules:
    """What leaves out files and folders below one folder: the options, then the ignore files."""

    def __init__(self, folder: Path, filters: Filters) -> None:
        self._folder = folder
        self._filters = filters
        self._base = Path(os.path.abspath(folder))  # noqa: PTH100 # resolve() would follow links
        self.ignore_files = IgnoreFiles(self._base)

    def find_reason(self, path: Path, *, is_folder: bool = False) -> str | None:
        """Return what leaves `path` out, or None."""
        name = path.relative_to(self._folder)
        if reason := self._filters.find_reason(name, is_folder=is_folder):
            return reason
        file = self.ignore_files.find(self._base / name, is_folder=is_folder)
        if file is None:
            return None
        return str(self._folder / file.relative_to(self._base) if file.is_relative_to(self._base) else file)


def _is_lite_database(path: Path) -> bool:
    """Whether `path` is a folder with a Milvus Lite database, whose files are Parquet, too."""
    return _has_file(path, "LOCK") and os.path.isdir(path / "collections")  # noqa: PTH112 # see `_has_file`


def _has_file(folder: Path, name: str) -> bool:
    # pathlib raises where a path is too long.
    return os.path.isfile(folder / name)  # noqa: PTH113
