"""Numbered migrations, which bring a database of an older release up to this one.

An empty database gets the tables of `schema.py` as they are and every migration's number with them; an older one gets
the migrations it lacks. Each runs in one transaction with its record, and all of them under one lock, so that two
processes that start together end with one schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, insert, inspect, select, text, update
from sqlalchemy.schema import CreateColumn

from gemvec.errors import StorageFailure
from gemvec.storage import schema
from gemvec.storage.timestamps import UtcDateTime, utc_now

_LOCK_KEY = 0x67656D766563  # "gemvec": PostgreSQL's advisory locks are numbers

# Not part of schema.metadata: it must be there before any migration.
_versions = Table(
    "schema_versions",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("summary", String(200), nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step from a release's schema to the next one's.

    Attributes:
        number: counts up from 1 without gaps.
        summary: what changes, for people who read the table of versions.
        apply: makes the change on a connection that is inside a transaction.
    """

    number: int
    summary: str
    apply: Callable[[Connection], None]


def _hash_upload_ids(connection: Connection) -> None:
    """Keep the secrets of upload URLs as hashes; uploads under way go on."""
    uploads = schema.uploads
    for upload_id in list(connection.scalars(select(uploads.c.upload_id))):
        hashed = hashlib.sha256(upload_id.encode()).hexdigest()
        connection.execute(update(uploads).where(uploads.c.upload_id == upload_id).values(upload_id=hashed))


def _add_columns(columns: Sequence[Column[Any]], connection: Connection) -> None:
    """Add columns to existing tables; existing rows get NULL or the server's default."""
    for column in columns:
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(text(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}"))


def _index_turns(connection: Connection) -> None:
    """Replace the index of open jobs: it was in the order of claims when no owner had a turn."""
    connection.execute(text("DROP INDEX IF EXISTS ix_jobs_next"))
    next(index for index in schema.jobs.indexes if index.name == "ix_jobs_turn").create(connection)


def _add_usage(connection: Connection) -> None:
    """Count what keys use, let them be replaced and deleted, and give them a role; existing keys are not admins."""
    keys = schema.keys.c
    _add_columns([keys.is_admin, keys.previous_sha256, keys.previous_until], connection)
    schema.deleted_owners.create(connection)
    schema.usage.create(connection)


def _add_limits(connection: Connection) -> None:
    """Let keys have all of the limits that servers have; existing keys keep the server's."""
    keys = schema.keys.c
    rates = [keys.requests_per_day, keys.tokens_per_day]
    stored = [keys.max_open_uploads, keys.max_open_batches, keys.max_stored_bytes, keys.max_priority]
    _add_columns([*rates, *stored], connection)


def _add_servers(connection: Connection) -> None:
    """Let several servers share a store, and claims say whose they are."""
    schema.servers.create(connection)
    schema.arrivals.create(connection)
    _add_columns([schema.chunks.c.claimed_by], connection)


def _add_sizes(connection: Connection) -> None:
    """Let jobs know the size of their input; the results of old jobs are in files, or small."""
    _add_columns([schema.jobs.c.input_bytes, schema.jobs.c.result_bytes], connection)
    jobs, chunks = schema.jobs, schema.chunks
    size = select(func.coalesce(func.sum(chunks.c.input_bytes), 0)).where(chunks.c.job_number == jobs.c.job_number)
    connection.execute(update(jobs).values(input_bytes=size.scalar_subquery()))


MIGRATIONS: tuple[Migration, ...] = (
    Migration(number=1, summary="uploads, files, jobs, chunks, keys", apply=schema.metadata.create_all),
    Migration(
        number=2,
        summary="batches that are ending",
        apply=partial(_add_columns, [schema.jobs.c.ending_state]),
    ),
    Migration(
        number=3,
        summary="chunks that kill the server",
        apply=partial(_add_columns, [schema.chunks.c.crashes, schema.chunks.c.isolation]),
    ),
    Migration(number=4, summary="upload URLs by hash", apply=_hash_upload_ids),
    Migration(number=5, summary="the store knows its folder and its server", apply=schema.store.create),
    Migration(
        number=6,
        summary="checksums of parts",
        apply=partial(_add_columns, [schema.chunks.c.part_crc32, schema.file_parts.c.crc32]),
    ),
    Migration(number=7, summary="owners of batches take turns", apply=_index_turns),
    Migration(number=8, summary="roles, rotation and use of keys", apply=_add_usage),
    Migration(number=9, summary="checksums of inputs", apply=partial(_add_columns, [schema.chunks.c.input_crc32])),
    Migration(number=10, summary="sizes of batches", apply=_add_sizes),
    Migration(number=11, summary="uploads in an object store", apply=schema.segments.create),
    Migration(number=12, summary="several servers on one store", apply=_add_servers),
    Migration(number=13, summary="more limits of keys", apply=_add_limits),
    Migration(number=14, summary="weights of keys", apply=partial(_add_columns, [schema.keys.c.weight])),
    Migration(number=15, summary="use of keys by day", apply=schema.usage_days.create),
    Migration(number=16, summary="aliases of keys", apply=partial(_add_columns, [schema.keys.c.aliases])),
    Migration(number=17, summary="rates of several servers", apply=schema.rate_windows.create),
)


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the database up to date inside the writing transaction that `connection` is in.

    Raises:
        StorageFailure: a newer gemvec has changed the database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    is_new = not inspect(connection).has_table(_versions.name)
    if is_new:
        _versions.create(connection)
        schema.metadata.create_all(connection)
    applied = connection.scalar(select(func.coalesce(func.max(_versions.c.number), 0))) or 0
    if applied > migrations[-1].number:
        raise StorageFailure(
            f"The database has schema version {applied}; this gemvec knows {migrations[-1].number}. Use a newer gemvec."
        )
    for migration in migrations[applied:]:
        if not is_new:
            migration.apply(connection)
        record = {"number": migration.number, "summary": migration.summary, "applied_at": utc_now()}
        connection.execute(insert(_versions), record)
