"""The one way out to a server: a `Request` goes in, a `Response` with its whole body comes out.

`Transport.send` says nothing about what travels and tries once; trying again is `retries.py`. Each exchange has a
thread of its own while it lasts, so that a transport belongs to no event loop, and cancelling one is prompt.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import gemvec
from gemvec.client.connections import ConnectionPool
from gemvec.errors import TransportFailure

T = TypeVar("T")

_CONNECT_SECONDS = 10.0
_GZIP = 31  # zlib's word for: expect a gzip header, any window size


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send.

    Attributes:
        method: the HTTP method.
        path: what follows the base URL, beginning with a slash.
        body: the JSON to send.
    """

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back.

    Attributes:
        code: the HTTP status code.
        headers: by lower-case name.
        body: the whole body, decompressed.
    """

    code: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)


class Transport:
    """Sends requests to one base URL; picklable, shared by threads and event loops, usable after a fork."""

    def __init__(self, base_url: str, *, api_key: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Open nothing yet.

        Args:
            base_url: scheme, host and leading path, without a slash at the end.
            api_key: sent as `x-goog-api-key`.
            headers: sent with every request.
        """
        self.base_url = base_url
        self._api_key = api_key
        self._headers = dict(headers or {})
        self._pool = ConnectionPool(base_url)

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r}, api_key={'***' if self._api_key else None!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Transport, api_key=self._api_key, headers=self._headers), (self.base_url,)

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send `request` once and read the whole answer, whatever its status.

        Raises:
            TransportFailure: no complete answer came within `timeout_seconds`.
        """
        exchange = _Exchange(self._pool, request, self._all_headers(), timeout_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await _in_thread(exchange.run)
        except (OSError, http.client.HTTPException, zlib.error) as error:
            allowed = timeout_seconds if exchange.is_connected else min(_CONNECT_SECONDS, timeout_seconds)
            is_late = isinstance(error, TimeoutError)
            reason = f"no answer within {allowed:g} s" if is_late else str(error) or type(error).__name__
            if not exchange.is_connected:
                raise TransportFailure(f"Nothing answers at {self.base_url}: {reason}", connected=False) from error
            raise TransportFailure(f"{self.base_url} broke off: {reason}") from error
        finally:
            exchange.abort()

    async def close(self) -> None:
        """Close the idle connections; sending again opens new ones."""
        self._pool.close()

    def _all_headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": f"gemvec/{gemvec.__version__}",
            "Content-Type": "application/json",
            # A hundred vectors are 4 MB of digits. TLS means a network in between, where the link is the limit and
            # gzip pays; without it unpacking costs more than sending.
            "Accept-Encoding": "gzip" if urlsplit(self.base_url).scheme == "https" else "identity",
            **self._pool.headers,
            **self._headers,
        }
        return headers | {"x-goog-api-key": self._api_key} if self._api_key else headers


class _Exchange:
    """One request and its answer, blocking; `abort` ends it from another thread."""

    def __init__(self, pool: ConnectionPool, request: Request, headers: Mapping[str, str], seconds: float) -> None:
        self._pool = pool
        self._request = request
        self._headers = headers
        self._seconds = seconds
        self._closings = pool.closings
        self._lock = threading.Lock()  # so that `abort` never meets a connection that is another exchange's by now
        self._connection: http.client.HTTPConnection | None = None
        self._is_aborted = False
        self.is_connected = False

    def run(self) -> Response:
        """Send and receive, over an idle connection if there is one."""
        connection = self._pool.take()
        if connection is not None:
            self.is_connected = True
            with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                return self._over(connection)
            self.is_connected = False  # the server closed it at this very moment: a new one decides
        connection = self._pool.make()
        connection.timeout = min(_CONNECT_SECONDS, self._seconds)
        return self._over(connection)

    def abort(self) -> None:
        """End the exchange if it is still under way."""
        with self._lock:
            self._is_aborted = True
            if self._connection is not None and self._connection.sock is not None:
                with contextlib.suppress(OSError):
                    self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _over(self, connection: http.client.HTTPConnection) -> Response:
        with self._lock:
            self._connection = connection
        try:
            if connection.sock is None:
                self._connect(connection)
            answer = self._exchange(connection)
        except BaseException:
            self._let_go()
            connection.close()
            raise
        if self._let_go():
            connection.close()
        else:
            self._pool.give_back(connection, self._closings)
        return answer

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        self._stop_if_aborted()
        connection.connect()
        self.is_connected = True

    def _let_go(self) -> bool:
        """Take the connection out of reach of `abort`; return whether it has come before."""
        with self._lock:
            self._connection = None
            return self._is_aborted

    def _exchange(self, connection: http.client.HTTPConnection) -> Response:
        self._stop_if_aborted()  # `abort` may have found nothing to shut down
        connection.sock.settimeout(self._seconds)
        request = self._request
        connection.request(request.method, self._pool.target(request.path), request.body or None, dict(self._headers))
        answer = connection.getresponse()
        body = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, _GZIP)
        return Response(code=answer.status, headers=headers, body=body)

    def _stop_if_aborted(self) -> None:
        if self._is_aborted:
            raise ConnectionAbortedError("cancelled")


async def _in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a daemon thread of its own, which nothing waits for at exit, and await its result."""
    future: Future[T] = Future()

    def settle() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 # raised again where it is awaited
            future.set_exception(error)

    future.set_running_or_notify_cancel()
    threading.Thread(target=settle, name="gemvec-http", daemon=True).start()
    return await asyncio.wrap_future(future)
