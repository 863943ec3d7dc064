"""The application: the route table, with what every request passes through around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.server.auth import Authenticator
from gemvec.server.errors import error_response
from gemvec.server.heads import HeadRules
from gemvec.server.injection import Injected, parse_faults
from gemvec.server.keys import KeyRing, KeyStore
from gemvec.server.limits import Limiter, limits_of
from gemvec.server.metrics import Measured, Metrics
from gemvec.server.middleware import AccessLog, Authenticated, BodyLimit, ErrorAnswers, Gate, Gated, RequestId
from gemvec.server.origins import answer_browsers, check_origins
from gemvec.server.router import Router
from gemvec.server.routes import ROUTES
from gemvec.server.row import Handler, Row
from gemvec.server.services import Services
from gemvec.server.tracing import Traced, Tracing, open_tracing


def create_app(services: Services) -> Starlette:
    """Return the ASGI application that serves `services`.

    `app.state` has `services`, `gate` (close it to drain), `rows` (the route table), `limiter`, `metrics` and
    `tracing`.

    Raises:
        BadSetting: `inject`, `otlp_endpoint` or `allow_origin` cannot be used.
    """
    settings, gate = services.settings, Gate()
    check_origins(settings.allow_origin)
    limiter, metrics = Limiter(services.limits or limits_of(settings)), Metrics(services)
    tracing = open_tracing(settings.otlp_endpoint) if settings.otlp_endpoint else None
    layers = _layers(services, gate, limiter, tracing)
    app = Starlette(
        routes=[Mount("", Router([(row, layers(row)) for row in ROUTES]))],
        middleware=[
            Middleware(RequestId),
            Middleware(AccessLog),
            Middleware(Measured, metrics=metrics),
            Middleware(HeadRules, max_bytes=settings.max_header_bytes),
            *answer_browsers(settings.allow_origin),
            Middleware(ErrorAnswers),
        ],
        exception_handlers={HTTPException: _answer_router},
        lifespan=_lifespan,
    )
    app.state.services, app.state.gate, app.state.rows = services, gate, ROUTES
    app.state.limiter, app.state.metrics, app.state.tracing = limiter, metrics, tracing
    return app


def _layers(services: Services, gate: Gate, limiter: Limiter, tracing: Tracing | None) -> Callable[[Row], ASGIApp]:
    """Return what puts around a row's handler the layers that apply to it."""
    settings, faults = services.settings, parse_faults(services.settings.inject)
    ring = KeyRing(KeyStore(services.database)) if services.database else None
    authenticator = Authenticator(settings.api_key, ring, origins=settings.allow_origin, host=settings.host)

    def layers(row: Row) -> ASGIApp:
        app: ASGIApp = _Handled(row.handler)
        if row.reads_whole_body:
            most_bytes = limiter.most_body_bytes(settings.max_request_bytes, is_batch=row.group == "Batches")
            app = BodyLimit(app, most_bytes)
        if row.access == "key":
            app = Authenticated(app, authenticator)
        if not row.is_api:
            return app
        app = Injected(app, faults) if settings.inject else app
        return Gated(Traced(app, tracing) if tracing else app, gate)

    return layers


class _Handled:
    """A handler as an ASGI application."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handler(Request(scope, receive, send))
        await response(scope, receive, send)


def _answer_router(request: Request, error: Exception) -> Response:
    return error_response(error, request.scope)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        if app.state.tracing:
            await stack.enter_async_context(app.state.tracing.sending())
        for lifespan in app.state.services.lifespans:
            await stack.enter_async_context(lifespan())
        yield
