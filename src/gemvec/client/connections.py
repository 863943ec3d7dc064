"""Connections to servers, pooled by urllib3 (`Connections`), and the connection of one exchange (`Hold`).

This module does what urllib3 leaves to its caller: it finds the proxy in the environment, chooses the trusted
certificates, keeps a forked child away from its parent's connections, and ends an exchange from another thread.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from gemvec.errors import BadSetting, MissingDependency

# Long enough for the pauses of one job; a connection that the server has closed meanwhile is noticed before use.
_IDLE_SECONDS = 30.0
# Idle connections kept for one server; exchanges beyond these close theirs.
_MAX_IDLE = 64
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_HTTP_PROXIES = {"http", "https"}
_SOCKS_PROXIES = {"socks4", "socks4a", "socks5", "socks5h"}

# Pools that were open when this process was forked. Freeing them here would wait for locks of the parent's threads.
_abandoned: list[urllib3.PoolManager] = []


class Hold:
    """The connection that one exchange holds, so that another thread can end the exchange.

    Attributes:
        seconds: timeout of one step on the connection.
        is_connected: whether a connection was established.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_connected = False
        self.is_ended = False
        self._lock = threading.Lock()  # so that `end` never closes a connection that another exchange uses by now
        self._connection: HTTPConnection | None = None

    def take(self, connection: HTTPConnection) -> None:
        """Hold an established connection.

        Raises:
            ConnectionAbortedError: the exchange was ended already.
        """
        self.is_connected = True
        with self._lock:
            self._connection = connection
            if self.is_ended:
                raise ConnectionAbortedError("cancelled")

    def let_go(self) -> None:
        """Release the connection: the answer has been read."""
        with self._lock:
            self._connection = None

    def end(self) -> None:
        """End the exchange if it is still under way."""
        with self._lock:
            self.is_ended = True
            if self._connection is not None and self._connection.sock is not None:
                with contextlib.suppress(OSError):
                    self._connection.sock.shutdown(socket.SHUT_RDWR)


# The exchange that runs in this thread.
current_hold: ContextVar[Hold] = ContextVar("current_hold")


class _Held(HTTPConnection):
    """A connection that registers with the exchange that uses it, and expires after `_IDLE_SECONDS`."""

    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether it is established and may be used again."""
        return super().is_connected and time.monotonic() - self._used_at < _IDLE_SECONDS

    def connect(self) -> None:
        """Connect within the connect timeout; later steps have the exchange's timeout."""
        super().connect()
        self._hold()
        cast("socket.socket", self.sock).settimeout(self.timeout)

    def request(self, *arguments: Any, **options: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send a request."""
        if self.sock is not None:
            self._hold()
        super().request(*arguments, **options)

    def getresponse(self) -> urllib3.HTTPResponse:
        """Read the head of the answer."""
        self._used_at = time.monotonic()
        return super().getresponse()

    def _hold(self) -> None:
        hold = current_hold.get()
        hold.take(self)
        self.timeout = hold.seconds


class Connections:
    """Connections to any number of servers, through the proxies that the environment names.

    Shared by threads, and usable after a fork: the child opens its own.
    """

    def __init__(self) -> None:
        self._managers: dict[tuple[str, str | None], urllib3.PoolManager] = {}  # by scheme and proxy
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def of(self, url: str) -> tuple[HTTPConnectionPool | urllib3.PoolManager, str]:
        """Return what sends requests to `url`, and the name that it has there.

        Raises:
            BadSetting: the environment names a proxy that cannot be used.
            MissingDependency: it names a SOCKS proxy, and PySocks is not installed.
        """
        if self._pid != os.getpid():
            _abandoned.extend(self._managers.values())
            self._managers, self._lock, self._pid = {}, threading.Lock(), os.getpid()
        parts, proxy = urlsplit(url), find_proxy(url)
        manager = self._manager_of(parts.scheme, proxy)
        if proxy is not None:
            return manager, url
        # The manager would parse the URL once more and think of redirects, which costs a tenth of a short call.
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        return manager.connection_from_host(parts.hostname, parts.port, parts.scheme), target or "/"

    def _manager_of(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        with self._lock:
            if (scheme, proxy) not in self._managers:
                self._managers[scheme, proxy] = _open_manager(scheme, proxy)
            return self._managers[scheme, proxy]

    def close(self) -> None:
        """Close the idle connections now, and the others as soon as their answers are read."""
        if self._pid == os.getpid():
            for manager in list(self._managers.values()):
                manager.clear()


def find_proxy(url: str) -> str | None:
    """Return the proxy that the environment names for `url`; None for this machine itself.

    The operating system's settings are ignored: reading them on macOS crashes forked children.

    Raises:
        BadSetting: the proxy cannot be used.
        MissingDependency: it is a SOCKS proxy, and PySocks is not installed.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_exempt = cast("Callable[[str], bool]", vars(urllib.request)["proxy_bypass_environment"])  # unknown to type stubs
    if host in _LOOPBACK or is_exempt(host):
        return None
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    kind = urlsplit(proxy).scheme.lower()
    if kind not in _HTTP_PROXIES | _SOCKS_PROXIES or not urlsplit(proxy).hostname:
        raise BadSetting(f"The proxy for {parts.scheme} has scheme {kind!r}: expected http, https or socks5.")
    if kind in _SOCKS_PROXIES and importlib.util.find_spec("socks") is None:
        raise MissingDependency(
            f"The proxy for {parts.scheme} has scheme {kind!r}, which needs PySocks.", extra="socks"
        )
    return proxy


def _open_manager(scheme: str, proxy: str | None) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": _MAX_IDLE} | ({"ssl_context": _tls_context()} if scheme == "https" else {})
    kind = urlsplit(proxy or "").scheme.lower()
    if proxy is None:
        manager = urllib3.PoolManager(**options)
    elif kind in _SOCKS_PROXIES:
        from urllib3.contrib.socks import SOCKSProxyManager

        manager = SOCKSProxyManager(proxy, **options)
    else:
        if kind == "https":
            options["proxy_ssl_context"] = _tls_context()
        manager = urllib3.ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **options)
    kinds = {name: _holding(each) for name, each in manager.pool_classes_by_scheme.items()}
    cast("Any", manager).pool_classes_by_scheme = kinds
    return manager


@functools.cache
def _holding(kind: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """Return a subclass of `kind` whose connections register with the exchange that uses them."""
    connection = type("_HeldConnection", (_Held, kind.ConnectionCls), {})
    return type(kind.__name__, (kind,), {"ConnectionCls": connection})


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    return urllib3.make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return a context that trusts the system's and certifi's certificates; loading them is slow, so only once."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
