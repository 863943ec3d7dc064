"""Rules that leave files out: `IgnoreFiles` for .gitignore and .gemvecignore, `Filters` for --include and --exclude."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath

from pathspec import GitIgnoreSpec

from gemvec.documents.languages import is_code
from gemvec.errors import InvalidRequest

# The first one decides if both have a rule for a file.
IGNORE_FILES = (".gemvecignore", ".gitignore")


@dataclass(frozen=True, slots=True)
class _Rules:
    file: Path
    spec: GitIgnoreSpec


class IgnoreFiles:
    """The ignore files that concern a folder: its own, those below it, and those above it in the same repository.

    A file in a deeper folder decides before one above it, as in git. Rules above that leave out the folder itself do
    not count, because the user has named it.

    Args:
        folder: where the search begins; absolute.

    Attributes:
        errors: ignore files that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.errors: list[OSError] = []
        self._known: dict[Path, list[_Rules]] = {}
        self._top = _find_repository(folder) or folder
        if any(self.find(each, is_folder=True) for each in (folder, *folder.parents) if each != self._top):
            self._top = folder

    def find(self, path: Path, *, is_folder: bool) -> Path | None:
        """Return the ignore file that leaves `path` out, or None."""
        if not path.is_relative_to(self._top):
            return None
        for folder in path.parents:
            for rules in self._read(folder):
                name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
                decision = rules.spec.check_file(name).include
                if decision is not None:
                    return rules.file if decision else None
            if folder == self._top:
                break
        return None

    def _read(self, folder: Path) -> list[_Rules]:
        if folder not in self._known:
            files = [folder / name for name in IGNORE_FILES]
            here = [file for file in files if os.path.isfile(file)]  # noqa: PTH113 # pathlib raises where a path is too long
            self._known[folder] = [_Rules(file, _parse(self._read_lines(file))) for file in here]
        return self._known[folder]

    def _read_lines(self, file: Path) -> list[str]:
        try:
            return file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        except OSError as error:
            self.errors.append(error)
            return []


@dataclass(frozen=True)
class Filters:
    """Which files of folders and globs a run is about. Patterns are written as in .gitignore.

    Attributes:
        include: only files that match one of these; all files when there are none.
        exclude: no files that match one of these, and nothing in folders that do.
        code: True to read source code (`gemvec[code]`); False to leave it out, so that pruning deletes what was indexed
            of it; None to leave it out and keep what was indexed.

    Raises:
        InvalidRequest: a pattern cannot be understood.
    """

    include: Sequence[str] = field(default=())
    exclude: Sequence[str] = field(default=())
    code: bool | None = None

    def __post_init__(self) -> None:
        for name, patterns in (("include", self.include), ("exclude", self.exclude)):
            for pattern in patterns:
                try:
                    GitIgnoreSpec.from_lines([pattern])
                except ValueError as error:
                    reason = f"{name} is {pattern!r}, which is not a pattern: {error}"
                    raise InvalidRequest(reason, field=name) from error

    def reads(self, name: PurePath) -> bool:
        """Whether a file is of a kind that the run reads, if anything does."""
        return bool(self.code) or not is_code(name)

    def keeps(self, name: PurePath) -> bool:
        """Whether a run leaves alone what was indexed of a file, because another run may read files of its kind."""
        return self.code is None and is_code(name)

    def find_reason(self, name: PurePath, *, is_folder: bool = False) -> str | None:
        """Return the option that leaves out the file or folder `name`, relative to where the search began, or None."""
        path = name.as_posix() + ("/" if is_folder else "")
        if self._excluded.match_file(path):
            return "--exclude"
        if self.include and not is_folder and not self._included.match_file(path):
            return "--include"
        return None

    @cached_property
    def _included(self) -> GitIgnoreSpec:
        return GitIgnoreSpec.from_lines(self.include)

    @cached_property
    def _excluded(self) -> GitIgnoreSpec:
        return GitIgnoreSpec.from_lines(self.exclude)


def _find_repository(folder: Path) -> Path | None:
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def _parse(lines: Iterable[str]) -> GitIgnoreSpec:
    """Return the rules of an ignore file; lines that are not patterns are skipped, as by git."""
    good: list[str] = []
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        good.append(line)
    return GitIgnoreSpec.from_lines(good)
