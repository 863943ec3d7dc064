"""Simulate the stores under faults: a disk that forgets, a database that fails, clocks that jump, processes that die.

python tools/simulate.py [--seeds 20] [--steps 2500] [--first-seed 0] [--without REPAIR] [--json FILE]

Each seed is a world of its own and always happens in the same way. A seed that breaks a promise is printed with the
command that repeats it, and the program ends with 1. `--without` leaves a repair out, to see that the simulation finds
what it mends. What is promised is in tests/simulation/contract.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from gemvec.settings import process_environ  # noqa: E402 - as above
from simulation.repairs import REPAIRS, without  # noqa: E402 - found through the line above
from simulation.run import add_up, run_seed  # noqa: E402 - as above


def main() -> int:
    """Run, print progress and what was found, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2500, help="of each seed, about")
    parser.add_argument("--without", choices=sorted(REPAIRS), default="", help="a repair to leave out")
    parser.add_argument("--json", type=Path, help="where the result goes")
    options = parser.parse_args()
    if sys.flags.hash_randomization:  # the order of sets of texts is part of what a seed decides
        environ = process_environ() | {"PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environ)
    started, outcomes = time.monotonic(), []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        with without(options.without):
            outcome = run_seed(seed, options.steps)
        outcomes.append(outcome)
        if outcome.violation:
            again = f"python tools/simulate.py --seeds 1 --first-seed {seed} --steps {options.steps}"
            again += f' --without "{options.without}"' if options.without else ""
            print(f"seed {seed}, step {outcome.steps}: {outcome.violation}\n  {again}", flush=True)
        elif len(outcomes) % 50 == 0:
            print(f"{len(outcomes)} seeds, {sum(each.steps for each in outcomes)} steps", file=sys.stderr, flush=True)
    result = {
        **add_up(outcomes),
        "first_seed": options.first_seed,
        "steps_of_a_seed": options.steps,
        "without": options.without,
        "seconds": round(time.monotonic() - started),
        "python": platform.python_version(),
        "commit": _commit(),
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.json:
        options.json.write_text(text)
    return 1 if result["violations"] else 0


def _commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
