"""`RayExecutor`: chunks of batches run on a Ray cluster. The server's side."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.batches.lines import CHUNK_REQUESTS, FAST_CHUNK_REQUESTS
from gemvec.errors import ClusterUnavailable
from gemvec.figures import Figure
from gemvec.logs import get_logger
from gemvec.ray.cluster import Cluster
from gemvec.ray.driver_process import DriverEndedError
from gemvec.ray.messages import ClusterSpec, Failed, Notice

_log = get_logger("batches")


class ChunkFailedError(Exception):
    """A chunk failed on a node for a reason that is not known to pass; the log has it."""


class RayExecutor:
    """Runs chunks on the actors of a Ray cluster."""

    is_apart = True

    def __init__(self, spec: ClusterSpec, *, fast: Collection[str] = ()) -> None:
        """Join the cluster.

        Args:
            spec: which cluster, and what its actors are like.
            fast: weights that are so fast that a larger chunk is better for them.

        Raises:
            ClusterUnavailable: it cannot be joined; the message says why.
        """
        self._fast = fast
        self.chunks_in_flight = spec.pieces_in_flight
        self._cluster = Cluster(spec, _log_notice)

    def chunk_requests(self, weights: str) -> int:
        """Return how many requests make a good chunk for a model."""
        return FAST_CHUNK_REQUESTS if weights in self._fast else CHUNK_REQUESTS

    async def run(self, task: ChunkTask) -> ChunkResult:
        """Run one chunk.

        Raises:
            ClusterUnavailable: it cannot be computed now.
            StorageFailure: as `run_chunk`.
        """
        try:
            outcome = await self._cluster.run(task)
        except DriverEndedError:
            raise _ended() from None
        if outcome.error is not None:
            raise outcome.error
        if outcome.failure is not None:
            raise _error_of(task, outcome.failure)
        if not isinstance(outcome.result, ChunkResult):  # it was stopped with the driver
            raise _ended()
        return outcome.result

    def figures(self) -> Iterable[Figure]:
        """Return figures on the actors and what is given to them."""
        now = self._cluster.status
        actors, chunks = "Actors on the Ray cluster", "Chunks of batches on the Ray cluster"
        yield Figure(name="ray_actors", summary=actors, value=now.ready, labels={"state": "ready"})
        yield Figure(name="ray_actors", summary=actors, value=now.starting, labels={"state": "starting"})
        yield Figure(name="ray_chunks", summary=chunks, value=now.computing, labels={"state": "computing"})
        yield Figure(name="ray_chunks", summary=chunks, value=now.waiting, labels={"state": "waiting"})
        yield Figure(name="ray_lost_actors", summary="Actors that were lost", value=now.lost, is_total=True)
        yield Figure(
            name="ray_refused_actors",
            summary="Actors whose node cannot compute, such as with another version of gemvec",
            value=now.refused,
            is_total=True,
        )

    async def close(self) -> None:
        """Leave the cluster; its actors end with that."""
        await self._cluster.close()


def _log_notice(notice: Notice) -> None:
    where = {"node": notice.node} if notice.node else {}
    _log.warning(notice.message, extra={"reason": notice.reason, **where})


def _ended() -> ClusterUnavailable:
    return ClusterUnavailable("The driver of the Ray cluster has ended; it is started again.")


def _error_of(task: ChunkTask, failure: Failed) -> Exception:
    extra = {"batch": task.batch_id, "chunk": task.chunk_index, "reason": failure.reason}
    _log.warning("a chunk failed on the Ray cluster", extra=extra)
    return ClusterUnavailable(f"A chunk failed there: {failure.reason}.") if failure.may_pass else ChunkFailedError()
