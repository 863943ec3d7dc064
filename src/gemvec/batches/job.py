"""What a batch is to the store and the runner: the job, its chunks, and the work to do for one chunk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gemvec.batches.isolation import Isolation
from gemvec.batches.lines import CHUNK_REQUESTS
from gemvec.storage.durable import Place
from gemvec.wire.batches import BatchState


class ChunkState(StrEnum):
    """State of a chunk."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"  # claimed: somebody computes it, or did when the process died
    DONE = "DONE"  # its part file is on disk and counted


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """What is known about a batch before its input is read.

    Attributes:
        owner: whose batch it will be; "" for anonymous callers.
        model: the served name to embed with.
        weights: what answers to that name now: model id, @, revision.
        display_name: a human-readable name.
        priority: int64; higher goes first.
        chunk_requests: most requests in a chunk; the executor knows what is good for the model.
        values: how many values a vector has where a request does not say.
    """

    owner: str
    model: str
    weights: str
    display_name: str = ""
    priority: int = 0
    chunk_requests: int = CHUNK_REQUESTS
    values: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A batch as the store remembers it.

    Attributes:
        job_number: order of creation.
        batch_id: the part after `batches/`.
        owner: whose it is; "" for anonymous callers.
        model: the served name it was created for.
        weights: what answered to that name then; only the same weights continue it.
        display_name: a human-readable name.
        priority: int64; higher goes first.
        state: see `BatchState`.
        ending_state: what it becomes once its results are written; None while it is worked on, and once it has ended.
        input_file_id: the file it was created from, or None when the requests came inline.
        output_file_id: the file of its results, or None.
        request_count: requests in the input.
        input_bytes: size of the input.
        result_bytes: size of the results: the most expected until it has ended; then that of results without a file.
        successful_count: requests that have a response.
        failed_count: requests that have an error.
        error_status: google.rpc.Code name when it ended without success, or None.
        error_message: goes with the status.
        waiting_reason: why it does not go on, or None.
        created_at: aware UTC, like every moment here.
        updated_at: when anything last changed, progress included.
        ended_at: None while it is open.
        expires_at: when an open job becomes EXPIRED.
    """

    job_number: int
    batch_id: str
    owner: str
    model: str
    weights: str
    display_name: str
    priority: int
    state: BatchState
    ending_state: BatchState | None
    input_file_id: str | None
    output_file_id: str | None
    request_count: int
    input_bytes: int
    result_bytes: int
    successful_count: int
    failed_count: int
    error_status: str | None
    error_message: str | None
    waiting_reason: str | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    expires_at: datetime

    @property
    def pending_count(self) -> int:
        """Requests that have neither a response nor an error yet; 0 once the job has ended."""
        return self.request_count - self.successful_count - self.failed_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk as the store remembers it.

    Attributes:
        chunk_index: its place among the job's chunks.
        state: see `ChunkState`.
        lease: number of its latest claim; the part file of a chunk that is done carries it in its name.
        input_offset: where its first line starts in the input, in bytes.
        input_bytes: from there to the end of its last line.
        input_crc32: of these bytes; None if it is not recorded.
        request_count: lines of it that are requests.
        successful_count: those that have a response, once it is done.
        part_crc32: of the bytes of its part file, once it is done; None if it is not recorded.
        crashes: at how many deaths of the server it was in flight.
        isolation: how far the search for the line that kills has come, as text; None before it begins.
    """

    chunk_index: int
    state: ChunkState
    lease: int
    input_offset: int
    input_bytes: int
    input_crc32: int | None
    request_count: int
    successful_count: int
    part_crc32: int | None
    crashes: int
    isolation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTask:
    """The work to do for one claimed chunk; everything `run_chunk` needs, and picklable.

    Attributes:
        job_number: which job.
        batch_id: the job's id, for logs.
        owner: whose job it is.
        model: the served name to embed with.
        weights: what must answer to that name.
        chunk_index: its place among the job's chunks.
        lease: number of this claim; a later claim makes this one void.
        input_path: the file that holds the lines.
        input_offset: where the first line starts, in bytes.
        input_bytes: from there to the end of the last line.
        request_count: lines that are requests.
        part_path: where the answers go; nobody else writes there.
        input_crc32: of the bytes of the lines; None if it is not recorded.
        crashes: at how many deaths of the server the chunk was in flight.
        isolation: how far the search for the line that kills has come.
    """

    job_number: int
    batch_id: str
    owner: str
    model: str
    weights: str
    chunk_index: int
    lease: int
    input_path: Place
    input_offset: int
    input_bytes: int
    request_count: int
    part_path: Place
    input_crc32: int | None = None
    crashes: int = 0
    isolation: Isolation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """What became of a chunk whose part file is on disk.

    Attributes:
        successful_count: requests that have a response.
        failed_count: requests that have an error.
        token_count: tokens of the requests that have a response.
        part_crc32: of the bytes of the part file.
    """

    successful_count: int
    failed_count: int
    token_count: int = 0
    part_crc32: int | None = None
