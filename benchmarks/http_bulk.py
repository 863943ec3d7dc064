"""How much of the engine's speed is left through HTTP, how soon a new server answers, and how much memory it takes.

    python benchmarks/http_bulk.py [--rounds 5] [--texts 2000] [--output benchmarks/results/http_bulk.json]

Bulk: the texts of `engine.py`, once through `LocalEmbedder.embed` in a fresh process, once through a fresh server
as `GeminiEmbeddingFunction` sends them, in turns; server and client share the machine's cores. Start: seconds from the
command `gemvec serve` to the first embedding over HTTP, with the weights in the cache. Latency: one short query at a
time against the idle server.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from engine import MODEL, PACKAGES, choose_texts, describe_machine
from engine_cases import WARM_UP_TEXTS

from gemvec import GeminiEmbeddingFunction
from gemvec.models.weights import load_model
from gemvec.settings import cache_home
from sts import serving

QUERY = b'{"content":{"parts":[{"text":"what is the meaning of life"}]}}'
QUERIES = 200
MIB = 2**20


def in_process(texts: list[str], precision: str) -> float:
    """Return texts a second of the engine, measured by this script in a fresh process."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        command = [sys.executable, __file__, "--engine", file.name, "--precision", precision]
        printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return float(printed.splitlines()[-1])


def measure_engine(texts: list[str], precision: str) -> float:
    """Return texts a second of the engine in this process."""
    import asyncio

    from gemvec.models.embed import EmbedRequest, Priority
    from gemvec.models.local import open_embedder
    from gemvec.settings import Settings

    embedder = open_embedder(Settings(model=(MODEL,), precision=precision))

    def embed(some: list[str]) -> None:
        requests = [EmbedRequest(text=text) for text in some]
        asyncio.run(embedder.embed(MODEL, requests, priority=Priority.BATCH))

    return timed(embed, texts)


def through_http(texts: list[str], precision: str) -> dict[str, float]:
    """Return texts a second through a fresh server, the server's memory, and the latency of a query afterwards."""
    with serving(MODEL, precision) as url, GeminiEmbeddingFunction(MODEL, base_url=url) as function:
        speed = timed(function.encode_documents, texts)
        return {"texts_per_second": speed, **latency(url)}


def timed(embed: Callable[[list[str]], object], texts: list[str]) -> float:
    """Return texts a second, after some to warm up."""
    embed(texts[:WARM_UP_TEXTS])
    started = time.perf_counter()
    embed(texts)
    return len(texts) / (time.perf_counter() - started)


def latency(url: str) -> dict[str, float]:
    """Return the median and 99th percentile of one query at a time, in milliseconds, over one kept connection."""
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    seconds: list[float] = []
    for _ in range(QUERIES):
        started = time.perf_counter()
        connection.request("POST", f"/v1beta/models/{MODEL}:embedContent", QUERY)
        connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
        time.sleep(0.005)
    connection.close()
    ordered = sorted(seconds)
    return {"query_ms_p50": 1000 * statistics.median(ordered), "query_ms_p99": 1000 * ordered[int(0.99 * QUERIES)]}


@contextmanager
def started_server(port: int) -> Generator[subprocess.Popen[bytes]]:
    """Run `gemvec serve` on a port."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gemvec", "serve", "--port", str(port), "--data-dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield server
        finally:
            server.terminate()
            server.wait()


def start_up(port: int) -> dict[str, float]:
    """Return seconds from the command to the first embedding, and the server's peak memory until then in MiB."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1beta/models/{MODEL}:embedContent", QUERY)
    began = time.perf_counter()
    with started_server(port) as server:
        while True:
            try:
                with urllib.request.urlopen(request) as answer:
                    answer.read()
                    break
            except OSError:
                time.sleep(0.01)
        seconds = time.perf_counter() - began
        return {"first_embedding_seconds": seconds, **memory(server.pid)}


def memory(pid: int) -> dict[str, float]:
    """Return a process' resident memory now and at its peak, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines() if line.startswith(("VmRSS", "VmHWM")))
    kib = {name: int(text.split()[0]) for name, text in found.items()}
    return {"rss_mib": kib["VmRSS"] * 1024 / MIB, "peak_rss_mib": kib["VmHWM"] * 1024 / MIB}


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--precision", default="fast")
    parser.add_argument("--port", type=int, default=18_765)
    parser.add_argument("--engine", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.engine:
        print(measure_engine(json.loads(options.engine.read_text()), options.precision))
        return
    texts, mean_tokens = choose_texts(load_model(MODEL, cache_home()), options.texts)
    rounds: list[dict[str, float]] = []
    for _ in range(options.rounds):
        engine, served, start = (
            in_process(texts, options.precision),
            through_http(texts, options.precision),
            start_up(options.port),
        )
        rounds.append(
            {"engine_texts_per_second": engine, "share": served["texts_per_second"] / engine, **served, **start}
        )
        print("  ".join(f"{name} {value:.4g}" for name, value in rounds[-1].items()), flush=True)
    middle = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    print("median\n" + "\n".join(f"  {name:26} {value:.4g}" for name, value in middle.items()))
    if options.output:
        result = {
            "command": " ".join(["python", *sys.argv]),
            "commit": subprocess.run(
                ["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, check=True, text=True
            ).stdout.strip(),
            "machine": describe_machine(),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in PACKAGES},
            "precision": options.precision,
            "texts": len(texts),
            "mean_tokens": mean_tokens,
            "client_peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB,
            "median": middle,
            "rounds": rounds,
        }
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
