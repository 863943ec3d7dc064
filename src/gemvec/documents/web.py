"""Pages of the web as places of documents: `PagePlace`, and `open_web`, which finds them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from gemvec.documents.address import Address
from gemvec.documents.document import BadDocument, Document, UnreadDocument, explain_unread
from gemvec.documents.fetch import Fetched, Fetcher, FetchFailure
from gemvec.documents.ignore import Filters
from gemvec.documents.languages import CODE_SUFFIXES, is_code
from gemvec.documents.media_types import find_suffix, is_text, to_utf8
from gemvec.documents.page_notes import PageNote, PageNotes
from gemvec.documents.place import Found, digest_of, make_document
from gemvec.documents.readers import READERS_BY_SUFFIX
from gemvec.documents.records import RECORD_SUFFIXES, RecordFields, read_records
from gemvec.documents.scope import SITEMAP
from gemvec.documents.sitemap import SitePages, find_pages, is_sitemap_name, parse_sitemap, with_credentials
from gemvec.documents.text import UnreadableDocument

# For progress: how long a page counts as long as nobody knows.
_USUAL_BYTES = 30_000


class Pages:
    """Fetches pages ahead of what is read, a few at a time, in their order.

    Args:
        fetcher: fetches them.
        notes: what is known of them.
        addresses: the pages.
        reads_code: whether pages of source code are read as such.
    """

    def __init__(
        self, fetcher: Fetcher, notes: PageNotes, addresses: Sequence[Address], *, reads_code: bool = False
    ) -> None:
        self.fetcher = fetcher
        self.notes = notes
        self.reads_code = reads_code
        self._addresses = addresses
        self._answers: dict[int, Future[tuple[Fetched, PageNote | None]]] = {}
        self._next = 0

    def take(self, number: int) -> tuple[Fetched, PageNote | None]:
        """Return the answer for a page, and the note that it confirms; the next ones are fetched meanwhile.

        Raises:
            FetchFailure: it did not come.
        """
        for skipped in [each for each in self._answers if each < number]:
            del self._answers[skipped]
        self._next = max(self._next, number)
        while self._next < min(number + self.fetcher.limits.at_once, len(self._addresses)):
            self._answers[self._next] = self.fetcher.submit(partial(self._fetch, self._next))
            self._next += 1
        answer = self._answers.pop(number, None)
        return answer.result() if answer is not None else self._fetch(number)

    def _fetch(self, number: int) -> tuple[Fetched, PageNote | None]:
        address = self._addresses[number]
        note = self.notes.load(address.location)
        if note is None or not self._is_read_so(address, note.suffix):
            return self.fetcher.get(address), None
        fetched = self.fetcher.get(address, etag=note.etag, last_modified=note.last_modified)
        return fetched, note if fetched.is_known else None

    def _is_read_so(self, address: Address, suffix: str) -> bool:
        """Whether a page that has not changed is still read in the way of `suffix`; records are read in every run."""
        is_program = self.reads_code and is_code(PurePosixPath(address.name))
        return suffix in READERS_BY_SUFFIX and (suffix in CODE_SUFFIXES) == is_program


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePlace:
    """One page.

    Attributes:
        address: where it is.
        pages, number: what fetches it, and its number there.
        sitemap: the address of the sitemap that names it; empty when the user does.
        ends: where redirects of the site's pages have ended, shared by them.
    """

    address: Address
    pages: Pages = field(repr=False)
    number: int = 0
    sitemap: str = ""
    ends: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def name(self) -> str:
        """See `Place`."""
        return self.address.url

    @property
    def size_bytes(self) -> int:
        """What it counts for progress."""
        return _USUAL_BYTES

    def read(self, fields: RecordFields) -> Iterator[Found]:
        """Yield its documents; a page that was not parsed before is not parsed yet."""
        try:
            fetched, note = self.pages.take(self.number)
            self._check_end(fetched)
        except FetchFailure as failure:
            yield self._leave_out(failure)
            return
        try:
            if note is not None:
                yield self._to_unread(note, partial(self._fetch_and_parse, note))
            else:
                yield from self._read_answer(fetched, fields)
        except UnreadableDocument as error:
            yield explain_unread(error, self.name, self.name)

    def _read_answer(self, fetched: Fetched, fields: RecordFields) -> Iterator[Found]:
        note = self._note(fetched)
        self.pages.notes.save(self.address.location, note)
        if note.suffix in RECORD_SUFFIXES:
            for each in self._read_records(fetched, note.suffix, fields):
                yield replace(each, read_bytes=_USUAL_BYTES)
            return
        yield replace(self._to_unread(note, partial(self._parse, fetched, note.suffix)), held_bytes=len(fetched.body))

    def _note(self, fetched: Fetched) -> PageNote:
        suffix = find_suffix(fetched.media_type, self.address.name, fetched.body, reads_code=self.pages.reads_code)
        digest = blake2b(fetched.body, digest_size=16).hexdigest()
        return PageNote(
            etag=fetched.etag,
            last_modified=fetched.last_modified,
            suffix=suffix,
            digest=f"{digest} {fetched.charset}",
            size_bytes=len(fetched.body),
        )

    def _check_end(self, fetched: Fetched) -> None:
        """Refuse a page of a site that leads where another page leads, such as a login."""
        if not self.sitemap or fetched.location == self.address.location:
            return
        end = fetched.location.partition("?")[0]
        if (other := self.ends.setdefault(end, self.name)) != self.name:
            raise FetchFailure(f"it redirects to the same page as {other}")

    def _leave_out(self, failure: FetchFailure) -> BadDocument:
        return BadDocument(
            source=self.name,
            reason=failure.reason,
            id=self.name,
            is_gone=failure.is_gone,
            read_bytes=_USUAL_BYTES,
        )

    def _to_unread(self, note: PageNote, read: Callable[[], Document | BadDocument]) -> UnreadDocument:
        return UnreadDocument(
            id=self.name, source=self.name, content=self._content(note), read=read, read_bytes=_USUAL_BYTES
        )

    def _content(self, note: PageNote) -> str:
        return READERS_BY_SUFFIX[note.suffix].digest(digest_of(self.sitemap, note.digest))

    def _fetch_and_parse(self, note: PageNote) -> Document | BadDocument:
        """Fetch a page that is known, because the collection does not have it."""
        try:
            fetched = self.pages.fetcher.get(self.address)
            found = self._note(fetched)
        except FetchFailure as failure:
            return self._leave_out(failure)
        except UnreadableDocument as error:
            return explain_unread(error, self.name, self.name)
        self.pages.notes.save(self.address.location, found)
        if found.suffix in RECORD_SUFFIXES:  # it has changed in this moment
            return BadDocument(source=self.name, id=self.name, reason=f"it is no longer {note.suffix}; run again")
        return self._parse(fetched, found.suffix)

    def _parse(self, fetched: Fetched, suffix: str) -> Document | BadDocument:
        reader = READERS_BY_SUFFIX[suffix]
        try:
            body, notes = to_utf8(fetched.body, fetched.charset) if is_text(suffix) else (fetched.body, ())
            document = make_document(
                body, reader, self.name, content=self._content(self._note(fetched)), size_bytes=_USUAL_BYTES
            )
        except Exception as error:  # noqa: BLE001 # a broken page fails anywhere inside the library that reads it
            return explain_unread(error, self.name, self.name)
        return replace(self._in_sitemap(document), notes=(*notes, *document.notes))

    def _in_sitemap(self, document: Document) -> Document:
        if not self.sitemap:
            return document
        return replace(document, metadata={**document.metadata, SITEMAP: self.sitemap})

    def _read_records(self, fetched: Fetched, suffix: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
        with tempfile.TemporaryDirectory(prefix="gemvec-") as folder:
            path = Path(folder) / f"records{suffix}"
            path.write_bytes(to_utf8(fetched.body, fetched.charset)[0] if is_text(suffix) else fetched.body)
            for each in read_records(path, self.name, fields):
                yield self._in_sitemap(each) if isinstance(each, Document) else each


def open_web(
    fetcher: Fetcher, notes: PageNotes, address: Address, filters: Filters
) -> tuple[list[PagePlace], SitePages]:
    """Return the pages that an address of the web stands for: itself, or those that it names if it is a sitemap.

    Args:
        fetcher: fetches them.
        notes: what is known of pages.
        address: a page, or a sitemap.
        filters: which pages of a sitemap are meant.

    Raises:
        FetchFailure: the sitemap did not come.
        UnreadableDocument: the sitemap is damaged.
    """
    if is_sitemap_name(address):
        fetched = fetcher.get(address)
        sitemap = parse_sitemap(fetched, fetcher.limits.max_bytes)
        if sitemap is not None:
            if not (sitemap.pages or sitemap.sitemaps):
                raise UnreadableDocument("it is a sitemap without pages")
            site = find_pages(fetcher, address, fetched, sitemap, filters)
            wanted = [with_credentials(each, address) for each in site.pages]
            pages, ends = Pages(fetcher, notes, wanted, reads_code=bool(filters.code)), dict[str, str]()
            places = [
                PagePlace(address=each, pages=pages, number=number, sitemap=address.url, ends=ends)
                for number, each in enumerate(wanted)
            ]
            return places, site
    pages = Pages(fetcher, notes, [address], reads_code=bool(filters.code))
    return [PagePlace(address=address, pages=pages)], SitePages(pages=[address])
