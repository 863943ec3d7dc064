"""The recovery contract: SIGKILL at any moment, then one whole run, gives exactly the rows of an undisturbed run.

A document's rows may for a while be partly old and partly new; after the next whole run they are not, whatever the
moment: before the first row, between two writes, between a write and the deletion of stale rows, while indexes build.
"""

import asyncio
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from counting_embedder import CountingEmbedder
from gemvec.milvus import PassageOptions, Sources, Splitter, ingest, open_collection

from .conftest import contents

PASSAGES = PassageOptions(max_tokens=30, overlap_tokens=0)

PROGRAM = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from counting_embedder import CountingEmbedder
import gemvec.milvus as milvus
vars(sys.modules["gemvec.milvus.ingest"]).update(TEXTS_PER_GROUP=20, _FIRST_TEXTS=20)
splitter = milvus.Splitter(milvus.PassageOptions(max_tokens=30, overlap_tokens=0))
sources = milvus.Sources(["docs"])
with milvus.open_collection("killed.db", "docs", is_only_client=True) as collection:
    print("open", flush=True)
    asyncio.run(milvus.ingest(
        collection, CountingEmbedder(), sources, splitter=splitter, prune=sources.scopes,
        on_progress=lambda progress: print(progress, flush=True),
    ))
    print("ready", flush=True)
"""


def start_ingest():
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent.parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_after(lines, seconds):
    """Start an ingest and kill it `seconds` after it has printed so many lines."""
    process = start_ingest()
    for _ in range(lines):
        if not process.stdout.readline():
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def run_whole():
    process = start_ingest()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert output.endswith("ready\n")


def stored(uri):
    with open_collection(str(uri), "docs") as collection:
        return contents(collection)


def write_documents(folder, changed):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(30):
        if changed and number % 7 == 3:
            continue
        text = "".join(f"## Part {part}\n\nWords of part {part} in {number}.\n\n" for part in range(number % 9 + 1))
        if changed and number % 5 == 0:
            text = text.replace("Words", "Other words") + "## Added\n\nAt the end.\n"
        (folder / f"d{number:02}.md").write_text(f"# Document {number}\n\n{text}")


def undisturbed(tmp_path, name):
    with open_collection(str(tmp_path / name), "docs") as collection:
        asyncio.run(ingest(collection, CountingEmbedder(), Sources(["docs"]), splitter=Splitter(PASSAGES)))
        return contents(collection)


@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_runs_converge_to_an_undisturbed_one(tmp_path, monkeypatch, kills):
    monkeypatch.chdir(tmp_path)
    chance = random.Random(kills)
    for step, changed in enumerate((False, True)):
        write_documents(tmp_path / "docs", changed)
        for _ in range(kills // 2):
            kill_after(chance.randint(1, 7), chance.uniform(0, 0.05))
        run_whole()
        assert stored("killed.db") == undisturbed(tmp_path, f"undisturbed{step}.db")
