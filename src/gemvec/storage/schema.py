"""The tables: the store; uploads and segments, files and parts; jobs and chunks; API keys, their use and their rates.

The same tables on SQLite and PostgreSQL. A change here needs a migration in `migrations.py` once a release has gone out
with the table. Bytes of files and vectors are never in the database, only their places.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from gemvec.storage.timestamps import UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite counts up only in a column that is exactly INTEGER; it holds 64 bits all the same.
_COUNTED = BigInteger().with_variant(Integer, "sqlite")

# One row: which data folder belongs to this database, and which server may write.
store = Table(
    "store",
    metadata,
    Column("store_id", String(64), primary_key=True),  # also in a file of the data folder
    Column("token", String(64), nullable=False),  # of the server that began last
    Column("seen_at", UtcDateTime, nullable=False),  # a moment at which a server ran, a few minutes old at most
)

# Servers that share the store, see `servers.py`; each has a row as long as it is alive.
servers = Table(
    "servers",
    metadata,
    Column("number", _COUNTED, primary_key=True, autoincrement=True),  # the server with the lowest one sweeps
    Column("server_id", String(64), nullable=False),  # in a file of its data folder; stays when it starts again
    Column("token", String(64), nullable=False),  # new whenever it joins
    Column("beats", BigInteger, nullable=False),  # grows while it is alive
    UniqueConstraint("token"),
)

# Batches whose input one of these servers is storing. It is no leftover, although there is no job yet.
arrivals = Table(
    "arrivals",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    Column("token", String(64), nullable=False, index=True),  # of the server
)

# An upload session: from `start` until the sweep. A final one is kept, so that a repeated `finalize` finds its answer.
uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", String(64), primary_key=True),  # SHA-256 of the secret in the upload URL, hexadecimal
    Column("owner", String(128), nullable=False),
    Column("file_id", String(64), nullable=False),  # taken at start, becomes a file when finalized
    Column("display_name", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("declared_bytes", BigInteger),  # size announced by the client; None if it was not
    Column("received_bytes", BigInteger, nullable=False),  # on disk and fsynced; never less than was acknowledged
    Column("state", String(16), nullable=False),  # UploadState
    Column("content_id", String(32), nullable=False),  # name of the bytes on disk
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index("ix_uploads_owner_state", "owner", "state"),
)

# In an object store, the content of an upload or a file: the objects that its bytes became, checkpoint by checkpoint.
segments = Table(
    "segments",
    metadata,
    Column("content_id", String(32), primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),  # where its bytes begin in the content
    Column("size_bytes", BigInteger, nullable=False),
    Column("name", String(64), nullable=False),  # of the object, in the folder of the content
    Column("crc32", BigInteger, nullable=False),
)

files = Table(
    "files",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("file_id", String(64), primary_key=True),  # after `files/`; each owner has names of their own
    Column("display_name", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64)),  # hexadecimal; None for a file made of parts
    Column("source", String(16), nullable=False),  # FileSource
    Column("content_id", String(32)),  # None for a file made of parts
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index("ix_files_owner_created_at", "owner", "created_at", "file_id"),
)

# A result file is the part files of its batch, in order; nothing is copied.
file_parts = Table(
    "file_parts",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("file_id", String(64), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("path", Text, nullable=False),  # relative to the data folder
    Column("size_bytes", BigInteger, nullable=False),
    Column("crc32", BigInteger),  # of its bytes; None for one of an older release
    ForeignKeyConstraint(["owner", "file_id"], ["files.owner", "files.file_id"], ondelete="CASCADE"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_number", _COUNTED, primary_key=True, autoincrement=True),  # order of creation
    Column("batch_id", String(64), nullable=False),  # after `batches/`
    Column("owner", String(128), nullable=False),
    Column("model", Text, nullable=False),  # the name the caller asked for
    Column("weights", Text, nullable=False),  # what answered to it at creation: model id, @, revision
    Column("display_name", Text, nullable=False),
    Column("priority", BigInteger, nullable=False),  # the whole of int64; higher goes first
    Column("state", String(16), nullable=False),  # BatchState
    Column("ending_state", String(16)),  # its state once the results are written; no longer worked on
    Column("input_file_id", String(64)),  # None: the requests came inline
    Column("output_file_id", String(64)),
    Column("request_count", BigInteger, nullable=False),
    Column("input_bytes", BigInteger, nullable=False, server_default="0"),
    Column("result_bytes", BigInteger, nullable=False, server_default="0"),  # until it has ended, the most expected
    Column("successful_count", BigInteger, nullable=False, server_default="0"),
    Column("failed_count", BigInteger, nullable=False, server_default="0"),
    Column("error_status", String(32)),  # google.rpc.Code name
    Column("error_message", Text),
    Column("waiting_reason", Text),  # why an open job does not go on; None when it does
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),  # None exactly while the job is open
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    UniqueConstraint("batch_id"),
    # Open jobs in the order of claims.
    Index("ix_jobs_turn", "ended_at", "owner", text("priority DESC"), "job_number"),
    Index("ix_jobs_owner_job_number", "owner", "job_number"),
    sqlite_autoincrement=True,  # a number is never given twice
)

chunks = Table(
    "chunks",
    metadata,
    Column("job_number", _COUNTED, ForeignKey("jobs.job_number", ondelete="CASCADE"), primary_key=True),
    Column("chunk_index", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),  # ChunkState
    Column("input_offset", BigInteger, nullable=False),  # where its first line starts in the input
    Column("input_bytes", BigInteger, nullable=False),
    Column("input_crc32", BigInteger),  # of these bytes; None for a chunk of an older release
    Column("request_count", Integer, nullable=False),
    Column("successful_count", Integer, nullable=False, server_default="0"),
    Column("failed_count", Integer, nullable=False, server_default="0"),
    Column("lease", BigInteger, nullable=False, server_default="0"),  # fencing token: grows with every claim
    Column("claimed_by", String(64)),  # token of the server that claimed it last, if several share the store
    Column("crashes", Integer, nullable=False, server_default="0"),  # deaths of the server while it was in flight
    Column("part_crc32", BigInteger),  # of the bytes of its part file, once it is done
    Column("isolation", Text),  # JSON: how far the search for the line that kills has come
    Index("ix_chunks_job_number_state", "job_number", "state", "chunk_index"),
)

# API keys, stored as hashes: the database does not reveal them.
keys = Table(
    "keys",
    metadata,
    Column("key_id", String(32), primary_key=True),  # the owner of what is made with the key; stays at a rotation
    Column("name", String(128), nullable=False),
    Column("sha256", String(64), nullable=False),  # hexadecimal, of the whole key
    Column("is_admin", Boolean, nullable=False, server_default=false()),
    Column("previous_sha256", String(64)),  # of the key that this one replaced, while both work
    Column("previous_until", UtcDateTime),  # when the replaced one stops working
    Column("models", Text, nullable=False),  # served names, separated by commas; empty: all of them
    # Its limits; None: the server's own.
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("requests_per_day", BigInteger),
    Column("tokens_per_day", BigInteger),
    Column("max_open_uploads", BigInteger),
    Column("max_open_batches", BigInteger),
    Column("max_stored_bytes", BigInteger),
    Column("max_priority", BigInteger),
    Column("weight", Integer),  # of its turns among batches; None: 1
    Column("aliases", Text),  # JSON: names that only it knows, with the served names that they mean; None: no names
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    UniqueConstraint("name"),
    UniqueConstraint("sha256"),
)

# Owners whose key was deleted; a server removes what they own, and then the row.
deleted_owners = Table(
    "deleted_owners",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("deleted_at", UtcDateTime, nullable=False),
)

# What the holders of keys have used since their first call.
usage = Table(
    "usage",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("texts", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("last_used_at", UtcDateTime, nullable=False),
)

# The same for each day (UTC) on which an owner used something; days that are long past are swept.
usage_days = Table(
    "usage_days",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("day", String(10), primary_key=True, index=True),  # as in ISO 8601, so that days sort
    Column("calls", BigInteger, nullable=False),
    Column("texts", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
)

# What is used of rates, where several servers share the store; see `rates.py`.
rate_windows = Table(
    "rate_windows",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("model", Text, primary_key=True),  # empty: all models together
    Column("quota_id", String(128), primary_key=True),
    Column("ends_at", BigInteger, nullable=False, index=True),  # microseconds since 1970, on the database's clock
    Column("used", BigInteger, nullable=False),  # taken by servers, who may not have spent all of it yet
)
