"""What it saves to read a Milvus Lite file without pymilvus, and to remember what a file contained.

    python benchmarks/lite.py [--rounds 9] [--output benchmarks/results/lite.json]

This project's pages are indexed once into a Milvus Lite file. Then `gemvec search` and an unchanged `gemvec index` run
as processes of their own: with pymilvus for everything; with Lite's engine read directly (`milvus/lite.py`); and, for
the index, with a snapshot of what the file held (`milvus/snapshot.py`) too. The cases take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_run

ROOT = Path(__file__).parent.parent
PACKAGES = ("gemvec", "milvus-lite", "pymilvus")
# Runs the command line with arguments of `open_collection` replaced.
PROGRAM = """
import json, sys
import gemvec.milvus
changed = json.loads(sys.argv.pop(1))
plain = gemvec.milvus.open_collection
gemvec.milvus.open_collection = lambda *arguments, **named: plain(*arguments, **{**named, **changed})
from gemvec.cli import main
main()
"""
PYMILVUS = {"is_only_client": False, "snapshots": None}
ENGINE = {"snapshots": None}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "search, pymilvus": ("search", PYMILVUS),
    "search, engine": ("search", ENGINE),
    "index, pymilvus": ("index", PYMILVUS),
    "index, engine": ("index", ENGINE),
    "index, snapshot": ("index", {}),
}


def run(command: list[str], changed: dict[str, Any]) -> dict[str, float]:
    """Run the command line once; return its seconds on the clock and on the processors."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    words = [sys.executable, "-c", PROGRAM, json.dumps(changed), *command]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": round(time.monotonic() - started, 3), "cpu_seconds": round(cpu, 3)}


def measure(folder: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Return the seconds of each case, round by round; the first round is not counted."""
    uri = ["--uri", str(folder / "pages.db")]
    commands = {
        "search": ["search", "how do I cancel a batch?", *uri],
        "index": ["index", str(ROOT / "docs"), *uri],
    }
    run(commands["index"], {})
    figures: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for number in range(rounds + 1):
        for case, (name, changed) in CASES.items():
            if "snapshot" in case:
                run(commands[name], {})  # the case before has opened the file, so that no snapshot is valid
            measured = run(commands[name], changed)
            if number:
                figures[case].append(measured)
    return figures


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), options.rounds)
    medians = {
        case: {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}
        for case, rounds in figures.items()
    }
    text = json.dumps({**describe_run(PACKAGES), "medians": medians, "rounds": figures}, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
