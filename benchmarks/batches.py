"""What a durable batch costs over the engine alone, on the same short texts, and how much memory it takes.

    python benchmarks/batches.py [--texts 100000] [--rounds 3] [--output benchmarks/results/batches.json]

`engine` embeds the texts with the model and throws the vectors away: chunks of 256, four at a time, as batches ask for
them. `batch` takes the same texts from a JSONL file through the store and the runner to a finished file of results on
disk, from the creation of the batch to its success. Every case runs in a fresh process; cases take turns for `--rounds`
rounds. Peak RSS is that of the process, model included, and of the larger one of the two that run this model's chunks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

MODEL = "wordllama-256"
CHUNK = 256
IN_FLIGHT = 4
COMMON = (
    "the of and to in is that for it with as was on be by are this from or have an they which one you were all her "
    "there been if more when will would who so no said what up its about into them can only other time new some"
)
PACKAGES = ("gemvec", "numpy", "orjson", "msgspec", "sqlalchemy", "tokenizers")


def texts(count: int) -> Iterator[str]:
    """Yield short sentences of 4 to 16 common words, the same ones each time."""
    common = COMMON.split()
    choose = np.random.default_rng(0)
    for _ in range(count):
        yield " ".join(common[index] for index in choose.integers(0, len(common), choose.integers(4, 17)))


def write_input(path: Path, count: int) -> None:
    """Write the texts as a batch's input."""
    with path.open("w") as file:
        for number, text in enumerate(texts(count)):
            request = {"content": {"parts": [{"text": text}]}, "task_type": "RETRIEVAL_DOCUMENT"}
            file.write(json.dumps({"key": f"request_{number}", "request": request}) + "\n")


async def engine(path: Path) -> dict[str, float]:
    """Embed the texts and forget the vectors."""
    from gemvec.models.embed import EmbedRequest, Priority
    from gemvec.models.local import open_embedder
    from gemvec.settings import Settings
    from gemvec.wire.task_type import TaskType

    embedder = open_embedder(Settings(model=(MODEL,)))
    with path.open() as file:
        parts = [json.loads(line)["request"]["content"]["parts"][0]["text"] for line in file]
    requests = [EmbedRequest(text=text, task_type=TaskType.RETRIEVAL_DOCUMENT) for text in parts]
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def embed(start: int) -> None:
        async with turns:
            await embedder.embed(MODEL, requests[start : start + CHUNK], priority=Priority.BATCH)

    await embed(0)
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(embed(start) for start in range(0, len(requests), CHUNK)))
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    await embedder.close()
    return seconds


async def batch(path: Path) -> dict[str, float]:
    """Run the texts as a batch."""
    from gemvec.batches.executor import ProcessExecutor
    from gemvec.batches.job import NewBatch
    from gemvec.batches.runner import BatchRunner
    from gemvec.batches.store import BatchStore
    from gemvec.files.store import FileStore
    from gemvec.models.embed import EmbedRequest
    from gemvec.models.local import open_embedder
    from gemvec.settings import Settings
    from gemvec.storage.database import open_database

    settings = Settings(model=(MODEL,))
    embedder = open_embedder(settings)
    weights = embedder.get_model(MODEL).weights
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        database = open_database(Path(folder) / "gemvec.sqlite3")
        store = BatchStore(database, FileStore(database, Path(folder)), Path(folder))
        with path.open("rb") as file:
            uploaded = store.files.create("", iter(lambda: file.read(2**20), b""))
        opened = partial(open_embedder, settings)
        runner = BatchRunner(store, embedder, ProcessExecutor(embedder, opened, weights=[weights]))
        await runner.start()
        await embedder.embed(MODEL, [EmbedRequest(text="warm")])
        cpu, wall = time.process_time(), time.perf_counter()
        new = NewBatch(owner="", model=MODEL, weights=weights, chunk_requests=runner.chunk_requests(weights))
        job = await asyncio.to_thread(store.create_from_file, new, uploaded.file_id)
        created = time.perf_counter() - wall
        runner.notify()
        while not job.state.is_ended:
            await asyncio.sleep(0.1)
            job = await asyncio.to_thread(store.get, job.batch_id, "")
        seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "create": created}
        assert job.successful_count == job.request_count, job
        assert job.output_file_id is not None
        seconds["output_bytes"] = store.files.get(job.output_file_id, "").size_bytes
        await runner.stop()
        database.close()
    await embedder.close()
    return seconds


CASES = {"engine": engine, "batch": batch}


def measure(case: str, path: Path) -> dict[str, float]:
    """Return the seconds of one case, and the peak memory of this process and of the largest one beside it."""
    figures = asyncio.run(CASES[case](path))
    here, beside = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    figures["cpu"] += beside.ru_utime + beside.ru_stime
    return figures | {"peak_rss_mib": here.ru_maxrss / 1024, "peak_rss_beside_mib": beside.ru_maxrss / 1024}


def run_rounds(path: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return each figure of each case, one per round."""
    figures: dict[str, dict[str, list[float]]] = {case: {} for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            command = [sys.executable, __file__, "--case", case, "--input", str(path)]
            output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            for name, value in json.loads(output).items():
                figures[case].setdefault(name, []).append(value)
            print(case, {name: round(values[-1], 2) for name, values in figures[case].items()}, flush=True)
    return figures


def report(figures: dict[str, dict[str, list[float]]], count: int) -> dict[str, float]:
    """Print the medians and return what the machinery costs beside the engine."""
    middle = {
        case: {name: statistics.median(values) for name, values in each.items()} for case, each in figures.items()
    }
    for case, each in middle.items():
        print(
            f"{case:7} {count / each['wall']:9,.0f} texts/s  wall {each['wall']:7.2f} s  CPU {each['cpu']:7.2f} s  "
            f"peak {each['peak_rss_mib']:5.0f} and {each['peak_rss_beside_mib']:.0f} MiB"
        )
    cost = {name: middle["batch"][name] / middle["engine"][name] - 1 for name in ("wall", "cpu")}
    print(f"the batch takes {cost['wall']:+.1%} wall and {cost['cpu']:+.1%} CPU over the engine alone")
    return cost


def sgemm_gflops() -> float:
    """Return the speed of a matrix product now: a figure for how busy the machine is."""
    left = np.ones((1024, 1024), np.float32)
    started = time.perf_counter()
    for _ in range(5):
        left @ left
    return 5 * 2 * 1024**3 / (time.perf_counter() - started) / 1e9


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.input)))
        return
    before = sgemm_gflops()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.jsonl"
        write_input(path, options.texts)
        figures = run_rounds(path, options.rounds)
    cost = report(figures, options.texts)
    if options.output:
        write(options.output, figures, cost, [before, sgemm_gflops()], options.texts)


def processor_name() -> str:
    """Return what the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def write(path: Path, figures: object, cost: dict[str, float], sgemm: list[float], count: int) -> None:
    """Write the figures with what they were measured on."""
    result = {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "machine": {"processor": processor_name(), "cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "sgemm_gflops": sgemm,
        "model": MODEL,
        "texts": count,
        "cost_over_the_engine": cost,
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
