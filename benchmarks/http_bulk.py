"""How much of the engine's speed is left through HTTP, how soon a new server answers, and how much memory it takes.

    python benchmarks/http_bulk.py [--rounds 5] [--texts 2000] [--output benchmarks/results/http_bulk.json]

Bulk: the texts of `engine.py`, `TURN` of them at a time, once through `LocalEmbedder.embed` in this process and once
through a fresh server as `GeminiEmbeddingFunction` sends them, in turns so short that both meet the same moods of a
shared machine; server and client share its cores. Start: seconds from the command `gemvec serve` to the first embedding
over HTTP, with the weights in the cache. Latency: one short query at a time against the idle server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from engine import MODEL, PACKAGES, choose_texts
from engine_cases import WARM_UP_TEXTS
from machine import describe_run

from gemvec import GeminiEmbeddingFunction
from gemvec.embedding.embed import EmbedRequest, Priority
from gemvec.models.local import open_embedder
from gemvec.models.weights import load_model
from gemvec.settings import Precision, Settings, cache_home
from sts import serving

QUERY = b'{"content":{"parts":[{"text":"what is the meaning of life"}]}}'
QUERIES = 200
TURN = 1000
MIB = 2**20


def measure_bulk(texts: list[str], precision: Precision) -> dict[str, float]:
    """Return texts a second of the engine and through a server, the share that is left, and a query's latency."""
    embedder = open_embedder(Settings(model=(MODEL,), precision=precision))

    def embed(some: list[str]) -> None:
        requests = [EmbedRequest(text=text) for text in some]
        asyncio.run(embedder.embed(embedder.get_model(MODEL), requests, priority=Priority.BATCH))

    with serving(MODEL, precision) as url, GeminiEmbeddingFunction(MODEL, base_url=url) as function:
        turns = [texts[start : start + TURN] for start in range(0, len(texts), TURN)]
        for warm in (embed, function.encode_documents):
            warm(texts[:WARM_UP_TEXTS])
        pairs = [(seconds(embed, each), seconds(function.encode_documents, each)) for each in turns]
        engine, served = (sum(each) for each in zip(*pairs, strict=True))
        speeds = {"engine_texts_per_second": len(texts) / engine, "texts_per_second": len(texts) / served}
        share = statistics.median(alone / through for alone, through in pairs)
        result = {**speeds, "share": share, **latency(url)}
    asyncio.run(embedder.close())
    return result


def seconds(embed: Callable[[list[str]], object], texts: list[str]) -> float:
    """Return how long texts take."""
    started = time.perf_counter()
    embed(texts)
    return time.perf_counter() - started


def latency(url: str) -> dict[str, float]:
    """Return the median and 99th percentile of one query at a time, in milliseconds, over one kept connection."""
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    took: list[float] = []
    for _ in range(QUERIES):
        started = time.perf_counter()
        connection.request("POST", f"/v1beta/models/{MODEL}:embedContent", QUERY)
        connection.getresponse().read()
        took.append(time.perf_counter() - started)
        time.sleep(0.005)
    connection.close()
    ordered = sorted(took)
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
        return {"first_embedding_seconds": time.perf_counter() - began, **memory(server.pid)}


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
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    texts, mean_tokens = choose_texts(load_model(MODEL, cache_home()), options.texts)
    rounds: list[dict[str, float]] = []
    for _ in range(options.rounds):
        rounds.append(measure_bulk(texts, options.precision) | start_up(options.port))
        print("  ".join(f"{name} {value:.4g}" for name, value in rounds[-1].items()), flush=True)
    middle = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    print("median\n" + "\n".join(f"  {name:26} {value:.4g}" for name, value in middle.items()))
    if options.output:
        result = {
            **describe_run(PACKAGES),
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
