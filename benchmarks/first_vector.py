"""The time from nothing to the first vector: an environment, `pip install '.[server]'`, `gemvec serve`, one call.

python benchmarks/first_vector.py [--rounds 3] [--output benchmarks/results/first_vector.json]

Each round has an empty home, so nothing comes from a cache of pip's and the weights are fetched. It needs a package
index; most of the time is what that and the network need.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from machine import describe_run

ROOT = Path(__file__).parent.parent
CALL = {"content": {"parts": [{"text": "What is the meaning of life?"}]}}
MAX_SECONDS = 600


def main() -> None:
    """Measure the rounds, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "first_vector.json")
    options = parser.parse_args()
    rounds = [measure() for _ in range(options.rounds)]
    medians = {name: round(statistics.median(each[name] for each in rounds), 2) for name in rounds[0]}
    found = {**describe_run(), "python": sys.version.split()[0], "rounds": rounds, "median_seconds": medians}
    options.output.write_text(json.dumps(found, indent=2) + "\n")
    print(medians)


def measure() -> dict[str, float]:
    """Return the seconds of each step of one round, and of all of them."""
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", "PIP_NO_CACHE_DIR": "1"}  # noqa: TID251 - of another home
        for name in ("PYTHONPATH", "VIRTUAL_ENV", *(each for each in environ if each.startswith("GEMVEC_"))):
            environ.pop(name, None)
        moments = [time.perf_counter()]
        subprocess.run([sys.executable, "-m", "venv", f"{home}/venv"], env=environ, check=True)
        moments.append(time.perf_counter())
        pip = [f"{home}/venv/bin/pip", "install", "--quiet", f"{ROOT}[server]"]
        subprocess.run(pip, env=environ, check=True)
        moments.append(time.perf_counter())
        port = free_port()
        server = subprocess.Popen(
            [f"{home}/venv/bin/gemvec", "serve", "--port", str(port)],
            env=environ, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/readyz", server)
            moments.append(time.perf_counter())
            embed(f"http://127.0.0.1:{port}/v1beta/models/gemini-embedding-001:embedContent")
            moments.append(time.perf_counter())
        finally:
            server.terminate()
            server.wait()
    steps = ("environment", "install", "start", "call")
    seconds = {name: moments[index + 1] - moments[index] for index, name in enumerate(steps)}
    return seconds | {"all": moments[-1] - moments[0]}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server is ready.

    Raises:
        RuntimeError: it ended, or took too long.
    """
    end = time.monotonic() + MAX_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.02)
    raise RuntimeError("the server did not start")


def embed(url: str) -> None:
    """Ask for one vector.

    Raises:
        RuntimeError: there is none in the answer.
    """
    request = urllib.request.Request(url, json.dumps(CALL).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        if not any(json.load(answer)["embedding"]["values"]):
            raise RuntimeError("the answer has no vector")


if __name__ == "__main__":
    main()
