"""The stores keep their promises in a simulated world, and the simulation notices when a repair is missing.

`tools/simulate.py` runs as many steps as one wants. A seed that fails is printed with the command that repeats it.
"""

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "simulate.py"


def simulate(*options):
    """Run some seeds in a process of their own, whose hashes are the same every time; return (exit code, result)."""
    done = subprocess.run([sys.executable, TOOL, *options], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout[done.stdout.index("{\n") :])


def test_no_promise_is_broken_in_a_few_worlds():
    code, result = simulate("--seeds", "3", "--steps", "800")
    assert (code, result["violations"]) == (0, [])
    assert result["steps"] > 3 * 800
    assert "EIO" in result["faults"]
    assert result["faults"].keys() & {"death", "power cut"}


def test_a_seed_happens_in_the_same_way_every_time():
    first, again = (simulate("--seeds", "1", "--first-seed", "5", "--steps", "300")[1] for _ in range(2))
    first.pop("seconds")
    again.pop("seconds")
    assert first == again
