"""Two versions of gemvec on the hot paths, in turns on one machine: is the new one slower?

    python benchmarks/compare.py --before DIR --after DIR [--rounds 4] [--output benchmarks/results/compare.json]

DIR is a checkout whose environment lies in `DIR/.venv` or `DIR.venv`. Each benchmark is run as its version has it, one
round at a time, first one version and then the other, and in the next round the other way round; a figure's ratio is
the median over the rounds of after divided by before, so that what the machine does meanwhile meets both. Below 1 is
better for seconds and MiB, above 1 for texts a second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from machine import describe_machine

from gemvec.settings import process_environ

# The command of a round of each benchmark, and the places of its figures in its output.
COMMANDS = {
    "engine": ["engine.py", "--rounds", "1", "--texts", "1000", "--only", "gemvec"],
    "client": ["client.py", "--rounds", "1", "--calls", "20"],
    "http_bulk": ["http_bulk.py", "--rounds", "1", "--texts", "2000"],
    "batches": ["batches.py", "--rounds", "1", "--texts", "200000"],
    "ingest": ["ingest.py", "--rounds", "2", "--passages", "2000"],
}
FIGURES = {
    "engine": {
        f"{precision}, {title}": ("figures", f"gemvec {precision}", 0, name)
        for precision in ("fast", "exact")
        for title, name in (
            ("texts a second", "texts_per_second"),
            ("texts a CPU second", "texts_per_cpu_second"),
            ("peak MiB", "peak_rss_mib"),
        )
    },
    "client": {
        "100 texts, CPU ms": ("figures", "100 texts", "gemvec", "cpu_ms", 0),
        "1 text, CPU ms": ("figures", "1 text", "gemvec", "cpu_ms", 0),
        "import, CPU ms": ("figures", "1 text", "gemvec", "import_cpu_ms", 0),
        "peak MiB": ("figures", "100 texts", "gemvec", "peak_rss_mib", 0),
    },
    "http_bulk": {
        "texts a second": ("rounds", 0, "texts_per_second"),
        "share of the engine": ("rounds", 0, "share"),
        "query ms, median": ("rounds", 0, "query_ms_p50"),
        "first embedding, seconds": ("rounds", 0, "first_embedding_seconds"),
        "MiB": ("rounds", 0, "rss_mib"),
        "peak MiB": ("rounds", 0, "peak_rss_mib"),
    },
    "batches": {
        f"{case}, {kind} seconds": ("figures", case, 0, kind)
        for case in ("engine", "engine_processes", "batch", "batch_one_process")
        for kind in ("wall", "cpu")
    },
    # Of the second round: in the first, one version imports what the other imported before.
    "ingest": {
        f"{case}, {title} seconds": (kind, case, 1)
        for case in ("engine", "ingest", "second_ingest")
        for kind, title in (("seconds", "wall"), ("cpu_seconds", "CPU"))
    },
}


def find_python(checkout: Path) -> Path:
    """Return the interpreter of a checkout's environment."""
    for folder in (checkout / ".venv", checkout.with_name(checkout.name + ".venv")):
        if (folder / "bin" / "python").is_file():
            return folder / "bin" / "python"
    raise SystemExit(f"No environment is in {checkout}/.venv or {checkout}.venv.")


def run_once(checkout: Path, name: str) -> dict[str, float]:
    """Run one round of one benchmark of a checkout, and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        command = [str(find_python(checkout)), *COMMANDS[name], "--output", str(output)]
        # As users have it: without the compiled modules every import would be measured as a compilation.
        environ = {name: value for name, value in process_environ().items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run(command, cwd=checkout / "benchmarks", check=True, stdout=subprocess.DEVNULL, env=environ)
        result = json.loads(output.read_bytes())
    return {title: read_figure(result, path) for title, path in FIGURES[name].items()}


def read_figure(result: Any, path: tuple[str | int, ...]) -> float:
    """Follow a path into a result."""
    for key in path:
        result = result[key]
    return float(result)


def describe(checkout: Path) -> str:
    """Return the commit of a checkout."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", choices=COMMANDS, action="append")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before.resolve(), "after": arguments.after.resolve()}
    measured: dict[str, dict[str, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for turn in range(arguments.rounds):
        for name in arguments.only or COMMANDS:
            for which in sorted(checkouts, reverse=turn % 2 == 0):
                figures = run_once(checkouts[which], name)
                measured[name][which].append(figures)
                print(name, which, {title: round(value, 3) for title, value in figures.items()}, file=sys.stderr)
    result = {
        "command": "python benchmarks/compare.py --before DIR --after DIR --rounds " + str(arguments.rounds),
        "commits": {which: describe(checkout) for which, checkout in checkouts.items()},
        "machine": describe_machine(),
        "after_over_before": {name: ratios(measured[name]) for name in measured},
        "rounds": measured,
    }
    text = json.dumps(result, indent=1)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    print(json.dumps(result["after_over_before"], indent=1))


def ratios(sides: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Return the median over the rounds of after divided by before, for each figure."""
    pairs = list(zip(sides["before"], sides["after"], strict=True))
    return {
        title: round(statistics.median(after[title] / before[title] for before, after in pairs), 3)
        for title in pairs[0][0]
    }


if __name__ == "__main__":
    main()
