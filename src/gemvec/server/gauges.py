"""How things stand, asked when Prometheus scrapes: what waits for the model, batches by state, files, the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gemvec.cache import CachedEmbedder
from gemvec.errors import StorageFailure
from gemvec.gateway.upstream import UpstreamEmbedder
from gemvec.logs import get_logger
from gemvec.models.scheduler import Load
from gemvec.server.services import Services

log = get_logger("server")

_LOADS = (
    (GaugeMetricFamily, "gemvec_waiting_tokens", "Tokens that wait to be computed.", "waiting_tokens"),
    (
        CounterMetricFamily,
        "gemvec_computed_tokens",
        "Tokens computed in this process, those of batches too.",
        "computed_tokens",
    ),
    (
        CounterMetricFamily,
        "gemvec_padded_tokens",
        "The same with each text as long as the longest of its micro-batch.",
        "padded_tokens",
    ),
    (CounterMetricFamily, "gemvec_micro_batches", "Micro-batches computed.", "micro_batches"),
    (CounterMetricFamily, "gemvec_busy_seconds", "Time spent computing, that of all streams added up.", "busy_seconds"),
)


class Gauges(Collector):
    """Collects from the parts of a running server; a part that cannot be asked is left out, and the log says so."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are not checked by asking the database before the server runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield how things stand."""
        embedder = self._services.embedder
        if isinstance(embedder, CachedEmbedder):
            yield from _cache_metrics(embedder)
            embedder = embedder.embedder
        if isinstance(embedder, UpstreamEmbedder):
            yield from _upstream_metrics(embedder)
        yield from _load_metrics(getattr(embedder, "loads", {}))
        try:
            yield from _stored_metrics(self._services)
        except StorageFailure as error:
            log.error(error.message, extra={"error": type(error).__name__})  # noqa: TRY400 - no traceback to learn from


def _load_metrics(loads: Mapping[str, Load]) -> Iterator[Metric]:
    for kind, name, summary, attribute in _LOADS if loads else ():
        family = kind(name, summary, labels=["model"])
        for model, load in loads.items():
            family.add_metric([model], getattr(load, attribute))
        yield family


def _cache_metrics(embedder: CachedEmbedder) -> Iterator[Metric]:
    stats = embedder.cache.stats()
    yield CounterMetricFamily("gemvec_cache_hits", "Texts answered from the cache.", value=stats.hits)
    yield CounterMetricFamily("gemvec_cache_misses", "Texts that had to be computed.", value=stats.misses)
    yield GaugeMetricFamily("gemvec_cache_entries", "Embeddings in the cache.", value=stats.entries)
    yield GaugeMetricFamily("gemvec_cache_bytes", "What they take on disk.", value=stats.used_bytes)


def _upstream_metrics(embedder: UpstreamEmbedder) -> Iterator[Metric]:
    yield CounterMetricFamily("gemvec_upstream_calls", "Calls begun to the upstream server.", value=embedder.calls)
    yield CounterMetricFamily("gemvec_upstream_texts", "The texts in them.", value=embedder.texts)
    yield GaugeMetricFamily(
        "gemvec_upstream_waiting_texts", "Texts that wait to be sent there.", value=embedder.waiting_texts
    )


def _stored_metrics(services: Services) -> Iterator[Metric]:
    if services.batches is not None:
        batches = GaugeMetricFamily("gemvec_batches", "Batches that are kept, by state.", labels=["state"])
        for state, count in services.batches.store.count_by_state().items():
            batches.add_metric([state], count)
        yield batches
    if services.files is not None:
        stored = services.files.figures()
        yield GaugeMetricFamily("gemvec_files", "Files that are kept, results of batches too.", value=stored.files)
        yield GaugeMetricFamily("gemvec_file_bytes", "What they take on disk.", value=stored.size_bytes)
