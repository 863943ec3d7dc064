"""Kill a process that works on batches 200 times, and check after each death that the recovery contract holds.

While it works, files are uploaded to it in pieces, and batches are cancelled and deleted.

python tools/crash_batches.py [--kills 200] [--seed 0] [--postgresql] [--json benchmarks/results/batch_crashes.json]

First every named step once, then random moments. With --postgresql the batches are in a PostgreSQL of its own, only
random moments are tried, and every other time all processes of the database are killed instead of the worker. What is
checked is in tests/batch_crashes.py; the first violation ends the run with its message. The result says how many chunks
had to be computed again. --merge joins the results of several seeds.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from batch_crashes import Campaign, fork_worker  # noqa: E402 - found through the line above
from batch_worker import CHUNK_STEPS, CREATE_STEPS, END_STEPS  # noqa: E402 - as above
from databases import running_postgresql  # noqa: E402 - as above
from gemvec.batches.executor import CHUNKS_IN_FLIGHT  # noqa: E402 - as above


def kill_at_named_steps(campaign: Campaign) -> list[str]:
    """Kill a worker once at every step of creating a batch, of a chunk and of the end; return the steps."""
    for kind in ("inline", "file"):
        for step in CREATE_STEPS:
            campaign.live(create=[f"{kind}:{step.replace(' ', '_')}:300"], kill=step)
    for number, step in enumerate(CHUNK_STEPS):
        campaign.live(create=[f"file:{number}:3000"], kill="accepted")
        campaign.live(kill=step, countdown=1 + number % 3)
    for step in END_STEPS:
        campaign.live(create=[f"file:{step.replace(' ', '_')}:600"], kill=step)
    campaign.live()
    return [*CREATE_STEPS, *CHUNK_STEPS, *END_STEPS]


def main() -> None:
    """Run, print progress, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="at random moments")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest-seconds", type=float, default=0.5, help="how long a process may live at most")
    parser.add_argument("--postgresql", action="store_true", help="in a PostgreSQL that is killed, too")
    parser.add_argument("--merge", type=Path, nargs="+", help="results to join instead of killing anything")
    parser.add_argument("--json", type=Path, help="where the result goes")
    options = parser.parse_args()
    started = time.monotonic()
    if options.merge:
        _write(_merged([json.loads(each.read_text()) for each in options.merge]), options.json)
        return
    if options.postgresql:
        _write(_kill_with_postgresql(options) | _run_of(started), options.json)
        return
    with tempfile.TemporaryDirectory() as folder:
        named = Campaign(Path(folder) / "named", start=fork_worker)
        steps = kill_at_named_steps(named)
        print(f"named steps: {named.kills} kills, nothing lost", flush=True)
        chance = Campaign(Path(folder) / "random", start=fork_worker)
        chance.kill_at_random(options.kills, seed=options.seed, report=_report, longest_seconds=options.longest_seconds)
        result = {
            "kills_at_random_moments": chance.kills,
            "kills_at_named_steps": named.kills,
            "named_steps": steps,
            **_counts_of(chance, options.seed),
            "chunks_in_flight": CHUNKS_IN_FLIGHT,
            "at_random_moments": chance.counts(),
            "at_named_steps": named.counts(),
            **_run_of(started),
        }
    _write(result, options.json)


def _kill_with_postgresql(options: argparse.Namespace) -> dict[str, Any]:
    """Kill the worker and the database by turns; return what was done."""
    with tempfile.TemporaryDirectory() as folder, running_postgresql() as server:
        campaign = Campaign(Path(folder) / "data", start=fork_worker, database_url=server.url)
        campaign.kill_at_random(
            options.kills,
            seed=options.seed,
            report=_report,
            strike=server.kill,
            longest_seconds=options.longest_seconds,
        )
    return {
        "kills_of_the_worker": campaign.kills,
        "kills_of_the_database": campaign.blows,
        **_counts_of(campaign, options.seed),
        "at_random_moments": campaign.counts(),
    }


def _merged(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of several results, with each of them as one of `runs`; what is said of any chunk is the most."""
    merged: dict[str, Any] = {}
    for name, value in results[0].items():
        values = [each[name] for each in results]
        if isinstance(value, dict):
            merged[name] = {
                key: max(each[key] for each in values) if key.startswith("most") else sum(each[key] for each in values)
                for key in value
            }
        elif name in {"named_steps", "chunks_in_flight", "machine", "python", "commit"}:
            merged[name] = value
        elif isinstance(value, int) and name != "seed":
            merged[name] = sum(values)
    return merged | {"seeds": [each["seed"] for each in results], "commands": [each["command"] for each in results]}


def _counts_of(campaign: Campaign, seed: int) -> dict[str, int]:
    return {
        "seed": seed,
        "batches": len(campaign.accepted),
        "cancels": len(campaign.cancelled),
        "deletes": len(campaign.gone),
        "uploads": len(campaign.uploads),
    }


def _run_of(started: float) -> dict[str, Any]:
    return {
        "violations": 0,
        "seconds": round(time.monotonic() - started),
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "command": "python tools/crash_batches.py " + " ".join(sys.argv[1:]),
    }


def _write(result: dict[str, Any], path: Path | None) -> None:
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _report(campaign: Campaign) -> None:
    if (campaign.kills + campaign.blows) % 20 == 0:
        print(
            f"{campaign.kills} kills, {campaign.blows} of the database, {len(campaign.accepted)} batches, nothing lost",
            flush=True,
        )


def _commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


if __name__ == "__main__":
    main()
