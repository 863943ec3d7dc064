"""How much memory `gemvec index` takes at most, for one large document of each format and for thousands of small ones.

    python benchmarks/index_memory.py [CASE ...] [--output benchmarks/results/index_memory.json]

Each case (`large_documents.py`) is made, and indexed by the whole command with the default model into a new Milvus Lite
file. Reported is the peak of the memory that is resident, VmHWM, of the command and of all processes that it starts. A
case that was measured before is kept in the output, with its commit, and replaced if it is measured again. A document
that is left out, because it would take too much, says so in `left_out`. `nothing` is an empty document.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from large_documents import CASES, MB, Case
from machine import describe_run

SECONDS_BETWEEN_LOOKS = 0.02
PACKAGES = ("gemvec", "milvus-lite", "openvino", "beautifulsoup4", "markdownify", "mammoth", "openpyxl", "pypdfium2")


def find_tree(root: int) -> list[int]:
    """Return a process and all that it has started, and those that they have."""
    found = [root]
    for parent in found:
        for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, tasks.read_text().split())
    return found


def read_peak(process: int) -> int:
    """Return the most memory that a process has had, in KiB; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0


def run(command: list[str], folder: Path) -> tuple[int, float, dict[str, Any]]:
    """Return the peak of a command in KiB, all its processes added up, its processor seconds, and what it printed."""
    output = folder / "output.json"
    with output.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.PIPE)
    peaks: dict[int, int] = {}
    while True:
        for each in find_tree(process.pid):
            peaks[each] = max(read_peak(each), peaks.get(each, 0))
        done, _, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    text = output.read_text()
    if not text.startswith("{"):
        raise SystemExit(f"{' '.join(command)} failed: {process.stderr.read().decode() if process.stderr else ''}")
    return sum(peaks.values()), usage.ru_utime + usage.ru_stime, json.loads(text)


def measure(case: Case) -> dict[str, Any]:
    """Return the figures of one case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / (f"document.{case.suffix}" if case.suffix else "documents")
        case.write(path, case.megabytes * MB)
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
        size = sum(each.stat().st_size for each in files)
        command = [sys.executable, "-m", "gemvec", "index", path.name, "--uri", str(folder / "a.db"), "--json"]
        peak, seconds, outcome = run([*command, "--base-url", "local", *case.options], folder)
    return {
        "case": case.name,
        "megabytes": case.megabytes,
        "file_bytes": size,
        "documents": outcome["documents"],
        "passages": outcome["embedded"],
        "peak_mib": peak // 1024,
        "cpu_seconds": round(seconds, 1),
        "left_out": [each["reason"] for each in outcome["bad"]][:1],
        "notes": [each["reason"] for each in outcome["notes"]][:1],
    }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", help="names of cases, or how they begin; all if none is given")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    if options.output and options.output.is_file():
        found = {
            f"{each['case']} {each['megabytes']}": each for each in json.loads(options.output.read_text())["cases"]
        }
    for case in CASES:
        if options.cases and not any(case.name.startswith(name) for name in options.cases):
            continue
        described = describe_run(PACKAGES)
        figures = measure(case) | {"commit": described["commit"]}
        print(figures, file=sys.stderr, flush=True)
        found[f"{case.name} {case.megabytes}"] = figures
        if options.output:
            options.output.write_text(json.dumps(described | {"cases": list(found.values())}, indent=2) + "\n")


if __name__ == "__main__":
    main()
