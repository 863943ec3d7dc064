"""A server that answers every call with what it got, for tools that let a gemvec server pass calls on."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_EVENTS = 5


@contextmanager
def echoing() -> Generator[str]:
    """Serve on a free port in a thread for as long as the context lasts; yields the address."""
    app = Starlette(routes=[Route("/{path:path}", _echo, methods=_METHODS)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


async def _echo(request: Request) -> Response:
    body = await request.body()
    if "stream" in request.url.path:
        return StreamingResponse(_events(body), media_type="text/event-stream")
    return Response(body, media_type="application/json")


async def _events(body: bytes) -> AsyncGenerator[bytes]:
    for _ in range(_EVENTS):
        yield b"data: " + body + b"\r\n\r\n"
