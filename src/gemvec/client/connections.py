"""Open HTTP/1.1 connections to one server, used again and again by whatever thread asks: `ConnectionPool`.

Built on http.client: reading a 4 MB answer costs it a quarter of the CPU that the large client libraries take, and a
short one a sixth. What those libraries have and this needs is here: reuse, proxies, certificates, forks.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import select
import ssl
import time
import urllib.request
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

from gemvec.errors import BadSetting

# Long enough for the pauses of one job; what a server closes meanwhile is noticed before it is used.
_IDLE_SECONDS = 30.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ConnectionPool:
    """Connections to the host of one base URL.

    Attributes:
        closings: how many times it has been closed.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_tls else 80)
        self._authority, self._path = parts.netloc, parts.path
        self._proxy = _find_proxy(parts.scheme, self._host)
        self._idle: deque[tuple[float, http.client.HTTPConnection]] = deque()
        self.closings = 0
        self._pid = os.getpid()

    @property
    def headers(self) -> dict[str, str]:
        """What every request needs because of the proxy between."""
        return _proxy_headers(self._proxy) if self._proxy and not self._is_tls else {}

    def target(self, path: str) -> str:
        """Return what stands in the request line for `path`, which follows the base URL's own path."""
        origin = f"http://{self._authority}" if self._proxy and not self._is_tls else ""
        return f"{origin}{self._path}{path}"

    def take(self) -> http.client.HTTPConnection | None:
        """Return an idle connection that the server has not closed, if there is one."""
        if self._pid != os.getpid():
            self._close_idle()  # these are the parent's: only this process' handles of them are closed
            self._pid = os.getpid()
        while True:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < _IDLE_SECONDS and _is_quiet(connection):
                return connection
            connection.close()

    def make(self) -> http.client.HTTPConnection:
        """Return a connection that is not connected yet."""
        host, port = (self._proxy.hostname or "", self._proxy.port or 80) if self._proxy else (self._host, self._port)
        if not self._is_tls:
            return http.client.HTTPConnection(host, port)
        connection = http.client.HTTPSConnection(host, port, context=_tls_context())
        if self._proxy:
            connection.set_tunnel(self._host, self._port, headers=_proxy_headers(self._proxy))
        return connection

    def give_back(self, connection: http.client.HTTPConnection, closings: int) -> None:
        """Keep a connection whose answer has been read for the next request, unless the pool was closed meanwhile.

        Args:
            connection: what `take` or `make` returned.
            closings: what the attribute said before that.
        """
        if connection.sock is None:  # http.client has closed it when the server said so
            return
        self._idle.append((time.monotonic(), connection))
        if closings != self.closings:  # looked at last, so that a `close` at this very moment misses nothing
            self._close_idle()

    def close(self) -> None:
        """Close the idle connections, and those that are in use as soon as they are given back."""
        self.closings += 1
        self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):  # several threads may be at it
            while True:
                self._idle.pop()[1].close()


def _is_quiet(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing has arrived; on an idle connection only its end can."""
    if connection.sock is None:
        return False
    poll = select.poll() if hasattr(select, "poll") else None  # select() fails on large handles; Windows has no poll
    if poll is None:
        return not select.select([connection.sock], [], [], 0)[0]
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)


def _find_proxy(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy that the environment names for `host`; this machine is reached directly.

    The system's own settings are not asked: on macOS that crashes forked children.
    """
    is_exempt = cast("Callable[[str], bool]", vars(urllib.request)["proxy_bypass_environment"])  # unknown to type stubs
    if host in _LOOPBACK or is_exempt(host):
        return None
    proxies = urllib.request.getproxies_environment()
    url = proxies.get(scheme) or proxies.get("all")
    if not url:
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise BadSetting(f"The proxy for {scheme} is of kind {parts.scheme!r}: only http:// proxies are supported.")
    return parts


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode()}


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return the system's certificates and certifi's, loaded once a process: it takes 35 ms."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
