"""What a call costs the client: gemvec beside google-genai, and the libraries that could carry the bytes.

Calls are answered with 100 vectors, or one, of 3072 values. The libraries fetch one answer of 100 vectors whose values
have float64's digits, as Google's have, and throw it away: what is measured is moving the bytes.

    python benchmarks/client.py [--rounds 5] [--calls 30] [--output benchmarks/results/client.json]

A server in a separate process answers at once with vectors made beforehand, so that only the client is measured: from
texts to vectors, over HTTP, in CPU and wall seconds a call. Every case runs in a fresh process; cases take turns for
`--rounds` rounds. `google-genai arrays` makes float64 arrays of the answer, as Milvus' own class does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_run

MODEL = "gemini-embedding-001"
DIMENSIONALITY = 3072
TEXTS = {"100 texts": 100, "1 text": 1}
PACKAGES = ("gemvec", "google-genai", "httpx", "httpx2", "msgspec", "numpy", "urllib3", "uvicorn")
WIDE_PATH = "/wide"
WARM_UP_CALLS = 3

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Call = Callable[[list[str]], list[object]]
Fetch = Callable[[], bytes]


def gemvec(url: str) -> Call:
    """The class, as a user calls it."""
    from gemvec import GeminiEmbeddingFunction

    return GeminiEmbeddingFunction(MODEL, "key", base_url=url).encode_documents


def google_genai(url: str) -> Call:
    """The SDK, as Google's page calls it: lists of floats."""
    from google import genai

    client = genai.Client(api_key="key", http_options={"base_url": url})
    return lambda texts: [each.values for each in client.models.embed_content(model=MODEL, contents=texts).embeddings]


def google_genai_arrays(url: str) -> Call:
    """The SDK and arrays of its answer, as Milvus' class makes them."""
    lists = google_genai(url)
    return lambda texts: [np.array(values) for values in lists(texts)]


CASES: dict[str, Callable[[str], Call]] = {
    "gemvec": gemvec,
    "google-genai": google_genai,
    "google-genai arrays": google_genai_arrays,
}


def with_http_client(url: str) -> Fetch:
    """The standard library, one connection."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    connection = HTTPConnection(urlsplit(url).netloc)

    def fetch() -> bytes:
        connection.request("POST", WIDE_PATH, b"{}", {"Content-Type": "application/json"})
        return connection.getresponse().read()

    return fetch


def with_urllib3(url: str) -> Fetch:
    """urllib3, through its pool."""
    import urllib3

    pool = urllib3.PoolManager()
    return lambda: pool.request("POST", url + WIDE_PATH, body=b"{}", headers={"Content-Type": "application/json"}).data


def with_httpx(url: str) -> Fetch:
    """httpx, through a client."""
    import httpx

    client = httpx.Client()
    return lambda: client.post(url + WIDE_PATH, content=b"{}", headers={"Content-Type": "application/json"}).content


def with_httpx2(url: str) -> Fetch:
    """httpx2, through a client."""
    import httpx2

    client = httpx2.Client()
    return lambda: client.post(url + WIDE_PATH, content=b"{}", headers={"Content-Type": "application/json"}).content


LIBRARIES: dict[str, Callable[[str], Fetch]] = {
    "http.client": with_http_client,
    "urllib3": with_urllib3,
    "httpx": with_httpx,
    "httpx2": with_httpx2,
}


def measure(case: str, url: str, texts: int, calls: int) -> dict[str, float]:
    """Return the median CPU and wall milliseconds of a call, and what the process needed besides."""
    started = time.process_time()
    call = CASES[case](url)
    setup = time.process_time() - started
    sent = [f"a short text, number {number}" for number in range(texts)]
    assert len(call(sent)) == texts
    return time_calls(lambda: call(sent), calls, setup)


def measure_library(case: str, url: str, calls: int) -> dict[str, float]:
    """Return the same for fetching an answer and throwing it away."""
    started = time.process_time()
    fetch = LIBRARIES[case](url)
    setup = time.process_time() - started
    return {"answer_bytes": len(fetch()), **time_calls(fetch, calls, setup)}


def time_calls(call: Callable[[], object], calls: int, setup: float) -> dict[str, float]:
    """Return the medians of some calls, after a few that are not counted."""
    for _ in range(WARM_UP_CALLS):
        call()
    cpu, wall = [], []
    for _ in range(calls):
        cpu_started, wall_started = time.process_time(), time.perf_counter()
        call()
        cpu.append(time.process_time() - cpu_started)
        wall.append(time.perf_counter() - wall_started)
    return {
        "cpu_ms": statistics.median(cpu) * 1e3,
        "wall_ms": statistics.median(wall) * 1e3,
        "import_cpu_ms": setup * 1e3,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def serve() -> None:
    """Answer every call with as many vectors as it has requests; print the address first."""
    import uvicorn

    vectors = np.random.default_rng(0).normal(size=(max(TEXTS.values()), DIMENSIONALITY)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = ["[" + ",".join(map(str, row)) + "]" for row in vectors]
    answers = {
        texts: ('{"embeddings":[' + ",".join(f'{{"values":{row}}}' for row in rows[:texts]) + "]}").encode()
        for texts in TEXTS.values()
    }

    wide = np.random.default_rng(0).normal(size=(max(TEXTS.values()), DIMENSIONALITY)) / DIMENSIONALITY**0.5
    wide_answer = json.dumps({"embeddings": [{"values": row.tolist()} for row in wide]}).encode()

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = wide_answer if scope["path"] == WIDE_PATH else answers[body.count(b'"parts"')]
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def run() -> None:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        # The protocol is named so that asyncio switches Nagle's algorithm off, which would add 40 ms to short answers.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
            await server.serve(sockets=[listener])

    asyncio.run(run())


def sgemm_gflops() -> float:
    """Return the speed of a matrix product now: a figure for how busy the machine is."""
    left = np.ones((1024, 1024), np.float32)
    started = time.perf_counter()
    for _ in range(5):
        left @ left
    return 5 * 2 * 1024**3 / (time.perf_counter() - started) / 1e9


Figures = dict[str, dict[str, list[float]]]  # by case and by name, one for each round


def run_rounds(rounds: int, calls: int) -> tuple[dict[str, Figures], Figures]:
    """Return the figures of each kind of call, and those of the libraries."""
    this = [sys.executable, __file__]
    figures: dict[str, Figures] = {name: {case: {} for case in CASES} for name in TEXTS}
    libraries: Figures = {case: {} for case in LIBRARIES}
    with subprocess.Popen([*this, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().strip()
            for _ in range(rounds):
                for name, texts in TEXTS.items():
                    for case in CASES:
                        add(figures[name][case], [*this, "--texts", str(texts)], case, url, calls)
                for case in LIBRARIES:
                    add(libraries[case], this, case, url, calls)
        finally:
            server.terminate()
    return figures, libraries


def add(figures: dict[str, list[float]], command: list[str], case: str, url: str, calls: int) -> None:
    """Measure a case in a separate process and add its figures."""
    command = [*command, "--case", case, "--url", url, "--calls", str(calls)]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    for figure, value in json.loads(output).items():
        figures.setdefault(figure, []).append(value)


def report_libraries(libraries: Figures) -> None:
    """Print the medians of the libraries."""
    print(f"\nan answer of {libraries['urllib3']['answer_bytes'][0] / 1e6:.1f} MB")
    for case, values in libraries.items():
        middle = {figure: statistics.median(each) for figure, each in values.items()}
        print(f"  {case:20} CPU {middle['cpu_ms']:7.2f} ms  import {middle['import_cpu_ms']:5.0f} ms")


def report(figures: dict[str, Figures]) -> None:
    """Print the medians, and the CPU beside google-genai's."""
    for name, cases in figures.items():
        print(f"\n{name}, {DIMENSIONALITY} values each")
        base = statistics.median(cases["google-genai"]["cpu_ms"])
        for case, values in cases.items():
            middle = {figure: statistics.median(each) for figure, each in values.items()}
            print(
                f"  {case:20} CPU {middle['cpu_ms']:7.2f} ms ({middle['cpu_ms'] / base:4.0%})  "
                f"wall {middle['wall_ms']:7.2f} ms  import {middle['import_cpu_ms']:5.0f} ms  "
                f"peak {middle['peak_rss_mib']:4.0f} MiB"
            )


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=[*CASES, *LIBRARIES], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    elif options.case in LIBRARIES:
        print(json.dumps(measure_library(options.case, options.url, options.calls)))
    elif options.case:
        print(json.dumps(measure(options.case, options.url, options.texts, options.calls)))
    else:
        before = sgemm_gflops()
        figures, libraries = run_rounds(options.rounds, options.calls)
        report(figures)
        report_libraries(libraries)
        if options.output:
            write(options.output, figures, libraries, [before, sgemm_gflops()])


def write(path: Path, figures: object, libraries: object, sgemm: list[float]) -> None:
    """Write the figures with what they were measured on."""
    result = {
        **describe_run(PACKAGES),
        "sgemm_gflops": sgemm,
        "figures": figures,
        "libraries": libraries,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
