"""The application: the route table, and the layers around it that every request passes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.server.auth import Authenticator, open_authenticator
from gemvec.server.budget import STREAM_BYTES
from gemvec.server.context import Services
from gemvec.server.errors import Dialect
from gemvec.server.heads import HeadRules
from gemvec.server.injection import FaultInjection, parse_faults
from gemvec.server.key_ring import KeyRing
from gemvec.server.keys import KeyStore
from gemvec.server.limits import Limiter
from gemvec.server.metrics import Metrics
from gemvec.server.middleware import Authenticated, BodyLimit, BodyTurns, Budgeted, ErrorAnswers, Gate, Gated
from gemvec.server.observed import Observed
from gemvec.server.origins import answer_browsers, check_origins
from gemvec.server.pass_through import REST
from gemvec.server.route import Handler, Route
from gemvec.server.router import Rest, Router
from gemvec.server.routes import ROUTES
from gemvec.server.streams import Streams
from gemvec.server.tracing import Traced, Tracing, open_tracing


def create_app(services: Services) -> Starlette:
    """Return the ASGI application that serves `services`.

    `app.state` has `services`, `gate` (close it to drain), `routes` (the table), `authenticator`, `limiter`, `metrics`,
    `streams` and `tracing`.

    Raises:
        BadSetting: `inject`, `otlp_endpoint` or `allow_origin` cannot be used.
    """
    settings, gate = services.settings, Gate()
    check_origins(settings.allow_origin)
    limiter, metrics = Limiter(services.limits, services.meter), Metrics(services)
    tracing = open_tracing(settings.otlp_endpoint) if settings.otlp_endpoint else None
    authenticator = open_authenticator(settings, KeyRing(KeyStore(services.database)))
    layers = _layers(services, gate, limiter, tracing, authenticator)
    app = _App(
        Router([(route, layers(route)) for route in ROUTES], _open_rest(services, layers)),
        middleware=[
            Middleware(Observed, metrics=metrics),
            Middleware(HeadRules, max_bytes=settings.max_header_bytes),
            *answer_browsers(settings.allow_origin),
            Middleware(ErrorAnswers),
        ],
        lifespan=_lifespan,
    )
    app.state.services, app.state.gate, app.state.routes = services, gate, ROUTES
    app.state.limiter, app.state.metrics, app.state.tracing = limiter, metrics, tracing
    app.state.authenticator, app.state.streams = authenticator, Streams()
    return app


def _layers(
    services: Services, gate: Gate, limiter: Limiter, tracing: Tracing | None, authenticator: Authenticator
) -> Callable[[Route], ASGIApp]:
    """Return a function that wraps a route's handler in the layers that apply to it."""
    settings, faults = services.settings, parse_faults(services.settings.inject)
    call_bytes = limiter.max_body_bytes(settings.max_request_bytes)
    turns = BodyTurns()
    bounds = {"call": call_bytes, "batch": settings.max_request_bytes}

    def layers(route: Route) -> ASGIApp:
        app: ASGIApp = _Handled(route.handler)
        if route.body != "stream":
            app = BodyLimit(app, bounds[route.body], turns)
        app = Budgeted(app, services.memory, stream_bytes=STREAM_BYTES if route.body == "stream" else 0)
        if route.access in {"key", "admin"}:
            app = Authenticated(app, authenticator, services.usage, needs_admin=route.access == "admin")
        if not route.is_api:
            return app
        app = FaultInjection(app, faults) if settings.inject else app
        return Gated(Traced(ErrorAnswers(app), tracing) if tracing else app, gate)

    return layers


def _open_rest(services: Services, layers: Callable[[Route], ASGIApp]) -> Rest | None:
    """Return what answers calls without a route; None if nothing does."""
    pass_through = services.pass_through
    if pass_through is None:
        return None

    def takes(path: str, dialect: Dialect) -> bool:
        return pass_through.takes(path, is_geminis=dialect is Dialect.GEMINI)

    return Rest(takes=takes, route=REST, app=layers(REST))


class _App(Starlette):
    """Starlette's application with our layers and our router, without its own, which every request would pass too."""

    def __init__(self, router: Router, **options: Any) -> None:
        super().__init__(**options)
        self._own_router = router

    def build_middleware_stack(self) -> ASGIApp:
        """Return the layers around the router."""
        app: ASGIApp = self._route
        for layer in reversed(self.user_middleware):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._own_router(scope, receive, send)
        else:
            await self.router(scope, receive, send)


class _Handled:
    """A handler as an ASGI application."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handler(Request(scope, receive, send))
        await response(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        if app.state.tracing:
            await stack.enter_async_context(app.state.tracing.sending())
        for lifespan in app.state.services.lifespans:
            await stack.enter_async_context(lifespan())
        yield
