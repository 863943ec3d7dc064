"""What a durable batch costs over the engine alone, on the same short texts in one file, and how much memory it takes.

    python benchmarks/batches.py [--texts 100000] [--rounds 3] [--output benchmarks/results/batches.json]

Four cases, each in fresh processes, take turns for `--rounds` rounds:

- `engine`: `LocalEmbedder` in one process is given the texts in chunks of 4,096, four at a time, as batches do it. The
  texts are in memory before the clock starts, and the vectors are thrown away.
- `engine_processes`: the same in two processes at once, half of the texts each: the topology that batches have.
- `batch`: `gemvec serve` has the texts as an uploaded file; the clock runs from the call that creates the batch to its
  success, the start of the processes that run its chunks included.
- `batch_one_process`: the same, with those processes turned off.

CPU seconds are those of all processes of a case, and count from the same moment. Memory is the sum of the resident sets
of the server and its processes, shared pages counted in each, from the upload to the end of the download of the
results, in which every line's key is checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from machine import describe_run

MODEL = "wordllama-256"
CHUNK = 4096
IN_FLIGHT = 4
PROCESSES = 2
COMMON = (
    "the of and to in is that for it with as was on be by are this from or have an they which one you were all her "
    "there been if more when will would who so no said what up its about into them can only other time new some"
)
PACKAGES = ("gemvec", "numpy", "orjson", "msgspec", "sqlalchemy", "tokenizers")
CASES = ("engine", "engine_processes", "batch", "batch_one_process")
MIB = 2**20
# Asking costs the cores that are measured a few milliseconds each time.
POLL_SECONDS = 0.5

SERVE = "from gemvec.cli import main; main()"
SERVE_IN_ONE_PROCESS = "from gemvec.batches import executor; executor.CHUNKS_WITHOUT_PROCESSES = 10**9; " + SERVE

Figures = dict[str, float | list[float]]


def texts(count: int, words: tuple[int, int] = (4, 16)) -> Iterator[str]:
    """Yield sentences of so many common words, the same ones each time."""
    common = COMMON.split()
    choose = np.random.default_rng(0)
    for _ in range(count):
        chosen: list[int] = choose.integers(0, len(common), int(choose.integers(words[0], words[1] + 1))).tolist()
        yield " ".join(common[index] for index in chosen)


def write_input(path: Path, count: int, words: tuple[int, int] = (4, 16)) -> None:
    """Write the texts as a batch's input."""
    with path.open("w") as file:
        for number, text in enumerate(texts(count, words)):
            request = {"content": {"parts": [{"text": text}]}, "task_type": "RETRIEVAL_DOCUMENT"}
            file.write(json.dumps({"key": f"request_{number}", "request": request}) + "\n")


async def engine(path: Path, part: int, parts: int) -> Figures:
    """Embed every `parts`-th text and forget the vectors; begin when a line comes on standard input."""
    from gemvec.embedding.embed import EmbedRequest, Priority
    from gemvec.embedding.task_type import TaskType
    from gemvec.models.local import open_embedder
    from gemvec.settings import Settings

    embedder = open_embedder(Settings(model=(MODEL,)))
    with path.open() as file:
        lines = (line for number, line in enumerate(file) if number % parts == part)
        found = [json.loads(line)["request"]["content"]["parts"][0]["text"] for line in lines]
    requests = [EmbedRequest(text=text, task_type=TaskType.RETRIEVAL_DOCUMENT) for text in found]
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def embed(start: int) -> None:
        async with turns:
            await embedder.embed(embedder.get_model(MODEL), requests[start : start + CHUNK], priority=Priority.BATCH)

    await embed(0)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(embed(start) for start in range(0, len(requests), CHUNK)))
    figures: Figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    await embedder.close()
    return figures


def run_engine(path: Path, parts: int) -> Figures:
    """Run the engine in as many processes, which begin together; the last one's end counts."""
    commands = [
        [sys.executable, __file__, "--engine", f"{part}/{parts}", "--input", str(path)] for part in range(parts)
    ]
    running = [
        subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for each in commands
    ]
    for each in running:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"
    answers = [json.loads(each) for each in _answers(running)]
    return {"wall": max(each["wall"] for each in answers), "cpu": sum(each["cpu"] for each in answers)}


def _answers(running: list[subprocess.Popen[str]]) -> list[str]:
    for each in running:
        assert each.stdin
        each.stdin.write("go\n")
    return [each.communicate()[0] for each in running]


class Tree:
    """A process and its children, as the system sees them."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._is_ending = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        self.samples: list[float] = []  # MiB
        self.most_processes = 0

    def cpu_seconds(self) -> float:
        """Return the CPU time of all so far, of children that have ended too."""
        ticks = sum(int(field) for pid in self._pids() for field in _stat(pid)[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self._pid}/task").glob("*/children")
        return [self._pid, *(int(pid) for each in children for pid in each.read_text().split())]

    def _sample(self) -> None:
        while not self._is_ending.wait(POLL_SECONDS):
            pids = self._pids()
            self.most_processes = max(self.most_processes, len(pids))
            self.samples.append(sum(map(_resident_bytes, pids)) / MIB)

    @contextmanager
    def sampled(self) -> Generator[None]:
        """Take samples of the memory."""
        self._sampler.start()
        try:
            yield
        finally:
            self._is_ending.set()
            self._sampler.join()


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _resident_bytes(pid: int) -> int:
    try:
        return int(_stat(pid)[21]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # it has just ended
        return 0


def run_batch(path: Path, program: str, count: int) -> Figures:
    """Run the texts as a batch of a server."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-c", program, "serve", "--port", "0", "--model", MODEL]
        command += ["--data-dir", f"{folder}/data", "--log-level", "warning"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            found = re.search(r"http://[\d.]+:\d+", server.stdout.readline())
            assert found, "the server does not start"
            tree = Tree(server.pid)
            with tree.sampled():
                figures = use_server(found[0], path, Path(folder) / "results.jsonl", tree, count)
        finally:
            server.terminate()
            server.communicate()
    tenths = [float(max(each)) for each in np.array_split(tree.samples, 10) if each.size]
    return figures | {"peak_rss_mib": max(tenths), "rss_mib": tenths, "processes": tree.most_processes}


def use_server(url: str, path: Path, results: Path, tree: Tree, count: int) -> Figures:
    """Upload the texts, run the batch, download and check its results."""
    from gemvec.client import find_target
    from gemvec.client.batches import BatchClient

    with BatchClient(find_target(url)) as batches:
        uploaded = batches.files.upload(path, mime_type="jsonl")
        cpu, wall = tree.cpu_seconds(), time.perf_counter()
        batch = batches.create_from_file(MODEL, uploaded.name)
        created = time.perf_counter() - wall
        while not batch.state.is_ended:
            time.sleep(POLL_SECONDS)
            batch = batches.get(batch.batch_id)
        figures: Figures = {"wall": time.perf_counter() - wall, "cpu": tree.cpu_seconds() - cpu, "create": created}
        assert batch.stats.successful_request_count == count
        assert batch.responses_file
        with results.open("wb") as target:
            batches.files.download(batch.responses_file, target)
    check(results, count)
    return figures | {"output_bytes": results.stat().st_size}


def check(results: Path, count: int) -> None:
    """Fail unless the results are those of the requests, all of them, in order."""
    number = 0
    with results.open("rb") as lines:
        for line in lines:
            assert line.startswith(b'{"key":"request_%d","response":{"embedding":{"values":[' % number)
            number += 1
    assert number == count


def measure(case: str, path: Path, count: int) -> Figures:
    """Return the figures of one case."""
    if case.startswith("engine"):
        return run_engine(path, PROCESSES if case == "engine_processes" else 1)
    return run_batch(path, SERVE if case == "batch" else SERVE_IN_ONE_PROCESS, count)


def run_rounds(path: Path, count: int, rounds: int) -> dict[str, list[Figures]]:
    """Return the figures of each case, one dictionary a round."""
    figures: dict[str, list[Figures]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            load = os.getloadavg()[0]
            measured: Figures = {name: _rounded(value) for name, value in measure(case, path, count).items()}
            figures[case].append(measured | {"load_before": load})
            print(case, figures[case][-1], flush=True)
    return figures


def _rounded(value: float | list[float]) -> float | list[float]:
    return [round(each) for each in value] if isinstance(value, list) else round(value, 2)


def report(figures: dict[str, list[Figures]], count: int) -> dict[str, dict[str, float]]:
    """Print the medians and return what each case costs over the engine in one process, and over that in two."""
    middle = {
        case: {name: statistics.median(float(str(each[name])) for each in rounds) for name in ("wall", "cpu")}
        for case, rounds in figures.items()
    }
    for case, each in middle.items():
        print(f"{case:18} {count / each['wall']:8,.0f} texts/s  wall {each['wall']:7.2f} s  CPU {each['cpu']:7.2f} s")
    cost = {
        f"{case}_over_{alone}": {name: round(middle[case][name] / middle[alone][name] - 1, 3) for name in middle[case]}
        for case in ("batch", "batch_one_process")
        for alone in ("engine", "engine_processes")
    }
    for name, each in cost.items():
        print(f"{name}: {each['wall']:+.1%} wall, {each['cpu']:+.1%} CPU")
    return cost


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        part, parts = map(int, options.engine.split("/"))
        print(json.dumps(asyncio.run(engine(options.input, part, parts))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.jsonl"
        write_input(path, options.texts)
        figures = run_rounds(path, options.texts, options.rounds)
    cost = report(figures, options.texts)
    if options.output:
        write(options.output, figures, cost, options.texts)


def write(path: Path, figures: object, cost: object, count: int) -> None:
    """Write the figures with what was compared and what they were measured on."""
    result = {
        **describe_run(PACKAGES),
        "what": (__doc__ or "").partition("\n\nFour cases")[2].partition("\n\n")[2].splitlines(),
        "model": MODEL,
        "texts": count,
        "cost": cost,
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
