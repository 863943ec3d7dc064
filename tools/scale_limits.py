"""Where the design of batches ends first: the number of passages, and what stands there."""

from __future__ import annotations

from dataclasses import dataclass

from scale_model import Workload

from gemvec.batches.lines import CHUNK_REQUESTS
from gemvec.settings import Settings

# Before a result is there, this is what a value counts against `--max-stored-bytes` (batches/store.py).
EXPECTED_VALUE_BYTES = 13
# A server keeps so many connections to PostgreSQL open, and so many threads may use one (storage/database.py,
# storage/threads.py); a fresh PostgreSQL allows so many.
KEPT_CONNECTIONS, BUSY_CONNECTIONS, POSTGRESQL_CONNECTIONS = 8, 18, 100
SWEEP_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One place where the design ends.

    Attributes:
        what: what ends.
        number: where, in the unit that `unit` names.
        unit: what is counted.
        then: what happens there, and who can move it; Markdown.
    """

    what: str
    number: float
    unit: str
    then: str


def list_limits(load: Workload) -> list[Limit]:
    """Return where this workload meets a limit, nearest first for those that are counted in passages."""
    return [*sorted(_by_passages(load), key=lambda limit: limit.number), *_by_rate(load)]


def _by_passages(load: Workload) -> list[Limit]:
    settings = Settings()
    in_a_batch = load.passages / load.batches
    passages_a_chunk = load.passages / load.chunks
    texts_a_second = 1 / (load.cpu_seconds / load.passages) * load.value("cores") * load.cores
    sweep = SWEEP_SECONDS * 1000 / load.value("sweep") * passages_a_chunk
    return [
        Limit(
            what="one batch",
            number=min(load.value("batch_requests"), load.value("file_bytes") // load.line_bytes),
            unit="passages",
            then="refused; `--max-batch-requests`, `--max-file-bytes`. Use several batches. The bound also keeps the "
            "transaction that ends a batch, which writes a row for each chunk, short: "
            f"{load.value('end') * in_a_batch / passages_a_chunk:.1f} s for one as large as this.",
        ),
        Limit(
            what="uploaded files of one key",
            number=settings.max_owner_bytes / load.line_bytes,
            unit="passages",
            then="429; `--max-owner-bytes`. A batch keeps its own link to its input, so delete the file as soon as the "
            "batch is accepted.",
        ),
        Limit(
            what="what one key keeps",
            number=settings.max_stored_bytes / (load.model.values * EXPECTED_VALUE_BYTES + load.line_bytes),
            unit="passages",
            then="429; `--max-stored-bytes`, also for each key. Deleted batches do not count.",
        ),
        Limit(
            what=f"what one machine of {load.cores} cores finishes before a batch expires",
            number=texts_a_second * settings.batch_expiry_seconds,
            unit="passages",
            then="what waits longer becomes `EXPIRED`, with its finished part; `--batch-expiry-seconds`, or more "
            "machines.",
        ),
        Limit(
            what="open batches of one key",
            number=settings.max_open_batches * in_a_batch,
            unit="passages",
            then="429; `--max-open-batches`, also for each key.",
        ),
        Limit(
            what="the one server that sweeps",
            number=sweep,
            unit="passages in batches that ended within a day",
            then="each hourly sweep reads the rows and lists the parts of these batches, one after the other; from "
            "here on it takes longer than an hour. Nothing breaks, but leftovers and expired batches stay longer. "
            "Not bounded by a setting: delete batches whose results you have.",
        ),
    ]


def _by_rate(load: Workload) -> list[Limit]:
    chunks, alone = load.value("chunks_a_second"), load.value("chunks_a_second_alone")
    requests = min(load.model.chunk_requests, load.value("chunk_bytes") // load.line_bytes)
    cores = chunks * requests * load.cpu_seconds / load.passages
    return [
        Limit(
            what="claims and counts of one key's chunks",
            number=cores,
            unit="cores",
            then=f"{chunks:,.0f} chunks a second for four servers, {alone:,.0f} for one, on two cores and a disk that "
            "PostgreSQL and everything else shared. Each claim and each count locks the row of its batch until the "
            "disk has it, so servers on one batch wait for each other. Not bounded: a faster disk under PostgreSQL, or "
            f"a model that takes longer for {CHUNK_REQUESTS} texts, moves it; the servers only wait.",
        ),
        Limit(
            what="connections to PostgreSQL",
            number=POSTGRESQL_CONNECTIONS // BUSY_CONNECTIONS,
            unit="servers",
            then=f"a server keeps up to {KEPT_CONNECTIONS} connections open and uses up to {BUSY_CONNECTIONS}; a fresh "
            f"PostgreSQL allows {POSTGRESQL_CONNECTIONS}. Raise `max_connections`, or use a pooler in session mode.",
        ),
        Limit(
            what="actors of one server with `--executor ray`",
            number=Settings().ray_max_actors,
            unit="actors",
            then="`--ray-max-actors`. The driver beside the server reads all lines and writes all parts; start more "
            "servers on the cluster before it becomes the limit.",
        ),
    ]
