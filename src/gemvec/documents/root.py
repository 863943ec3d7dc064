"""The folder that document names are relative to: `Root`. A file has one name, however a user writes its path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True, slots=True)
class Root:
    """The folder that document names are relative to.

    Attributes:
        path: absolute, without links.
    """

    path: Path

    @classmethod
    def of(cls, path: Path | str = ".") -> Root:
        """Return the root `path`, by default the current folder."""
        return cls(Path(path).expanduser().resolve())

    def name(self, path: Path) -> str:
        """Return a file's name in a collection: its path relative to the root if it is inside, else the full path."""
        real = find_real(path)
        return (real.relative_to(self.path) if real.is_relative_to(self.path) else real).as_posix()

    def locate(self, name: str) -> PurePath:
        """Return the absolute path of a name; the path need not exist."""
        return PurePath(self.path) / name  # an absolute name replaces the root


def find_real(path: Path) -> Path:
    """Return the absolute path of a file or folder, with links followed as far as their targets exist.

    A link into a hidden folder is not followed: programs that keep contents there (git-annex, Kubernetes) change the
    names in it, and only the link's name stays the same.
    """
    written = Path(os.path.abspath(path))  # noqa: PTH100 # resolve() would follow links
    real = Path(os.path.realpath(written))
    if _count_hidden(real) > _count_hidden(written) or not os.path.exists(real):  # noqa: PTH110 # a path may be too long
        parent = Path(os.path.realpath(written.parent))
        return (parent if _count_hidden(parent) <= _count_hidden(written.parent) else written.parent) / written.name
    return real


def _count_hidden(path: PurePath) -> int:
    return sum(part.startswith(".") for part in path.parts)
