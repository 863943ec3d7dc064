"""Which documents of a collection belong to a source: `Scope` for files, `AddressScope` for everything else."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

from gemvec.documents.address import Address, is_address, parse_address
from gemvec.documents.ignore import Filters
from gemvec.documents.languages import LANGUAGE, LANGUAGE_NAMES
from gemvec.documents.root import Root
from gemvec.errors import InvalidRequest

# Metadata of a page: the sitemap that names it, by which it is found again.
SITEMAP = "sitemap"
_WEB = ("https://", "http://")
STANDARD_INPUT = "-"
STANDARD_INPUT_NAME = "standard input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The documents of a collection that belong to a source, so that missing documents can be found (`--prune`).

    Attributes:
        path: a file, a folder with everything below it, or a glob: absolute, or `standard input`.
        root: the folder that document names are relative to.
        filters: which files below the source are meant.
        is_glob: whether `path` is a glob; a file or folder may be called like one.
    """

    path: str
    root: Root
    filters: Filters = field(default_factory=Filters)
    is_glob: bool = False

    @classmethod
    def of(cls, source: str, root: Root, filters: Filters | None = None) -> Scope:
        """Return the scope of a source as a user names it; it need not exist.

        Raises:
            InvalidRequest: it is empty.
        """
        if not source:  # as a path, it would be the current folder
            raise InvalidRequest("A source is empty. The current folder is `.`.", field="source")
        rules = filters or Filters()
        if source == STANDARD_INPUT:
            return cls(path=STANDARD_INPUT_NAME, root=root, filters=rules)
        path = Path(source).expanduser()
        if not glob.has_magic(source) or os.path.lexists(path):
            return cls(path=str(root.locate(root.name(path))), root=root, filters=rules)
        fixed = find_fixed_part(path)
        # Links are followed in the part before the first wildcard.
        pattern = Path(fixed).resolve() / path.relative_to(fixed)
        return cls(path=str(pattern), root=root, filters=rules, is_glob=True)

    @property
    def needs_metadata(self) -> bool:
        """Whether the source alone does not say what belongs to it."""
        return False

    def holds(self, source: str, metadata: Mapping[str, Any] | None = None) -> bool:  # noqa: ARG002 # as `AddressScope`
        """Whether reading this source would find a document from `source` again."""
        if STANDARD_INPUT_NAME in {source, self.path}:
            return source == self.path
        if "://" in source or not source:  # a program's document, not from a file
            return False
        located = self.root.locate(source)
        if str(located) == self.path:  # a file that is named itself is read whatever the filters say
            return True
        if located.is_relative_to(self.path):
            return self._takes(located, PurePath(self.path))
        if not self.is_glob or not _matches(located.parts, PurePath(self.path).parts):
            return False
        return self._takes(located, find_fixed_part(PurePath(self.path)))

    def _takes(self, located: PurePath, base: PurePath) -> bool:
        return not self.filters.keeps(located) and self.filters.find_reason(located.relative_to(base)) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressScope:
    """The same for a source that is not a file.

    Attributes:
        address: the source.
        filters: which files or pages of it are meant.
    """

    address: Address
    filters: Filters = field(default_factory=Filters)

    @property
    def needs_metadata(self) -> bool:
        """Whether the source alone does not say what belongs to it: pages know the sitemap that names them."""
        return self.address.kind == "web"

    def holds(self, source: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Whether reading this source would find a document from `source` again.

        Args:
            source: of the document.
            metadata: of the document.
        """
        url = self.address.url
        if source == url:
            return True
        if self.address.kind == "web":
            is_named = source.startswith(_WEB) and (metadata or {}).get(SITEMAP) == url
            path = path_of(source)
            # A page is code if it was read as code, whatever its address ends in.
            is_kept = self.filters.keeps(path) and (metadata or {}).get(LANGUAGE) in LANGUAGE_NAMES
            return is_named and not is_kept and self.filters.find_reason(path) is None
        below = source.removeprefix(f"{url}/")
        if below == source or self.filters.keeps(PurePath(below)):
            return False
        return self.filters.find_reason(PurePath(below)) is None


AnyScope = Scope | AddressScope


def find_scope(source: str, root: Root, filters: Filters | None = None) -> AnyScope:
    """Return the scope of a source as a user names it; it need not exist.

    Raises:
        InvalidRequest: it is empty, or an address of a kind that is not read.
    """
    if is_address(source) and not os.path.lexists(source):
        return AddressScope(address=parse_address(source), filters=filters or Filters())
    return Scope.of(source, root, filters)


def path_of(url: str) -> PurePath:
    """Return the path of a page relative to the root of its site, as filters see it."""
    return PurePath(unquote(urlsplit(url).path).strip("/"))


def find_fixed_part(pattern: PurePath) -> PurePath:
    """Return the folder of a glob's part before its first wildcard."""
    parts = pattern.parts
    first = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    return PurePath(*parts[:first])


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob; unlike fnmatch, `*` stays within one folder."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
