"""`gemvec index` killed at any moment: the next run makes the collection whole, whatever notes earlier runs have left.

The command line notes between runs that everything is up to date (`snapshot.py`), so that such a run need not open the
Lite file. A killed run must not leave a note that hides what it has half done.
"""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gemvec.milvus import open_collection
from gemvec.milvus.schema import ROW_FIELDS
from gemvec.milvus.snapshot import read_state


@pytest.fixture
def start(tmp_path, monkeypatch, tiny_model):
    """Starts `gemvec index docs --prune`."""
    monkeypatch.chdir(tmp_path)
    options = ["--model", str(tiny_model), "--cache-dir", str(tmp_path / "cache"), "--prune", "--json"]

    def start(uri):
        command = [sys.executable, "-m", "gemvec", "index", "docs", "--uri", uri, *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path)

    return start


def run_whole(start, uri):
    """Run to the end; return the report."""
    return json.loads(start(uri).communicate()[0])


def kill_after_first_write(process, uri, seconds):
    """Kill `seconds` after the first change of the Lite file, or let the process end before."""
    before = read_state(uri)
    while process.poll() is None and read_state(uri) == before:
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def write_documents(folder, *, generation):
    """Write 40 documents; in another generation a third of them is different, a third is not there."""
    folder.mkdir(exist_ok=True)
    for number in range(40):
        path = folder / f"d{number:02}.md"
        words = f"Words of generation {generation}." if number % 3 == 1 else "Words that stay."
        parts = "".join(f"## Part {part}\n\n{words} " + f"Part {part} of {number}. " * 40 + "\n\n" for part in range(9))
        path.write_text(f"# Document {number}\n\n{parts}")
        if generation == 1 and number % 3 == 2:
            path.unlink()


def stored(uri):
    """Return all rows by key, and their vectors in that order."""
    with open_collection(uri, "docs") as collection:
        rows = sorted(collection.resolve().scan(ROW_FIELDS), key=lambda row: row["key"])
    return [{**row, "vector": None} for row in rows], np.array([row["vector"] for row in rows])


def test_a_run_after_a_killed_one_makes_exactly_the_collection_of_an_undisturbed_one(tmp_path, start):
    chance = random.Random(7)
    folder = tmp_path / "docs"
    write_documents(folder, generation=0)
    run_whole(start, "undisturbed.db")
    wanted, vectors = stored("undisturbed.db")
    run_whole(start, "killed.db")
    for most_seconds in (0, 0.1, 0.5):
        write_documents(folder, generation=1)
        kill_after_first_write(start("killed.db"), "killed.db", chance.uniform(0, most_seconds))
        write_documents(folder, generation=0)
        assert run_whole(start, "killed.db")["documents"] == 40
        rows, found = stored("killed.db")
        assert rows == wanted
        assert np.allclose(found, vectors, atol=0.02)
    assert run_whole(start, "killed.db")["unchanged"] == 40
    assert list((tmp_path / "cache" / "collections").iterdir())
