"""The SQL that runs for every chunk. Statements are built once: building one costs five times what running it does.

As in `rows.py`, a job's row is touched before the rows of its chunks. A claim is (job number, chunk index, lease); it
holds while the chunk is running under that lease, and is void once another claim or the end of the job came after it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, exists, func, select, update

from gemvec.batches.isolation import Isolation, format_isolation
from gemvec.batches.job import Chunk, ChunkResult, ChunkState, ChunkTask
from gemvec.batches.rows import CHUNK_COLUMNS, chunk_of
from gemvec.storage.schema import chunks, jobs, keys

# How many chunks an owner's turn has; the operator gives a key's.
_TURN_CHUNKS = func.coalesce(select(keys.c.weight).where(keys.c.key_id == jobs.c.owner).scalar_subquery(), 1)

# In the order of the index ix_jobs_turn, so that it ends with the first job that has a chunk to claim.
_CLAIMABLE = (
    select(jobs.c.job_number, jobs.c.batch_id, jobs.c.owner, jobs.c.model, jobs.c.weights, jobs.c.state, _TURN_CHUNKS)
    .where(
        jobs.c.ended_at.is_(None),
        jobs.c.ending_state.is_(None),
        exists().where(chunks.c.job_number == jobs.c.job_number, chunks.c.state == ChunkState.PENDING),
        jobs.c.weights.in_(bindparam("weights", expanding=True)),
        jobs.c.job_number.not_in(bindparam("parked", expanding=True)),
    )
    .order_by(jobs.c.owner, jobs.c.priority.desc(), jobs.c.job_number)
    .limit(1)
)
_FIRST_JOB = _CLAIMABLE.with_for_update()
_SAME_OWNERS_JOB = _FIRST_JOB.where(jobs.c.owner == bindparam("last_owner"))
_NEXT_OWNERS_JOB = _FIRST_JOB.where(jobs.c.owner > bindparam("last_owner"))

_FIRST_PENDING = select(func.min(chunks.c.chunk_index)).where(
    chunks.c.job_number == bindparam("of_job"), chunks.c.state == ChunkState.PENDING
)
_CLAIM = (
    update(chunks)
    .where(chunks.c.job_number == bindparam("of_job"), chunks.c.chunk_index == _FIRST_PENDING.scalar_subquery())
    .values(state=ChunkState.RUNNING, lease=chunks.c.lease + 1, claimed_by=bindparam("by"))
    .returning(*CHUNK_COLUMNS)
)

_COUNT = (
    update(jobs)
    .where(jobs.c.job_number == bindparam("of_job"), jobs.c.ended_at.is_(None), jobs.c.ending_state.is_(None))
    .values(
        successful_count=jobs.c.successful_count + bindparam("more_successful"),
        failed_count=jobs.c.failed_count + bindparam("more_failed"),
        updated_at=bindparam("now"),
    )
    .returning(jobs.c.request_count - jobs.c.successful_count - jobs.c.failed_count)
)

_HELD = update(chunks).where(
    chunks.c.job_number == bindparam("of_job"),
    chunks.c.chunk_index == bindparam("of_chunk"),
    chunks.c.lease == bindparam("of_lease"),
    chunks.c.state == ChunkState.RUNNING,
)
_FINISH = _HELD.values(
    state=ChunkState.DONE,
    successful_count=bindparam("its_successful"),
    failed_count=bindparam("its_failed"),
    part_crc32=bindparam("its_crc32"),
)
_RELEASE = _HELD.values(state=ChunkState.PENDING)
_RECORD = _HELD.values(isolation=bindparam("its_isolation"))


class NextJob(NamedTuple):
    """What a claim has to know about a job."""

    job_number: int
    batch_id: str
    owner: str
    model: str
    weights: str
    state: str
    turn_chunks: int


def next_job(
    connection: Connection,
    weights: Collection[str],
    parked: Collection[int] = (),
    *,
    last_owner: str = "",
    goes_on: bool = False,
) -> NextJob | None:
    """Return the open job that goes first among those with an unclaimed chunk.

    Owners take turns; of the next owner's jobs, the one with the highest priority goes first, then the oldest.

    Args:
        connection: a writing transaction.
        weights: what can be computed with now.
        parked: numbers of jobs to leave alone.
        last_owner: whose turn was last.
        goes_on: whether it is still its turn, if it has something to do.
    """
    values = {"weights": list(weights), "parked": list(parked)}
    after = values | {"last_owner": last_owner}
    row = connection.execute(_SAME_OWNERS_JOB, after).one_or_none() if goes_on else None
    row = row or connection.execute(_NEXT_OWNERS_JOB, after).one_or_none()
    row = row or connection.execute(_FIRST_JOB, values).one_or_none()
    return None if row is None else NextJob(*row)


def has_claimable(connection: Connection, weights: Collection[str], parked: Collection[int] = ()) -> bool:
    """Return whether there is an unclaimed chunk; parameters as of `next_job`, but nothing is locked."""
    return connection.execute(_CLAIMABLE, {"weights": list(weights), "parked": list(parked)}).first() is not None


def claim_chunk(connection: Connection, job_number: int, by: str | None = None) -> Chunk | None:
    """Claim the first unclaimed chunk of a job; its lease grows. `by` is the server, if several share the store."""
    row = connection.execute(_CLAIM, {"of_job": job_number, "by": by}).mappings().one_or_none()
    return None if row is None else chunk_of(row)


def count_result(connection: Connection, job_number: int, result: ChunkResult, now: datetime) -> int | None:
    """Add a chunk's counts to its open job; return how many requests are pending then, None when it is not open."""
    more = {"more_successful": result.successful_count, "more_failed": result.failed_count, "now": now}
    return connection.scalar(_COUNT, {"of_job": job_number, **more})


def finish_chunk(connection: Connection, task: ChunkTask, result: ChunkResult) -> bool:
    """Mark a claimed chunk done; return False when the claim is void."""
    counts = {
        "its_successful": result.successful_count,
        "its_failed": result.failed_count,
        "its_crc32": result.part_crc32,
    }
    return connection.execute(_FINISH, _claim_of(task) | counts).rowcount > 0


def release_chunk(connection: Connection, task: ChunkTask) -> None:
    """Release a chunk so that it can be claimed again, if this claim still holds."""
    release_claim(connection, task.job_number, task.chunk_index, task.lease)


def release_claim(connection: Connection, job_number: int, chunk_index: int, lease: int) -> None:
    """Release a chunk so that it can be claimed again, if the claim of this lease still holds."""
    connection.execute(_RELEASE, {"of_job": job_number, "of_chunk": chunk_index, "of_lease": lease})


def record_isolation(connection: Connection, task: ChunkTask, isolation: Isolation) -> None:
    """Record how far the search in a claimed chunk has come, if this claim still holds."""
    connection.execute(_RECORD, _claim_of(task) | {"its_isolation": format_isolation(isolation)})


def _claim_of(task: ChunkTask) -> dict[str, Any]:
    return {"of_job": task.job_number, "of_chunk": task.chunk_index, "of_lease": task.lease}
