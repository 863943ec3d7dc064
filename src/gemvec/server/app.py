"""The application: the route table, and the layers around it that every request passes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.server.auth import Authenticator, open_authenticator
from gemvec.server.budget import STREAM_BYTES
from gemvec.server.context import Services
from gemvec.server.errors import Dialect, error_response
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
    app = Starlette(
        routes=[_EveryPath(Router([(route, layers(route)) for route in ROUTES], _open_rest(services, layers)))],
        middleware=[
            Middleware(Observed, metrics=metrics),
            Middleware(HeadRules, max_bytes=settings.max_header_bytes),
            *answer_browsers(settings.allow_origin),
            Middleware(ErrorAnswers),
        ],
        exception_handlers={HTTPException: _answer_router},
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


class _EveryPath(BaseRoute):
    """Starlette's route to the router, which takes every path as it is."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def matches(self, scope: Scope) -> tuple[Match, Scope]:  # noqa: ARG002 - the router looks at it
        return Match.FULL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)


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
