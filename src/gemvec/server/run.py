"""Serving with uvicorn, in the foreground or in a thread; requests in progress are finished before it stops."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from types import FrameType

import uvicorn

from gemvec.errors import BadSetting
from gemvec.logs import get_logger
from gemvec.server.app import create_app
from gemvec.server.context import Services
from gemvec.server.middleware import Gate
from gemvec.server.protocol import bounded_protocol

log = get_logger("server")

# Longer than clients and proxies keep an idle connection, so that none of them writes into one that is being closed.
_KEEP_ALIVE_SECONDS = 75
# How long a thread that parses a large body keeps the interpreter while the event loop wants it. A small call needs the
# interpreter about ten times.
_SWITCH_SECONDS = 0.001
# How much of an unread answer the kernel may hold. By default it would take up to 4 MiB for each: a few hundred slow
# downloads would keep both the kernel and the event loop busy filling them, while others wait.
_SEND_BUFFER_BYTES = 2**18


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; nobody can connect until a server listens on it.

    Raises:
        BadSetting: the address does not exist or is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        with ExitStack() as cleanup:
            bound = cleanup.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # every connection inherits it
            bound.bind(address)
            cleanup.pop_all()
    except OSError as error:
        raise BadSetting(f"Cannot listen on --host {host} --port {port}: {error.strerror}.") from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Return the URL by which this machine reaches the socket."""
    host: str = bound.getsockname()[0]
    host, port = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), bound.getsockname()[1]  # noqa: S104 - translated, not listened on
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(services: Services, bound: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what is in progress, refuse what is new, and return.

    Args:
        services: what to serve; closed at the end.
        bound: a socket from `open_socket`; closed at the end.
        announce: called when the server answers requests.
    """
    _raise_file_limit()
    # Every collection stops all requests. What is loaded stays, so the collector need not look at it again and again.
    gc.freeze()
    sys.setswitchinterval(_SWITCH_SECONDS)
    _Server(services, announce).run(sockets=[bound])


@contextmanager
def serving(services: Services, host: str = "127.0.0.1", port: int = 0) -> Generator[str]:
    """Serve in a thread for as long as the context lasts; yield the server's URL."""
    started = threading.Event()
    server = _Server(services, started.set)
    bound = open_socket(host, port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="gemvec server", daemon=True)
    thread.start()
    while not started.wait(0.05):
        if not thread.is_alive():
            raise RuntimeError("the server did not start; its log says why")
    try:
        yield url_of(bound)
    finally:
        server.drain()
        thread.join()


class _Server(uvicorn.Server):
    """A server that drains.

    After a signal to stop, `/readyz` answers 503, and a balancer that asks it sends nothing more. After `drain_seconds`
    new requests get 503 until those in progress are finished.
    """

    def __init__(self, services: Services, announce: Callable[[], None]) -> None:
        app = create_app(services)
        super().__init__(
            uvicorn.Config(
                app,
                http=bounded_protocol(services.settings),
                lifespan="on",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=1,  # requests that are left after draining are cut off
            )
        )
        _show_errors_of("uvicorn.error")
        _show_errors_of("opentelemetry")
        self._gate: Gate = app.state.gate
        self._drain_seconds = services.settings.drain_seconds
        self._shutdown_seconds = services.settings.shutdown_seconds
        self._announce = announce
        self._close_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and announce it."""
        await super().startup(sockets)
        self._announce()

    def drain(self) -> None:
        """Say that requests will be refused, refuse them, and stop when nothing is in progress or the time is over."""
        self._gate.is_closing = True
        self._gate.is_closed = self._drain_seconds == 0
        self._close_at = time.monotonic() + self._drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at the second."""
        del sig, frame
        if self._close_at is None:
            log.info("stopping", extra={"in_progress": self._gate.in_progress})
            self.drain()
        else:
            self.force_exit = self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop now; called ten times a second."""
        now = time.monotonic()
        if self._close_at is not None and now >= self._close_at:
            self._gate.is_closed = True
            is_over = now >= self._close_at + self._shutdown_seconds
            self.should_exit = self.should_exit or is_over or self._gate.in_progress == 0
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and cut off clients that have not read their answers: a loop with open connections cannot close."""
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves the application to be torn down with the loop, and logs that as an error
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()
        for connection in self.server_state.connections:
            connection.transport.abort()
        await asyncio.sleep(0)  # the loop closes them in its next iteration


def _raise_file_limit() -> None:
    """Raise this process' limit of open connections: often a thousand by default, a hundred thousand at most."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _show_errors_of(name: str) -> None:
    """Show a library's errors among our own records; uvicorn warns of clients that do not speak valid HTTP."""
    logger = logging.getLogger(name)
    logger.handlers[:] = get_logger().handlers
    logger.setLevel(logging.ERROR)
    logger.propagate = False
