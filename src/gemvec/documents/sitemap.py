"""Sitemaps: which pages a site has, by the protocol of sitemaps.org (`parse_sitemap`, `find_pages`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser
from xml.parsers import expat

from gemvec.documents.address import Address, parse_page
from gemvec.documents.document import BadDocument
from gemvec.documents.fetch import AGENT, GZIP, Fetched, Fetcher, FetchFailure, unpack
from gemvec.documents.ignore import Filters
from gemvec.documents.media_types import is_no_document
from gemvec.documents.scope import path_of
from gemvec.documents.text import UnreadableDocument, decode_text
from gemvec.documents.walk import LeftOut

# The protocol allows one level below an index; a few more do no harm.
_MAX_DEPTH, _MAX_SITEMAPS = 4, 2_000
_MAX_ADDRESSES = 1_000_000
ROBOTS, FOREIGN, NO_ADDRESS = "robots.txt", "being on another site", "having no valid address"


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What one sitemap names.

    Attributes:
        pages: addresses of pages, as they are written there.
        sitemaps: addresses of other sitemaps.
    """

    pages: Sequence[str] = ()
    sitemaps: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class SitePages:
    """The pages of a site that are to be read.

    Attributes:
        pages: each of them once, in the order of the sitemap.
        left_out: numbers of pages that are not read, by what says so.
        bad: sitemaps that could not be read, and one that names too many pages.
    """

    pages: list[Address] = field(default_factory=list[Address])
    left_out: LeftOut = field(default_factory=LeftOut)
    bad: list[BadDocument] = field(default_factory=list[BadDocument])


def is_sitemap_name(address: Address) -> bool:
    """Whether an address is written like that of a sitemap, so that it has to be looked into."""
    name = address.name.lower()
    return "sitemap" in name or name.endswith((".xml", ".xml.gz"))


def parse_sitemap(fetched: Fetched, max_bytes: int) -> Sitemap | None:
    """Return what a sitemap names, or None if it is something else.

    Args:
        fetched: XML, XML in gzip, or plain text with an address on each line.
        max_bytes: how much it may unpack to.

    Raises:
        UnreadableDocument: it is damaged, declares entities, or is too large.
    """
    data = unpack(fetched.body, max_bytes) if fetched.body.startswith(GZIP) else fetched.body
    if fetched.media_type == "text/plain" and not data.lstrip().startswith(b"<"):
        lines = decode_text(data).text.split("\n")
        pages = [line.strip() for line in lines if line.strip()]
        return Sitemap(pages=pages) if pages and all(parse_page(each) for each in pages) else None
    return _SitemapParser().parse(data)


class _SitemapParser:
    """Reads `urlset` and `sitemapindex`; anything below `loc` that is not in one of their entries is something else."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._found: dict[str, list[str]] = {"url": [], "sitemap": []}
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text.append
        self._parser.EntityDeclHandler = _refuse_entity

    def parse(self, data: bytes) -> Sitemap | None:
        try:
            self._parser.Parse(data, True)
        except _OtherDocument:
            return None
        except expat.ExpatError as error:
            if not self._path and not any(self._found.values()):
                return None  # not even its first element can be read
            raise UnreadableDocument(f"it is damaged: line {error.lineno} is not XML") from error
        return Sitemap(pages=self._found["url"], sitemaps=self._found["sitemap"])

    def _start(self, name: str, _: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if not self._path and local not in {"urlset", "sitemapindex"}:
            raise _OtherDocument
        self._path.append(local)
        self._text.clear()

    def _end(self, _: str) -> None:
        if self._path[1:] in (["url", "loc"], ["sitemap", "loc"]):
            found = self._found[self._path[1]]
            found.append("".join(self._text).strip())
            if len(found) > _MAX_ADDRESSES:
                raise UnreadableDocument(f"it has more than {_MAX_ADDRESSES:,} addresses")
        self._path.pop()
        self._text.clear()


class _OtherDocument(Exception):  # never seen outside
    """It is XML, and no sitemap."""


def _refuse_entity(*_: object) -> None:
    raise UnreadableDocument("it declares entities, which could fill the memory")


class _Site:
    """Collects the pages of one site."""

    def __init__(self, fetcher: Fetcher, root: Address, site: str, filters: Filters) -> None:
        self._fetcher = fetcher
        self._root = root
        self._site = _host_of(site)
        self._filters = filters
        self._robots = _read_robots(fetcher, root, site)
        self._seen: set[str] = set()
        self._beyond = 0
        self._sitemaps: set[str] = {root.location, site}
        self.found = SitePages()

    def add(self, sitemap: Sitemap, base: str) -> None:
        for written in sitemap.pages:
            page = parse_page(written, base)
            if page is None:
                self.found.left_out.ignored[NO_ADDRESS] += 1
            elif page.location not in self._seen:
                self._seen.add(page.location)
                self._sort(page)

    def _sort(self, page: Address) -> None:
        left_out = self.found.left_out
        if reason := self._find_reason(page):
            left_out.ignored[reason] += 1
        elif is_no_document(page.name, reads_code=bool(self._filters.code)):
            left_out.files[PurePosixPath(page.name).suffix.lower()] += 1
        elif len(self.found.pages) >= self._fetcher.limits.max_pages:
            self._beyond += 1
        else:
            self.found.pages.append(page)

    def _find_reason(self, page: Address) -> str | None:
        if _host_of(page.location) != self._site:
            return FOREIGN
        if reason := self._filters.find_reason(path_of(page.url)):
            return reason
        return None if self._robots.can_fetch(AGENT, page.location) else ROBOTS

    def follow(self, sitemap: Sitemap, base: str) -> None:
        """Read the sitemaps that a sitemap names, and those that they name in turn."""
        waiting = deque((each, base, 1) for each in sitemap.sitemaps)
        while waiting:
            written, above, depth = waiting.popleft()
            address = parse_page(written, above)
            if address is None:
                self._leave_out(above, "a sitemap that it names has no valid address")
            elif _host_of(address.location) != self._site:
                self._leave_out(address.url, "it is a sitemap on another site; name it as a source if it is meant")
            elif address.location not in self._sitemaps:
                self._sitemaps.add(address.location)
                found, place = self._read(address, depth)
                self.add(found, place)
                waiting.extend((each, place, depth + 1) for each in found.sitemaps)

    def _read(self, address: Address, depth: int) -> tuple[Sitemap, str]:
        if depth > _MAX_DEPTH or len(self._sitemaps) > _MAX_SITEMAPS:
            self._leave_out(
                address.url, f"it is deeper than {_MAX_DEPTH} sitemaps, or one of more than {_MAX_SITEMAPS:,}"
            )
            return Sitemap(), address.location
        try:
            fetched = self._fetcher.get(with_credentials(address, self._root))
            sitemap = parse_sitemap(fetched, self._fetcher.limits.max_bytes)
        except (FetchFailure, UnreadableDocument) as error:
            self._leave_out(address.url, str(error))
            return Sitemap(), address.location
        if sitemap is None:
            self._leave_out(address.url, "it is not a sitemap")
        return sitemap or Sitemap(), fetched.location

    def report_beyond(self) -> None:
        """Say how many pages are left out because there are too many."""
        if self._beyond:
            limit = self._fetcher.limits.max_pages
            reason = f"{self._beyond:,} of its pages are not read, because --max-pages is {limit:,}"
            self._leave_out(self._root.url, reason)

    def _leave_out(self, source: str, reason: str) -> None:
        self.found.bad.append(BadDocument(source=source, reason=reason))


def find_pages(fetcher: Fetcher, root: Address, fetched: Fetched, sitemap: Sitemap, filters: Filters) -> SitePages:
    """Return the pages that a sitemap names, with those of the sitemaps that it names.

    Only pages of the sitemap's own host are read, and none that robots.txt forbids to gemvec.

    Args:
        fetcher: fetches the other sitemaps, and robots.txt.
        root: the sitemap's address.
        fetched: the sitemap.
        sitemap: what it names.
        filters: which pages are meant; patterns are relative to the root of the site.

    Raises:
        FetchFailure: robots.txt did not come.
    """
    site = _Site(fetcher, root, fetched.location, filters)
    site.add(sitemap, fetched.location)
    site.follow(sitemap, fetched.location)
    site.report_beyond()
    return site.found


def _read_robots(fetcher: Fetcher, root: Address, site: str) -> RobotFileParser:
    parts = urlsplit(site)
    address = parse_page(f"{parts.scheme}://{parts.netloc}/robots.txt")
    robots = RobotFileParser()
    try:
        fetched = fetcher.get(with_credentials(address, root)) if address else None
    except FetchFailure as failure:
        if failure.is_transient:
            raise FetchFailure(f"its site's robots.txt did not come: {failure.reason}", is_transient=True) from failure
        fetched = None
    text = fetched.body.decode("utf-8-sig", errors="replace") if fetched else ""
    robots.parse(text.splitlines())
    return robots


def with_credentials(address: Address, root: Address) -> Address:
    """Return `address` with the user's credentials if it is on the same server."""
    is_same = urlsplit(address.location)[:2] == urlsplit(root.location)[:2]
    return replace(address, credentials=root.credentials) if is_same else address


def _host_of(location: str) -> str:
    """Return the host and port; http and https are the same site."""
    return urlsplit(location).netloc
