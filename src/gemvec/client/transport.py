"""The way to a server: a `Request` goes in, a `Response` comes out.

`Transport.send` makes one attempt; `retries.py` makes more. Each exchange has a thread to itself, so a transport
belongs to no event loop, and an exchange can be cancelled at once. The size of every answer is limited before it is
read.
"""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

import gemvec
from gemvec.client.connections import Connections, Hold, current_hold, find_proxy
from gemvec.client.threads import in_thread
from gemvec.errors import BadAnswer, TransportFailure

_CONNECT_SECONDS = 10.0
BLOCK_BYTES = 2**18
MAX_ANSWER_BYTES = 64 * 2**20
# More of an error answer than this helps nobody.
MAX_ERROR_BYTES = 2**20
_MAX_REDIRECTS = 10
_KEY_HEADERS = {"x-goog-api-key", "authorization", "api-key", "x-api-key"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send.

    Attributes:
        method: the HTTP method; redirects are followed for GET only, and not if `follows_redirects` is false.
        path: what follows the base URL, starting with a slash; or a whole URL.
        body: the bytes to send.
        headers: sent in addition to the transport's own.
        has_key: whether the key and the caller's headers are sent.
        is_long: whether the timeout is for each step of the exchange, not for the whole.
        max_answer_bytes: a larger answer is refused, compressed or decompressed.
        follows_redirects: whether to go where an answer leads; else that answer is the response.
    """

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    has_key: bool = True
    is_long: bool = False
    max_answer_bytes: int = MAX_ANSWER_BYTES
    follows_redirects: bool = True

    @property
    def may_be_redirected(self) -> bool:
        """Whether to go where an answer leads."""
        return self.follows_redirects and self.method == "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The answer of a server.

    Attributes:
        code: the HTTP status code.
        headers: by lower-case name.
        body: the whole body, decompressed; empty if it went to a sink.
    """

    code: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.code < 300  # noqa: PLR2004 - HTTP's own classes


# Called with the head of a successful answer; returns a function that is called with each block of its body.
Sink = Callable[[Response], Callable[[bytes], None]]


class Transport:
    """Sends requests to one server; can be pickled, shared by threads and event loops, and used after a fork."""

    def __init__(self, base_url: str, *, api_key: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Open no connection yet.

        Args:
            base_url: scheme, host and leading path, without a slash at the end.
            api_key: sent as `x-goog-api-key`.
            headers: sent with every request that has the key, and to no other server.

        Raises:
            BadSetting: the environment names a proxy that cannot be used.
        """
        self.base_url = base_url
        self._api_key = api_key
        self._headers = dict(headers or {})
        self._secrets = _secrets_of(api_key, self._headers)
        self._connections = Connections()
        find_proxy(base_url)

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r}, api_key={'***' if self._api_key else None!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Transport, api_key=self._api_key, headers=self._headers), (self.base_url,)

    async def send(self, request: Request, *, timeout_seconds: float, sink: Sink | None = None) -> Response:
        """Send `request` once and read the whole answer, whatever its status.

        Args:
            request: what to send.
            timeout_seconds: how long the exchange may take, or each of its steps if `is_long`.
            sink: takes the body of a successful answer, in another thread; without it the body is in the response.

        Raises:
            TransportFailure: no complete answer came in time.
            BadAnswer: the answer is too large, or there are too many redirects.
        """
        hold = Hold(timeout_seconds)
        exchange = functools.partial(self._exchange, request, hold, sink)
        try:
            async with asyncio.timeout(None if request.is_long else timeout_seconds):
                return await in_thread(exchange)
        except (HTTPError, TimeoutError) as error:
            raise self._failure(error, hold) from error
        finally:
            hold.end()

    async def close(self) -> None:
        """Close the idle connections; sending again opens new ones."""
        self._connections.close()

    def _exchange(self, request: Request, hold: Hold, sink: Sink | None) -> Response:
        current_hold.set(hold)
        url = self.base_url + request.path if request.path.startswith("/") else request.path
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._send_to(url, request, hold)
            there = answer.get_redirect_location() if request.may_be_redirected else None
            if not there:
                return self._masked(_read(answer, request, hold, sink))
            answer.close()
            url = _follow(url, there)
        raise BadAnswer(f"{self.base_url} redirects more than {_MAX_REDIRECTS} times.")

    def _send_to(self, url: str, request: Request, hold: Hold) -> urllib3.BaseHTTPResponse:
        is_upload = request.is_long and request.body
        pool, target = self._connections.of(url)
        return pool.urlopen(
            request.method,
            target,
            # Sent block by block if each step has its own timeout, else in one piece.
            body=io.BytesIO(request.body) if is_upload else request.body or None,
            headers=self._all_headers(url, request),
            timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, hold.seconds), read=hold.seconds),
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def _all_headers(self, url: str, request: Request) -> dict[str, str]:
        headers = {
            "User-Agent": f"gemvec/{gemvec.__version__}",
            # A hundred vectors are 4 MB of digits. TLS means a network in between, where the link is the limit and gzip
            # helps; without TLS, decompressing costs more than sending.
            "Accept-Encoding": "gzip" if urlsplit(url).scheme == "https" else "identity",
        }
        if request.body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(request.body))}
        if request.has_key and _origin_of(url) == _origin_of(self.base_url):
            headers |= self._headers | ({"x-goog-api-key": self._api_key} if self._api_key else {})
        return {**headers, **request.headers}

    def _masked(self, response: Response) -> Response:
        """Remove the key from an error answer that echoes it, before it is logged or passed on."""
        body = response.body
        for secret in () if response.is_success else self._secrets:
            body = body.replace(secret, b"***")
        return replace(response, body=body) if body != response.body else response

    def _failure(self, error: Exception, hold: Hold) -> TransportFailure:
        allowed = hold.seconds if hold.is_connected else min(_CONNECT_SECONDS, hold.seconds)
        is_late = isinstance(error, (TimeoutError, UrllibTimeoutError)) and not isinstance(error, NewConnectionError)
        reason = f"no answer within {allowed:g} s" if is_late else _reason_of(error)
        if not hold.is_connected:
            return TransportFailure(f"Nothing answers at {self.base_url}: {reason}", connected=False)
        return TransportFailure(f"The connection to {self.base_url} was lost: {reason}")


def _read(answer: urllib3.BaseHTTPResponse, request: Request, hold: Hold, sink: Sink | None) -> Response:
    """Read the body of an answer, up to its limit, and return its connection to the pool."""
    head = Response(code=answer.status, headers={name.lower(): value for name, value in answer.headers.items()})
    body = b""
    try:
        if not head.is_success:
            body = _read_beginning(answer, MAX_ERROR_BYTES)
        elif sink is not None:
            _pour(answer, hold, head, sink)
        else:
            body = _read_whole(answer, request.max_answer_bytes)
    except BaseException:
        answer.close()
        raise
    finally:
        hold.let_go()
    return Response(code=head.code, headers=head.headers, body=body)


def _read_whole(answer: urllib3.BaseHTTPResponse, max_bytes: int) -> bytes:
    """Return the body, decompressed.

    Raises:
        BadAnswer: it has more than `max_bytes` bytes.
    """
    is_plain = answer.headers.get("content-encoding", "identity") == "identity"
    if is_plain and answer.length_remaining is not None and answer.length_remaining <= max_bytes:
        return answer.read()
    body = _read_beginning(answer, max_bytes + 1)
    if len(body) > max_bytes:
        raise BadAnswer(f"The answer has more than {max_bytes} bytes.")
    return body


def _read_beginning(answer: urllib3.BaseHTTPResponse, max_bytes: int) -> bytes:
    """Return the decompressed body; beyond `max_bytes` it is cut, and the connection is closed."""
    blocks: list[bytes] = []
    left = max_bytes
    for block in answer.stream(BLOCK_BYTES, decode_content=True):
        blocks.append(block[:left])
        left -= len(blocks[-1])
        if not left:
            answer.close()
            break
    return b"".join(blocks)


def _pour(answer: urllib3.BaseHTTPResponse, hold: Hold, head: Response, sink: Sink) -> None:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise BadAnswer("The answer is compressed, although that was not requested.")
    write = sink(head)
    for block in answer.stream(BLOCK_BYTES, decode_content=False):
        if hold.is_ended:
            return
        write(block)


def _follow(url: str, there: str) -> str:
    """Return where a redirect leads.

    Raises:
        BadAnswer: it is not an address, or leaves HTTP or TLS.
    """
    try:
        target = urljoin(url, there)
        _ = urlsplit(target).port  # reading it checks it
    except ValueError:
        raise BadAnswer("The server redirects to something that is not an address.") from None  # it may hold a key
    kept = {"https"} if urlsplit(url).scheme == "https" else set(_PORTS)
    if urlsplit(target).scheme not in kept:
        raise BadAnswer(f"The server redirects from {urlsplit(url).scheme} to {urlsplit(target).scheme!r}.")
    return target


def _secrets_of(api_key: str | None, headers: Mapping[str, str]) -> list[bytes]:
    held = [value.split()[-1] for name, value in headers.items() if name.lower() in _KEY_HEADERS and value.strip()]
    return [each.encode("latin-1") for each in [api_key, *held] if each]


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _reason_of(error: BaseException) -> str:
    """Return the message of the error that urllib3's error wraps: it contains no objects or memory addresses."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return getattr(error, "_message", None) or str(error) or type(error).__name__
