"""The SQL of jobs and chunks: each function is one statement or two on an open transaction.

A transaction always touches a job's row before the rows of its chunks, so that two transactions never wait for each
other. `FOR UPDATE` matters on PostgreSQL; on SQLite a writing transaction is alone anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update

from gemvec.batches.isolation import format_isolation, parse_isolation
from gemvec.batches.job import Chunk, ChunkResult, ChunkState, ChunkTask, Job
from gemvec.batches.lines import LineSpan
from gemvec.storage.schema import chunks, jobs
from gemvec.wire.batches import BatchState

CHUNK_COLUMNS = (
    chunks.c.chunk_index,
    chunks.c.state,
    chunks.c.lease,
    chunks.c.input_offset,
    chunks.c.input_bytes,
    chunks.c.input_crc32,
    chunks.c.request_count,
    chunks.c.successful_count,
    chunks.c.part_crc32,
    chunks.c.crashes,
    chunks.c.isolation,
)
_IS_OPEN = jobs.c.ended_at.is_(None) & jobs.c.ending_state.is_(None)


def job_of(row: RowMapping) -> Job:
    """Return the job in a row of `jobs`."""
    ending = row["ending_state"]
    values: dict[str, Any] = {**row, "state": BatchState(row["state"]), "ending_state": ending and BatchState(ending)}
    return Job(**values)


def chunk_of(row: RowMapping) -> Chunk:
    """Return the chunk in `CHUNK_COLUMNS` of a row."""
    values: dict[str, Any] = {**row, "state": ChunkState(row["state"])}
    return Chunk(**values)


def insert_job(connection: Connection, job: Job, spans: Iterable[LineSpan]) -> Job:
    """Add a job and its chunks; return it with its number."""
    values = {name: value for name, value in asdict(job).items() if name != "job_number"}
    number = connection.execute(insert(jobs).values(values).returning(jobs.c.job_number)).scalar_one()
    rows = [
        {
            "job_number": number,
            "chunk_index": index,
            "state": ChunkState.PENDING,
            "input_offset": span.offset,
            "input_bytes": span.size_bytes,
            "input_crc32": span.crc32,
            "request_count": span.request_count,
        }
        for index, span in enumerate(spans)
    ]
    connection.execute(insert(chunks), rows)
    return replace(job, job_number=number)


def find_job(connection: Connection, batch_id: str, owner: str, *, for_update: bool = False) -> Job | None:
    """Return an owner's job."""
    query = select(jobs).where(jobs.c.batch_id == batch_id, jobs.c.owner == owner)
    row = connection.execute(query.with_for_update() if for_update else query).mappings().one_or_none()
    return None if row is None else job_of(row)


def find_job_by_number(connection: Connection, job_number: int) -> Job | None:
    """Return a job, for update."""
    query = select(jobs).where(jobs.c.job_number == job_number).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else job_of(row)


def list_jobs(connection: Connection, owner: str, limit: int, before: int | None) -> list[Job]:
    """Return up to `limit` jobs of an owner, newest first, older than number `before`."""
    query = select(jobs).where(jobs.c.owner == owner).order_by(jobs.c.job_number.desc()).limit(limit)
    if before is not None:
        query = query.where(jobs.c.job_number < before)
    return [job_of(row) for row in connection.execute(query).mappings()]


def list_chunks(connection: Connection, job_number: int, *, state: ChunkState | None = None) -> list[Chunk]:
    """Return a job's chunks in order; those in one state only, if asked."""
    query = select(*CHUNK_COLUMNS).where(chunks.c.job_number == job_number).order_by(chunks.c.chunk_index)
    if state is not None:
        query = query.where(chunks.c.state == state)
    return [chunk_of(row) for row in connection.execute(query).mappings()]


def update_job(connection: Connection, job_number: int, **values: Any) -> None:
    """Change columns of a job."""
    connection.execute(update(jobs).where(jobs.c.job_number == job_number).values(values))


def delete_job(connection: Connection, job_number: int) -> None:
    """Remove a job; its chunks go with it."""
    connection.execute(delete(jobs).where(jobs.c.job_number == job_number))


def _is_claimed(by: str | None) -> ColumnElement[bool]:
    """Return the condition for chunks that the server `by` has claimed; None stands for the only server."""
    is_running = chunks.c.state == ChunkState.RUNNING
    return is_running if by is None else is_running & (chunks.c.claimed_by == by)


def release_all_chunks(connection: Connection, by: str | None = None) -> int:
    """Release every claim; return how many there were. For an orderly end, when no chunk is being computed.

    Args:
        connection: a writing transaction.
        by: token of the server whose claims are meant; None where one server has the store.
    """
    return connection.execute(update(chunks).where(_is_claimed(by)).values(state=ChunkState.PENDING)).rowcount


def list_claims(connection: Connection, by: str | None = None) -> list[tuple[int, int, int]]:
    """Return the job number, chunk index and lease of every chunk that is claimed; `by` as above."""
    running = select(chunks.c.job_number, chunks.c.chunk_index, chunks.c.lease).where(_is_claimed(by))
    return [tuple(row) for row in connection.execute(running)]


def release_chunks_after_crash(connection: Connection, by: str | None = None) -> int:
    """Release every claim of a process that died, and count its death in each; return how many there were.

    `by` as above.
    """
    running = select(*CHUNK_COLUMNS, chunks.c.job_number).where(_is_claimed(by))
    found = connection.execute(running).all()
    for row in found:
        isolation = row.isolation and format_isolation(parse_isolation(row.isolation).after_crash())
        connection.execute(
            update(chunks)
            .where(chunks.c.job_number == row.job_number, chunks.c.chunk_index == row.chunk_index)
            .values(state=ChunkState.PENDING, crashes=row.crashes + 1, isolation=isolation)
        )
    return len(found)


def list_open_jobs(connection: Connection, *, expired_at: datetime | None = None) -> list[Job]:
    """Return the open jobs; only those that should have ended by `expired_at`, if given."""
    query = select(jobs).where(_IS_OPEN)
    if expired_at is not None:
        query = query.where(jobs.c.expires_at <= expired_at).with_for_update()
    return [job_of(row) for row in connection.execute(query).mappings()]


def list_ending_jobs(connection: Connection) -> list[int]:
    """Return the numbers of the jobs whose results are still to be written."""
    query = select(jobs.c.job_number).where(jobs.c.ended_at.is_(None), jobs.c.ending_state.is_not(None))
    return list(connection.scalars(query.order_by(jobs.c.job_number)))


def list_jobs_ended_before(connection: Connection, moment: datetime, *, since: datetime | None = None) -> list[Job]:
    """Return the jobs that ended before a moment; only those that ended after `since`, if given."""
    query = select(jobs).where(jobs.c.ended_at < moment)
    if since is not None:
        query = query.where(jobs.c.ended_at > since)
    return [job_of(row) for row in connection.execute(query).mappings()]


def first_expiry(connection: Connection) -> datetime | None:
    """Return when the next open job expires."""
    return connection.scalar(select(func.min(jobs.c.expires_at)).where(_IS_OPEN))


def count_by_state(connection: Connection) -> dict[BatchState, int]:
    """Return the number of jobs by state; states without jobs are left out."""
    query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    return {BatchState(state): count for state, count in connection.execute(query)}


def replace_part(connection: Connection, task: ChunkTask, result: ChunkResult) -> bool:
    """Change the checksum of a finished chunk's results; return False if the counts are not those that it had."""
    query = update(chunks).where(
        chunks.c.job_number == task.job_number,
        chunks.c.chunk_index == task.chunk_index,
        chunks.c.lease == task.lease,
        chunks.c.state == ChunkState.DONE,
        chunks.c.successful_count == result.successful_count,
    )
    return connection.execute(query.values(part_crc32=result.part_crc32)).rowcount > 0


def count_open_jobs(connection: Connection, owner: str) -> int:
    """Return how many jobs of an owner have not ended."""
    return connection.scalar(select(func.count()).where(jobs.c.owner == owner, jobs.c.ended_at.is_(None))) or 0


def list_batch_ids(connection: Connection) -> set[str]:
    """Return the ids of all batches."""
    return set(connection.scalars(select(jobs.c.batch_id)))
