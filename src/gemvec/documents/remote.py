"""Sources that are not files, opened: `Remote`, which holds what they share, and `RemoteSource`, what one became."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from gemvec.documents.address import Address
from gemvec.documents.bucket import open_bucket
from gemvec.documents.document import BadDocument
from gemvec.documents.fetch import Fetcher, FetchFailure, FetchLimits
from gemvec.documents.file_places import FilePlace
from gemvec.documents.ignore import Filters
from gemvec.documents.page_notes import PageNotes
from gemvec.documents.place import Place
from gemvec.documents.repository import fetch_repository, find_files
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.walk import LeftOut, LeftOutFolder
from gemvec.documents.web import open_web
from gemvec.errors import FailedPrecondition, TransportFailure
from gemvec.settings import cache_home


@dataclass(slots=True, kw_only=True)
class RemoteSource:
    """What a source that is not a file consists of.

    Attributes:
        places: what is to be read.
        left_out: what is not read, and why.
        bad: parts of the source that could not be listed; then nobody knows what is gone.
        is_missing: whether there is no such source.
    """

    places: Sequence[Place] = ()
    left_out: LeftOut = field(default_factory=LeftOut)
    bad: Sequence[BadDocument] = ()
    is_missing: bool = False


class Remote:
    """What sources that are not files share: connections, limits and a folder of the cache.

    Args:
        cache_dir: for notes about pages, and for repositories; gemvec's cache folder when None.
        limits: of what is fetched from the web.
    """

    def __init__(self, cache_dir: Path | None = None, limits: FetchLimits | None = None) -> None:
        self._cache_dir = cache_dir or cache_home()
        self.limits = limits or FetchLimits()
        self._closing = threading.Event()
        self._fetcher: Fetcher | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way, also in other threads; nothing is fetched after it."""
        self._closing.set()
        if self._fetcher is not None:
            self._fetcher.close()

    @cached_property
    def notes(self) -> PageNotes:
        """What is known of pages."""
        return PageNotes(self._cache_dir / "pages")

    @property
    def fetcher(self) -> Fetcher:
        """What fetches pages."""
        if self._fetcher is None:
            self._fetcher = Fetcher(self.limits)
            if self._closing.is_set():
                self._fetcher.close()
        return self._fetcher

    def open(self, address: Address, filters: Filters) -> RemoteSource:
        """Return what a source consists of; its documents are fetched when they are read.

        Args:
            address: the source.
            filters: which of its files are meant.

        Raises:
            TransportFailure: it cannot be reached.
            StorageFailure: the bucket cannot be listed.
            FailedPrecondition: it is not what its name says.
            BadSetting: something on this machine is missing for it.
        """
        if address.kind == "bucket":
            found = open_bucket(address, filters)
            return RemoteSource(places=found.places, left_out=found.left_out, bad=found.bad, is_missing=found.is_empty)
        if address.kind == "repository":
            return self._open_repository(address, filters)
        return self._open_web(address, filters)

    def _open_repository(self, address: Address, filters: Filters) -> RemoteSource:
        clone = fetch_repository(address, self._cache_dir / "repositories", self._closing)
        files, left_out = find_files(clone, filters)
        places = [FilePlace.of(path, f"{address.url}/{path.relative_to(clone).as_posix()}") for path in files]
        left_out.folders = [
            LeftOutFolder(source=f"{address.url}/{each.source}", reason=each.reason) for each in left_out.folders
        ]
        return RemoteSource(places=places, left_out=left_out)

    def _open_web(self, address: Address, filters: Filters) -> RemoteSource:
        try:
            places, site = open_web(self.fetcher, self.notes, address, filters)
        except FetchFailure as failure:
            if failure.is_gone:
                return RemoteSource(is_missing=True)
            kind = TransportFailure if failure.is_transient else FailedPrecondition
            raise kind(f"{address.url} cannot be read: {failure.reason}.") from failure
        except UnreadableDocument as error:
            raise FailedPrecondition(f"{address.url} cannot be read: {error}.") from error
        return RemoteSource(places=places, left_out=site.left_out, bad=site.bad)
