"""Batches on a Ray cluster of this machine: what a lost node costs, and what Ray costs over one machine.

    python benchmarks/ray_batches.py [--texts 200000] [--measured 40000] [--rounds 3] [--output FILE]

- `two_nodes`: a batch of `--texts` texts for a static model, on two nodes with a core each. One node is killed with its
  actor, without warning, when half of the texts are done. The results are compared line by line with those of the same
  server that computes them itself: keys and their order, bytes of the lines, cosine of the vectors.
- `one_node`: three cases take turns for `--rounds` rounds, each with `--measured` texts for a transformer and two
  streams: `engine`, the engine in one process, given the texts in chunks of 256, eight at a time, with the vectors
  thrown away; `batch`, a batch of `gemvec serve`; `ray`, the same with `--executor ray`, and one node with one actor of
  two cores. The clock and CPU seconds run from the call that creates a batch to its success, after another batch has
  started the actor. CPU seconds are those of all processes of a case: for `ray` server, driver, actor and everything
  of Ray's own, which grows with the time that the batch takes. `idle_cores` is what all of them take afterwards, when
  there is no work.
- `one_node_passages`: the same with a tenth of the texts, each as long as a passage of a document.

The texts are 4 to 16 common words, passages 100 to 200. Where others use the machine, CPU seconds tell more than the
clock.
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
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_run

from batches import texts, write_input

# A static model gives the same bits wherever it runs, so that whole files can be compared.
STATIC_MODEL, MODEL = "wordllama-256", "all-minilm-l6-v2"
CHUNK, IN_FLIGHT, STREAMS = 256, 8, 2
STORE_BYTES = 100 * 2**20
PACKAGES = ("gemvec", "ray", "numpy", "openvino", "tokenizers")
CASES = ("engine", "batch", "ray")
SHORT, PASSAGES = (4, 16), (100, 200)  # words
POLL_SECONDS = 0.1
# A quiet machine computes half of the texts in a second, and a node that is killed late has nothing more to lose.
IMPATIENT_POLL_SECONDS = 0.02
IDLE_SECONDS = 20.0
# By words of their command lines; everything else is Ray's own.
PARTS = {"actor": "ray::ChunkActor", "driver": "driver import serve", "server": "-m gemvec serve"}
RAY = "ray"

Figures = dict[str, float]


@contextmanager
def cluster(nodes: int, cores: int) -> Generator[tuple[Any, list[Any]]]:
    """Run a head without cores, and nodes."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112, TID251 - with its own 15, the other cases would go first
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"object_store_memory": STORE_BYTES}
    opened = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **node})
    try:
        yield opened, [opened.add_node(num_cpus=cores, **node) for _ in range(nodes)]
    finally:
        opened.shutdown()


@contextmanager
def server(folder: Path, model: str, *flags: str) -> Generator[str]:
    """Run `gemvec serve` and yield its address."""
    command = [sys.executable, "-m", "gemvec", "serve", "--port", "0", "--model", model, "--streams", str(STREAMS)]
    command += ["--data-dir", str(folder / "data"), "--log-level", "warning", *flags]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout
        found = re.search(r"http://[\d.]+:\d+", running.stdout.readline())
        assert found, "the server does not start"
        yield found[0]
    finally:
        running.terminate()
        running.communicate()


def descendants() -> set[int]:
    """Return the processes that this one has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = set[int](), [os.getpid()]
    while waiting:
        new = children.get(waiting.pop(), [])
        found.update(new)
        waiting += new
    return found


def cpu_seconds() -> dict[str, float]:
    """Return the CPU time of all of these so far by what they are, and of those of their children that have ended."""
    ticks = dict.fromkeys((*PARTS, RAY), 0)
    for pid in descendants():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            spent = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
        ticks[next((part for part, words in PARTS.items() if words in command), RAY)] += spent
    return {part: spent / os.sysconf("SC_CLK_TCK") for part, spent in ticks.items()}


def spent_since(before: dict[str, float]) -> dict[str, float]:
    """Return the CPU time of each part since then."""
    return {part: round(spent - before[part], 2) for part, spent in cpu_seconds().items()}


def resident_mib() -> float:
    """Return the memory of all of these; shared pages count in each."""
    pages = 0
    for pid in descendants():
        try:
            pages += int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[21])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run_batch(
    url: str, model: str, path: Path, results: Path | None = None, half: Callable[[int], None] | None = None
) -> Figures:
    """Run the texts as a batch; `half` is called when half of them are done.

    Returns:
        Seconds, CPU seconds of all processes, and their memory at its highest.
    """
    from gemvec.client import find_target
    from gemvec.client.batches import BatchClient

    with BatchClient(find_target(url)) as batches:
        uploaded = batches.files.upload(path, mime_type="jsonl")
        before, wall, peak = cpu_seconds(), time.perf_counter(), 0.0
        batch = batches.create_from_file(model, uploaded.name)
        while not batch.state.is_ended:
            time.sleep(IMPATIENT_POLL_SECONDS if half else POLL_SECONDS)
            peak = max(peak, resident_mib())
            batch = batches.get(batch.batch_id)
            done = batch.stats.successful_request_count
            if half and done * 2 >= batch.stats.request_count:
                half(done)
                half = None
        parts = spent_since(before)
        figures = {"wall": time.perf_counter() - wall, "cpu": sum(parts.values()), "peak_rss_mib": peak}
        figures |= {f"cpu_{part}": spent for part, spent in parts.items() if spent}
        assert batch.stats.successful_request_count == batch.stats.request_count, batch
        assert half is None, "the batch ended before the node was killed"
        if results:
            assert batch.responses_file
            with results.open("wb") as target:
                batches.files.download(batch.responses_file, target)
    return {name: round(value, 2) for name, value in figures.items()}


def two_nodes(folder: Path, count: int) -> dict[str, Any]:
    """Compute the texts on two nodes, one of which is killed, and on one machine; compare the results."""
    path = folder / "input.jsonl"
    write_input(path, count)
    with cluster(2, 1) as (opened, nodes):
        killed: list[int] = []

        def kill(done: int) -> None:
            opened.remove_node(nodes[0], allow_graceful=False)
            killed.append(done)

        with server(folder / "ray", STATIC_MODEL, "--executor", f"ray:{opened.address}") as url:
            figures = run_batch(url, STATIC_MODEL, path, folder / "ray.jsonl", kill)
            metrics = subprocess.run(["curl", "-s", f"{url}/metrics"], capture_output=True, text=True, check=True)
    lost = re.search(r"^gemvec_ray_lost_actors_total (\S+)$", metrics.stdout, re.MULTILINE)
    assert lost
    assert float(lost[1]), "the node had no work any more when it was killed"
    print("two nodes", figures, f"killed after {killed[0]}, lost actors {lost[1]}", flush=True)
    with server(folder / "local", STATIC_MODEL) as url:
        alone = run_batch(url, STATIC_MODEL, path, folder / "local.jsonl")
    print("one machine", alone, flush=True)
    return {
        "texts": count,
        "killed_after": killed[0],
        "lost_actors": float(lost[1]),
        "on_two_nodes": figures,
        "on_one_machine": alone,
        **compare(folder / "ray.jsonl", folder / "local.jsonl", count),
    }


def compare(found: Path, expected: Path, count: int) -> dict[str, Any]:
    """Compare two files of results line by line."""
    equal, cosine, number = 0, 1.0, 0
    with found.open("rb") as ours, expected.open("rb") as theirs:
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
            if one == other:
                equal += 1
                continue
            left, right = json.loads(one), json.loads(other)
            assert left["key"] == right["key"] == f"request_{number - 1}"
            vectors = [np.array(each["response"]["embedding"]["values"]) for each in (left, right)]
            cosine = min(cosine, float(vectors[0] @ vectors[1] / np.prod([np.linalg.norm(each) for each in vectors])))
    assert number == count
    return {"lines_in_order": number, "lines_with_the_same_bytes": equal, "lowest_cosine": cosine}


async def engine(count: int, words: tuple[int, int]) -> Figures:
    """Embed the texts and forget the vectors."""
    from gemvec.embedding.embed import EmbedRequest, Priority
    from gemvec.embedding.task_type import TaskType
    from gemvec.models.local import open_embedder
    from gemvec.settings import Settings

    embedder = open_embedder(Settings(model=(MODEL,), streams=STREAMS))
    requests = [EmbedRequest(text=text, task_type=TaskType.RETRIEVAL_DOCUMENT) for text in texts(count, words)]
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def embed(start: int) -> None:
        async with turns:
            await embedder.embed(embedder.get_model(MODEL), requests[start : start + CHUNK], priority=Priority.BATCH)

    await asyncio.gather(*(embed(start) for start in range(0, CHUNK * IN_FLIGHT, CHUNK)))
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(embed(start) for start in range(0, len(requests), CHUNK)))
    figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    await embedder.close()
    return {name: round(value, 2) for name, value in figures.items()}


def run_case(case: str, folder: Path, address: str, count: int, words: tuple[int, int]) -> Figures:
    """Return the figures of one case."""
    if case == "engine":
        command = [sys.executable, __file__, "--measured", str(count), "--engine", *map(str, words)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    on_ray = ["--executor", f"ray:{address}", "--ray-max-actors", "1", "--ray-actor-cpus", str(STREAMS)]
    flags = on_ray if case == "ray" else []
    warm, path = folder / "warm.jsonl", folder / "measured.jsonl"
    write_input(warm, CHUNK * IN_FLIGHT, words)
    write_input(path, count, words)
    with (
        tempfile.TemporaryDirectory(dir=folder) as data,
        server(Path(data), MODEL, *flags) as url,
    ):
        run_batch(url, MODEL, warm)
        figures = run_batch(url, MODEL, path)
        if case == "ray":
            before = cpu_seconds()
            time.sleep(IDLE_SECONDS)
            figures["idle_cores"] = round(sum(spent_since(before).values()) / IDLE_SECONDS, 3)
        return figures


def one_node(folder: Path, count: int, rounds: int, words: tuple[int, int]) -> dict[str, Any]:
    """Measure what batches on one node cost over the engine, and over batches without Ray."""
    figures: dict[str, list[Figures]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            with running_cluster(case) as address:
                load = round(os.getloadavg()[0], 2)
                figures[case].append(run_case(case, folder, address, count, words) | {"load_before": load})
            print(case, figures[case][-1], flush=True)
    middle = {
        case: {name: statistics.median(each[name] for each in found) for name in ("wall", "cpu")}
        for case, found in figures.items()
    }
    cost = {
        f"{case}_over_{alone}": {name: round(middle[case][name] / middle[alone][name] - 1, 3) for name in middle[case]}
        for case, alone in (("batch", "engine"), ("ray", "engine"), ("ray", "batch"))
    }
    print(json.dumps(cost, indent=1))
    return {"texts": count, "words": words, "cost": cost, "figures": figures}


@contextmanager
def running_cluster(case: str) -> Generator[str]:
    """Yield the address of a cluster of one node, if the case needs one."""
    if case != "ray":
        yield ""
        return
    with cluster(1, STREAMS) as (opened, _):
        yield opened.address


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--measured", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--engine", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(asyncio.run(engine(options.measured, tuple(options.engine)))))
        return
    result: dict[str, Any] = describe_run(PACKAGES) | {
        "models": [STATIC_MODEL, MODEL],
        "what": (__doc__ or "").splitlines()[4:],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.rounds:
            result["one_node"] = one_node(folder, options.measured, options.rounds, SHORT)
            result["one_node_passages"] = one_node(folder, options.measured // 10, options.rounds, PASSAGES)
        if options.texts:
            result["two_nodes"] = two_nodes(folder, options.texts)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
