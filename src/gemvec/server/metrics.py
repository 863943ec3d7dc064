"""`GET /metrics` for Prometheus: requests and their results are counted here; other figures are read at each scrape.

No label contains what a caller wrote: routes, methods, statuses and states are from fixed sets, and models are those
that are served. `docs/operations.md` lists every metric.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    Metric,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

import gemvec
from gemvec.server.context import Services
from gemvec.server.gauges import Gauges
from gemvec.wire.status import RPC_CODES

_METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}
# From a cached answer to a batch of long texts behind a full queue, in seconds.
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The counts of one running server."""

    def __init__(self, services: Services) -> None:
        self.registry = CollectorRegistry()
        info = Info("gemvec", "Version of gemvec, and the weights that are served.", registry=self.registry)
        weights = sorted({model.weights for model in services.embedder.list_models()})
        info.info({"version": gemvec.__version__, "weights": ",".join(weights)})
        self.requests = Counter(
            "gemvec_requests",
            "Requests that were answered, or whose caller hung up (499).",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.errors = Counter(
            "gemvec_errors",
            "Requests answered with an error, by its canonical name.",
            ["error"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "gemvec_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["route", "method"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "gemvec_requests_in_progress", "Requests that are being answered.", registry=self.registry
        )
        self.texts = Counter(
            "gemvec_texts",
            "Texts embedded or scored in interactive calls, by served name.",
            ["model"],
            registry=self.registry,
        )
        self.tokens = Counter("gemvec_tokens", "Tokens of these texts.", ["model"], registry=self.registry)
        self.truncated = Counter(
            "gemvec_truncated_texts",
            "Those of these texts that were cut at the model's token limit.",
            ["model"],
            registry=self.registry,
        )
        self._of_models: dict[str, tuple[Counter, ...]] = {}
        self.registry.register(Gauges(services))
        ProcessCollector(registry=self.registry)

    def note_texts(self, model: str, texts: int, tokens: int, *, truncated: int) -> None:
        """Count texts that a model embedded or scored."""
        of_model = self._of_models.get(model)
        if of_model is None:  # to find them by their label takes longer than to count
            counters = (self.texts, self.tokens, self.truncated)
            of_model = self._of_models[model] = tuple(each.labels(model) for each in counters)
        for counter, count in zip(of_model, (texts, tokens, truncated), strict=True):
            if count:
                counter.inc(count)

    def note_request(self, scope: Scope, seconds: float) -> None:
        """Count a request that is over."""
        state = scope["state"]
        route, method = state.get("route"), method_of(scope)
        path = route.path if route else "-"
        self.requests.labels(path, method, state["status"]).inc()
        self.seconds.labels(path, method).observe(seconds)
        if error := state.get("error"):
            self.errors.labels(error if error in RPC_CODES else "UNKNOWN").inc()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, without the creation times that the library adds to each."""
        for family in self.registry.collect():
            family.samples = [each for each in family.samples if not each.name.endswith("_created")]
            yield family


def method_of(scope: Scope) -> str:
    """Return the method of a request for logs and metrics: `other` for an unknown one."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def metrics_of(request: Request) -> Metrics:
    """Return the metrics of the server that `request` came to."""
    return cast("Metrics", request.app.state.metrics)


async def metrics(request: Request) -> Response:
    """Answer with every metric; a thread asks the database."""
    collector = cast("CollectorRegistry", metrics_of(request))
    return Response(await asyncio.to_thread(generate_latest, collector), media_type=CONTENT_TYPE_LATEST)
