"""Traces by OpenTelemetry, if `--otlp-endpoint` is given; otherwise OpenTelemetry is not loaded.

A span has names, counts, statuses and durations. Exceptions are not recorded, because their messages may quote what the
caller sent. Of the caller's trace context only the ids are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

import gemvec
from gemvec.errors import BadSetting, MissingDependency
from gemvec.server.errors import INTERNAL
from gemvec.server.observed import CALLER_LEFT
from gemvec.spans import Attribute, traced_by

# Including retries: the longest time that a stopping server waits for a collector that does not answer.
_EXPORT_SECONDS = 3

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span


class Tracing:
    """Makes spans and sends them in a separate thread."""

    def __init__(self, provider: TracerProvider) -> None:
        """Use a provider, which `open_tracing` makes."""
        self._provider = provider
        self._tracer = provider.get_tracer("gemvec", gemvec.__version__)

    def open_span(self, name: str, attributes: Mapping[str, Attribute]) -> AbstractContextManager[object]:
        """Open a span inside the current one."""
        return self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        )

    def open_request(
        self, name: str, traceparent: str, attributes: Mapping[str, Attribute]
    ) -> AbstractContextManager[Span]:
        """Open the span of a request, as part of the caller's trace if there is one."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        return self._tracer.start_as_current_span(
            name,
            context=TraceContextTextMapPropagator().extract({"traceparent": traceparent}),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        )

    @asynccontextmanager
    async def sending(self) -> AsyncGenerator[None]:
        """Send spans for as long as the context lasts, and the remaining ones at its end."""
        try:
            yield
        finally:
            await asyncio.to_thread(self._provider.shutdown)


def open_tracing(endpoint: str) -> Tracing:
    """Start to send spans to a collector.

    Args:
        endpoint: of its OTLP receiver for HTTP; `/v1/traces` is added if it has no path.

    Raises:
        BadSetting: it is not an HTTP address.
        MissingDependency: OpenTelemetry is not installed.
    """
    address = urlsplit(endpoint)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise BadSetting("--otlp-endpoint cannot be used: expected an address such as http://127.0.0.1:4318.")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise MissingDependency("--otlp-endpoint needs OpenTelemetry.", extra="tracing") from error
    resource = Resource.create({"service.name": "gemvec", "service.version": gemvec.__version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    url = endpoint if address.path.strip("/") else endpoint.rstrip("/") + "/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=_EXPORT_SECONDS)))
    return Tracing(provider)


class Traced:
    """Opens a span around each request of a route, whose errors are answered inside it."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on inside its span."""
        state, route = scope["state"], scope["state"]["route"]
        attributes = {
            "http.request.method": route.method,
            "http.route": route.path,
            "gemvec.request_id": state["request_id"],
        }
        traceparent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        name = f"{route.method} {route.path}"
        with self._tracing.open_request(name, traceparent, attributes) as span, traced_by(self._tracing.open_span):
            try:
                await self._app(scope, receive, send)
            finally:
                _describe(span, state)


def _describe(span: Span, state: Mapping[str, Any]) -> None:
    """Record how the request was answered, or that its caller hung up."""
    from opentelemetry.trace import StatusCode

    status: int = state["status"]
    if status == CALLER_LEFT:
        span.set_attribute("error.type", "CANCELLED")
    else:
        span.set_attribute("http.response.status_code", status)
    if error := state.get("error"):
        span.set_attribute("error.type", error)
    if status >= INTERNAL.http_code:
        span.set_status(StatusCode.ERROR)
    if model := state.get("model"):
        span.set_attribute("gemvec.model", model.name)
