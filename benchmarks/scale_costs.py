"""What a chunk of a batch costs the database and the object store, for the model of scale in `tools/scale.py`.

    python benchmarks/scale_costs.py [--chunks 10000] [--output benchmarks/results/scale_costs.json]

Everything runs on this machine: a PostgreSQL that syncs each commit to its disk, and moto's S3 server.

- `batch`: a server that shares both runs a batch of 64 chunks of 256 requests, through HTTP. The transactions of
  PostgreSQL and the requests to the object store are counted, from the upload to the batch's success; the polls of an
  idle server, counted before, are taken off. Transactions that write have to wait for the disk. The download is counted
  by itself.
- `queue`: a batch of `--chunks` chunks of one request each, of which nothing is computed: they are claimed and counted
  by one runner, and again by four at once, in threads of this process. Chunks a second over the first and the last
  tenth, the time to end the batch, the size of its rows, and the time for what the sweep does with an ended batch.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import describe_run

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from batch_steps import new  # noqa: E402 - found through the line above
from databases import running_postgresql  # noqa: E402 - as above
from gemvec.batches.job import ChunkResult  # noqa: E402 - as above
from gemvec.batches.lines import CHUNK_REQUESTS  # noqa: E402 - as above
from gemvec.batches.queue import BatchQueue, Claimable  # noqa: E402 - as above
from gemvec.batches.store import BatchStore  # noqa: E402 - as above
from gemvec.client import find_target  # noqa: E402 - as above
from gemvec.client.batches import BatchClient  # noqa: E402 - as above
from gemvec.files.store import FileStore  # noqa: E402 - as above
from gemvec.storage.database import open_database  # noqa: E402 - as above
from gemvec.storage.servers import Membership  # noqa: E402 - as above
from object_stores import environment_of, make_bucket, running_s3  # noqa: E402 - as above
from shared_servers import SharedServers  # noqa: E402 - as above

PACKAGES = ("gemvec", "sqlalchemy", "psycopg", "obstore", "moto")
BATCH_CHUNKS = 64
IDLE_SECONDS = 10.0
# PostgreSQL's processes publish what they count about a second after they have become idle.
SETTLING_SECONDS = 3.0
POLL_SECONDS = 2.0
RUNNERS = 4
RESULT = ChunkResult(successful_count=1, failed_count=0, token_count=1, part_crc32=0)


@contextmanager
def durable_postgresql() -> Generator[Any]:
    """Run a PostgreSQL as an installation has it: each commit is synced, and 100 connections are allowed."""
    with running_postgresql() as server:
        server.stop()
        options = f"-k {server.folder} -c listen_addresses="
        server._run("pg_ctl", "-o", options, "-l", server.folder / "log", "-w", "start")  # noqa: SLF001
        yield server


def ask(folder: Path, query: str) -> Any:
    """Return the first value of the first row."""
    import psycopg

    with psycopg.connect(host=str(folder), user="postgres", autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # pyright: ignore[reportArgumentType, reportCallIssue]
        return row and row[0]


def count_transactions(folder: Path) -> tuple[int, int]:
    """Return how many transactions were committed so far, and how many wrote something or locked a row."""
    time.sleep(SETTLING_SECONDS)
    written = int(ask(folder, "SELECT pg_current_xact_id()::text"))
    return int(ask(folder, "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'")), written


class Requests(logging.Handler):
    """Counts the requests that moto's server logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
            if f"{method} /bucket" in message:
                self.counts["LIST" if "list-type" in message else method] += 1


def measure_batch(folder: Path) -> dict[str, Any]:
    """Count what a batch asks of PostgreSQL and of the object store."""
    requests = Requests()
    log = logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(requests)
    with durable_postgresql() as postgresql, running_s3() as endpoint:
        make_bucket(endpoint)
        settings = {"database_url": postgresql.url, "storage": "s3://bucket/store"}
        with (
            SharedServers(folder, 1, environment_of(endpoint), **settings) as servers,
            BatchClient(find_target(servers.any_url())) as batches,
        ):
            run_batch(batches, 1)  # connections are open, and the bucket is known
            before = count_transactions(postgresql.folder)
            time.sleep(IDLE_SECONDS)
            idle = [
                (after - former) / (IDLE_SECONDS + SETTLING_SECONDS)
                for after, former in zip(count_transactions(postgresql.folder), before, strict=True)
            ]
            requests.counts.clear()
            before, started = count_transactions(postgresql.folder), time.monotonic()
            results = run_batch(batches, BATCH_CHUNKS * CHUNK_REQUESTS)
            asked = Counter(requests.counts)
            seconds = time.monotonic() - started + SETTLING_SECONDS
            transactions, writes = (
                (after - former - each * seconds) / BATCH_CHUNKS
                for after, former, each in zip(count_transactions(postgresql.folder), before, idle, strict=True)
            )
            connections = ask(postgresql.folder, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres'") - 1
            requests.counts.clear()
            with (folder / "results.jsonl").open("wb") as target:
                batches.files.download(results, target)
    return {
        "chunks": BATCH_CHUNKS,
        "requests_a_chunk": CHUNK_REQUESTS,
        "seconds": round(seconds, 1),
        "transactions_a_chunk": round(transactions, 2),
        "writes_a_chunk": round(writes, 2),
        "transactions_a_second_idle": round(idle[0], 2),
        "writes_a_second_idle": round(idle[1], 2),
        "connections": connections,
        "object_requests_a_chunk": _each(asked),
        "object_requests_a_chunk_of_a_download": _each(requests.counts),
    }


def _each(counts: Counter[str]) -> dict[str, float]:
    return {name: round(count / BATCH_CHUNKS, 2) for name, count in sorted(counts.items())}


def run_batch(batches: BatchClient, count: int) -> str:
    """Have texts embedded as a batch, asking seldom; return the name of the results."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for number in range(count):
            request = {"content": {"parts": [{"text": f"text {number}"}]}}
            file.write(json.dumps({"key": str(number), "request": request}) + "\n")
        file.flush()
        uploaded = batches.files.upload(Path(file.name), mime_type="jsonl")
    batch = batches.create_from_file("gemini-embedding-001", uploaded.name)
    while not batch.state.is_ended:
        time.sleep(POLL_SECONDS)
        batch = batches.get(batch.batch_id)
    assert batch.stats.successful_request_count == count, batch
    assert batch.responses_file
    return batch.responses_file


class Runner:
    """What a server that shares the store has of it, without computing anything."""

    def __init__(self, url: str, folder: Path, name: str) -> None:
        self.database = open_database(url)
        Membership(self.database, name, lease_seconds=3600).join()
        self.store = BatchStore(self.database, FileStore(self.database, folder), folder)
        self.queue = BatchQueue(self.store)

    def work(self, times: list[float]) -> None:
        """Claim and count chunks until there are none; note when each was counted."""
        claimable = Claimable(weights=["hash@12345678"])
        while (task := self.queue.claim(claimable)) is not None:
            task.part_path.write_bytes(b"{}\n")
            self.queue.checkpoint(task, RESULT)
            times.append(time.perf_counter())


def rate(times: list[float], started: float) -> dict[str, float]:
    """Return chunks a second, over all, and over the first and the last tenth; the last chunk ends the batch."""
    tenth = len(times) // 10
    return {
        "chunks_a_second": round((len(times) - 1) / (times[-2] - started), 1),
        "first_tenth": round(tenth / (times[tenth - 1] - started), 1),
        "last_tenth": round((tenth - 1) / (times[-2] - times[-tenth - 1]), 1),
        "seconds_to_end": round(times[-1] - times[-2], 3),
    }


def measure_queue(folder: Path, count: int) -> dict[str, Any]:
    """Claim and count the chunks of large batches, and do with them what the sweep does."""
    found: dict[str, Any] = {"chunks": count}
    with durable_postgresql() as postgresql:
        runners = [Runner(postgresql.url, folder, f"runner {number}") for number in range(RUNNERS)]
        first = runners[0]
        for number in (1, RUNNERS):
            file = first.store.files.create("", [b"{}\n" * count])
            first.store.create_from_file(new(chunk_requests=1), file.file_id)
            times: list[float] = []
            threads = [threading.Thread(target=each.work, args=(times,)) for each in runners[:number]]
            started = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found[f"runners_{number}"] = rate(times, started)
        for table in ("chunks", "file_parts"):
            size, rows = (ask(postgresql.folder, each) for each in (
                f"SELECT pg_total_relation_size('{table}')", f"SELECT count(*) FROM {table}"
            ))  # fmt: skip
            found[f"{table}_bytes_a_row"] = round(size / rows, 1)
            found[f"{table}_rows_a_chunk"] = rows / (2 * count)
        started = time.perf_counter()
        first.queue.sweep()
        found["sweep_milliseconds_a_chunk"] = round((time.perf_counter() - started) / (2 * count) * 1000, 4)
        for each in runners:
            each.database.close()
    return found


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = describe_run(PACKAGES) | {"what": (__doc__ or "").splitlines()[4:]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result["batch"] = measure_batch(folder)
        result["queue"] = measure_queue(folder / "queue", options.chunks)
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
