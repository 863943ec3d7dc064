"""Pages of the web, fetched within bounds: `Fetcher`.

Only the hosts that the user has named are asked: no page and no redirect leads to another one, such as a host of the
private network. Every answer is bounded in size, decompressed or not, in time and in redirects.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from gemvec.documents.address import Address, parse_page
from gemvec.documents.text import UnreadableDocument

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from gemvec.client.connections import Hold

T = TypeVar("T")

# What servers and their robots.txt know us as.
AGENT = "gemvec"

_CONNECT_SECONDS = 10.0
_BLOCK_BYTES = 2**16
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
# Answers that may be others soon.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READ = frozenset({200, 203})
_PACKED = frozenset({"gzip", "x-gzip"})
GZIP, _GZIP_BITS = b"\x1f\x8b", 31
_ENDED = "the run was ended before it came"
_KINDS = "text/html, application/xhtml+xml, text/markdown, text/plain, */*;q=0.8"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How much is fetched, and how long it may take.

    Attributes:
        max_bytes: most bytes of one answer, decompressed.
        step_seconds: how long a server may be silent.
        page_seconds: how long one answer may take as a whole.
        attempts: how often a page is asked for when the server fails.
        pause_seconds: the first pause between attempts; each one is twice as long as the one before.
        max_pause_seconds: the longest pause, also if the server asks for a longer one.
        max_redirects: most redirects that are followed for one page.
        at_once: most pages that are fetched at the same time.
        max_pages: most pages of one sitemap.
    """

    max_bytes: int = 64 * 2**20
    step_seconds: float = 30.0
    page_seconds: float = 120.0
    attempts: int = 3
    pause_seconds: float = 1.0
    max_pause_seconds: float = 30.0
    max_redirects: int = 10
    at_once: int = 4
    max_pages: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer.

    Attributes:
        location: the address that sent it, after redirects.
        body: its bytes, decompressed; empty if it is the one that is known already.
        media_type: such as `text/html`, in lower case; empty when the server named none.
        charset: the encoding that the server named; empty when it named none.
        etag, last_modified: by which the server recognises this answer.
        is_known: whether the server said that the page has not changed.
    """

    location: str
    body: bytes = field(default=b"", repr=False)
    media_type: str = ""
    charset: str = ""
    etag: str = ""
    last_modified: str = ""
    is_known: bool = False


class FetchFailure(Exception):
    """A page could not be fetched.

    Attributes:
        reason: one sentence.
        is_gone: whether the server said that there is no such page.
        is_transient: whether it may be there later.
        wait_seconds: how long the server asks to wait; None if it does not.
    """

    def __init__(
        self, reason: str, *, is_gone: bool = False, is_transient: bool = False, wait_seconds: float | None = None
    ) -> None:
        self.reason = reason
        self.is_gone = is_gone
        self.is_transient = is_transient
        self.wait_seconds = wait_seconds
        super().__init__(reason)


class Fetcher:
    """Fetches pages; can be used by several threads, and closed by another one.

    Args:
        limits: see `FetchLimits`.
    """

    def __init__(self, limits: FetchLimits | None = None) -> None:
        from gemvec.client.connections import Connections

        self.limits = limits or FetchLimits()
        self._connections = Connections()
        self._closing = threading.Event()
        self._threads = ThreadPoolExecutor(self.limits.at_once, thread_name_prefix="gemvec-fetch")
        self._lock = threading.Lock()
        self._holds: set[Hold] = set()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, so that nothing more will be fetched."""
        return self._closing.is_set()

    def close(self) -> None:
        """End all exchanges that are under way; a caller that waits for one gets a `FetchFailure`."""
        self._closing.set()
        with self._lock:
            for hold in self._holds:
                hold.end()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._connections.close()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do some work in another thread, `FetchLimits.at_once` at a time.

        Raises:
            FetchFailure: it was closed.
        """
        try:
            return self._threads.submit(work)
        except RuntimeError:
            raise FetchFailure(_ENDED) from None

    def get(self, address: Address, *, etag: str = "", last_modified: str = "") -> Fetched:
        """Return what is at an address.

        Args:
            address: a page; its credentials are sent to its own server only.
            etag: of the answer that is known; the server is asked for a newer one.
            last_modified: the same, for an answer without ETag.

        Raises:
            FetchFailure: there is no page, or it did not come, also not in later attempts.
        """
        known = {"If-None-Match": etag} if etag else {"If-Modified-Since": last_modified} if last_modified else {}
        pause = self.limits.pause_seconds
        for attempt in range(1, self.limits.attempts + 1):
            try:
                return self._follow(address, known)
            except FetchFailure as failure:
                if not failure.is_transient or attempt == self.limits.attempts or self.is_closed:
                    raise
                wanted = pause if failure.wait_seconds is None else failure.wait_seconds
                self._closing.wait(min(wanted, self.limits.max_pause_seconds))
                pause *= 2
        raise AssertionError("there is at least one attempt")

    def _follow(self, address: Address, known: dict[str, str]) -> Fetched:
        location = address.location
        for _ in range(self.limits.max_redirects + 1):
            found = self._ask(location, self._headers_for(address, location) | known)
            if isinstance(found, Fetched):
                if found.is_known and not known:
                    raise FetchFailure("the server says that it has not changed, although it was not known")
                return found
            location = _redirect(location, found)
        raise FetchFailure(f"it redirects more than {self.limits.max_redirects} times")

    def _headers_for(self, address: Address, location: str) -> dict[str, str]:
        from urllib3 import make_headers

        headers = {
            "User-Agent": AGENT,
            "Accept": _KINDS,
            "Accept-Encoding": "gzip",
        }
        if address.credentials and urlsplit(location)[:2] == urlsplit(address.location)[:2]:
            headers |= make_headers(basic_auth=address.credentials)
        return headers

    def _ask(self, location: str, headers: dict[str, str]) -> Fetched | str:
        """Return the answer of one server, or where it redirects to."""
        from urllib3 import Timeout

        with self._held() as hold:
            pool, target = self._connections.of(location)
            answer = pool.urlopen(
                "GET",
                target,
                headers=headers,
                timeout=Timeout(connect=min(_CONNECT_SECONDS, hold.seconds), read=hold.seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                return self._take(location, answer)
            finally:
                # What was not read is not wanted; a connection that was read to the end is already in the pool.
                answer.close()

    def _take(self, location: str, answer: BaseHTTPResponse) -> Fetched | str:
        if answer.status in _REDIRECTS and (there := answer.headers.get("location")):
            return there
        kind = Message()
        kind["content-type"] = answer.headers.get("content-type", "")
        media_type = kind.get_content_type() if answer.headers.get("content-type") else ""
        found = Fetched(
            location=location,
            media_type=media_type,
            charset=str(kind.get_param("charset") or ""),
            etag=answer.headers.get("etag", ""),
            last_modified=answer.headers.get("last-modified", ""),
            is_known=answer.status == HTTPStatus.NOT_MODIFIED,
            body=self._read(answer) if answer.status in _READ else b"",
        )
        if answer.status in _READ or found.is_known:
            return found
        raise _explain_status(answer)

    def _read(self, answer: BaseHTTPResponse) -> bytes:
        limit = self.limits.max_bytes
        coding = answer.headers.get("content-encoding", "").strip().lower()
        if coding not in {"", "identity", *_PACKED}:
            raise FetchFailure(f"it was sent in the encoding {coding!r}, which was not asked for")
        if (answer.length_remaining or 0) > limit:
            raise FetchFailure(f"it has {answer.length_remaining:,} bytes, more than {limit:,}")
        blocks: list[bytes] = []
        size = 0
        for block in answer.stream(_BLOCK_BYTES, decode_content=False):
            blocks.append(block)
            size += len(block)
            if size > limit:
                raise FetchFailure(f"it has more than {limit:,} bytes")
        body = b"".join(blocks)
        return unpack(body, limit) if coding in _PACKED else body

    @contextmanager
    def _held(self) -> Generator[Hold]:
        """Bound the time of one exchange, let `close` end it, and turn what goes wrong into a `FetchFailure`."""
        from urllib3.exceptions import HTTPError

        from gemvec.client.connections import Hold, current_hold

        hold = Hold(self.limits.step_seconds)
        current_hold.set(hold)
        clock = threading.Timer(self.limits.page_seconds, hold.end)
        clock.daemon = True
        with self._lock:
            self._holds.add(hold)
        try:
            if self.is_closed:
                hold.end()
            clock.start()
            yield hold
        except UnreadableDocument as error:
            raise FetchFailure(str(error)) from error
        except (HTTPError, OSError) as error:
            raise self._explain(error, hold) from error
        finally:
            clock.cancel()
            hold.let_go()
            with self._lock:
                self._holds.discard(hold)

    def _explain(self, error: Exception, hold: Hold) -> FetchFailure:
        from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, ReadTimeoutError, SSLError

        if self.is_closed:
            return FetchFailure(_ENDED)
        if hold.is_ended:
            return FetchFailure(f"it did not come within {self.limits.page_seconds:g} s", is_transient=True)
        reasons: dict[type[Exception], str] = {
            ConnectTimeoutError: f"no connection within {min(_CONNECT_SECONDS, hold.seconds):g} s",
            NameResolutionError: "its host has no address",
            ReadTimeoutError: f"the server was silent for {hold.seconds:g} s",
            SSLError: "the server's certificate or TLS is not accepted",
        }
        kind = next((each for each in reasons if isinstance(error, each)), None)
        said = reasons[kind] if kind else ("the connection broke off" if hold.is_connected else "nothing answers there")
        return FetchFailure(said, is_transient=True)


def unpack(data: bytes, max_bytes: int) -> bytes:
    """Return what was packed with gzip, in one or several parts.

    Raises:
        UnreadableDocument: it is damaged, or has more than `max_bytes`.
    """
    unpacked = bytearray()
    while True:
        unpacker = zlib.decompressobj(_GZIP_BITS)
        try:
            unpacked += unpacker.decompress(data, max_bytes + 1 - len(unpacked))
        except zlib.error as error:
            raise UnreadableDocument("it is damaged: it is not gzip") from error
        if len(unpacked) > max_bytes:
            raise UnreadableDocument(f"it unpacks to more than {max_bytes:,} bytes")
        if not unpacker.eof:
            raise UnreadableDocument("it is damaged: its end is missing")
        data = unpacker.unused_data
        if not data:
            return bytes(unpacked)


def _redirect(location: str, there: str) -> str:
    target = parse_page(there, location)
    if target is None:
        raise FetchFailure("it redirects to something that is not an address of the web")
    here, target_parts = urlsplit(location), urlsplit(target.location)
    if here.netloc != target_parts.netloc:
        raise FetchFailure(f"it redirects to another host, {target_parts.netloc}; name that address if it is meant")
    if here.scheme == "https" and target_parts.scheme == "http":
        raise FetchFailure("it redirects from https to http, where everybody can read and change it")
    return target.location


def _explain_status(answer: BaseHTTPResponse) -> FetchFailure:
    from gemvec.client.retry_after import parse_retry_after

    code = answer.status
    name = HTTPStatus(code).phrase if code in {each.value for each in HTTPStatus} else "an unknown status"
    return FetchFailure(
        f"the server answered {code} ({name})",
        is_gone=code in _GONE,
        is_transient=code in _TRANSIENT,
        wait_seconds=parse_retry_after(answer.headers.get("retry-after", ""), datetime.now(UTC)),
    )
