"""Figures that are read when Prometheus scrapes: each part of the server reports its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gemvec.errors import StorageFailure
from gemvec.figures import Figure
from gemvec.logs import get_logger
from gemvec.server.context import Services

log = get_logger("server")


class Gauges(Collector):
    """Collects figures from the parts of a running server; a part that fails is left out, and the log says so."""

    def __init__(self, services: Services) -> None:
        self._parts: tuple[Callable[[], Iterable[Figure]], ...] = (
            services.embedder.figures,
            services.batches.store.figures,
            services.batches.figures,
            services.files.figures,
            services.memory.figures,
            services.usage.figures,
            *([services.reranker.figures] if services.reranker else []),
        )

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are not checked, because that would ask the database before the server runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        for figures in self._parts:
            try:
                yield from _to_metrics(figures())
            except StorageFailure as error:
                log.error(error.message, extra={"error": type(error).__name__})  # noqa: TRY400 - the message says it all


def _to_metrics(figures: Iterable[Figure]) -> Iterable[Metric]:
    """Return one metric for all figures with one name."""
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for figure in figures:
        family = families.get(figure.name)
        if family is None:
            kind = CounterMetricFamily if figure.is_total else GaugeMetricFamily
            family = families[figure.name] = kind(f"gemvec_{figure.name}", figure.summary, labels=list(figure.labels))
        family.add_metric(list(figure.labels.values()), figure.value)
    return families.values()
