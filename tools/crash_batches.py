"""Kill a process that works on batches 200 times, and check after each death that the recovery contract holds.

While it works, files are uploaded to it in pieces, and batches are cancelled and deleted.

python tools/crash_batches.py [--kills 200] [--seed 0] [--json benchmarks/results/batch_crashes.json]

First every named step once, then random moments. What is checked is in tests/batch_crashes.py; the first violation ends
the run with its message. The result says how many chunks had to be computed again.
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

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from batch_crashes import Campaign, fork_worker  # noqa: E402 - found through the line above
from batch_worker import CHUNK_STEPS, CREATE_STEPS, END_STEPS  # noqa: E402 - likewise
from gemvec.batches.runner import CHUNKS_IN_FLIGHT  # noqa: E402 - likewise


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
    parser.add_argument("--json", type=Path, help="where the result goes")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        named = Campaign(Path(folder) / "named", start=fork_worker)
        steps = kill_at_named_steps(named)
        print(f"named steps: {named.kills} kills, nothing lost", flush=True)
        chance = Campaign(Path(folder) / "random", start=fork_worker)
        chance.kill_at_random(options.kills, seed=options.seed, report=_report)
        result = {
            "kills_at_random_moments": chance.kills,
            "kills_at_named_steps": named.kills,
            "named_steps": steps,
            "seed": options.seed,
            "batches": len(chance.accepted),
            "cancels": len(chance.cancelled),
            "deletes": len(chance.gone),
            "uploads": len(chance.uploads),
            "chunks_in_flight": CHUNKS_IN_FLIGHT,
            "at_random_moments": chance.counts(),
            "at_named_steps": named.counts(),
            "violations": 0,
            "seconds": round(time.monotonic() - started),
            "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "commit": _commit(),
            "command": "python tools/crash_batches.py " + " ".join(sys.argv[1:]),
        }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text)


def _report(campaign: Campaign) -> None:
    if campaign.kills % 20 == 0:
        print(f"{campaign.kills} kills, {len(campaign.accepted)} batches, nothing lost", flush=True)


def _commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


if __name__ == "__main__":
    main()
