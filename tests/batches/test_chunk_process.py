"""Chunks in processes of their own: the same answers, whatever happens to the processes; none outlives the server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from batch_steps import ended, file_answers, line, new, running, until
from gemvec.batches import executor as executor_module
from gemvec.batches.executor import CHUNKS_WITHOUT_PROCESSES, ProcessExecutor
from gemvec.errors import ModelUnavailable
from gemvec.wire.batches import BatchState
from hash_embedder import HashEmbedder

WEIGHTS = ["hash@12345678"]
TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _children_find_the_embedder(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def create(store, count):
    content = b"".join(line(f"text {number}", key=str(number)) + b"\n" for number in range(count))
    file = store.files.create("", [content])
    return store.create_from_file(new(chunk_requests=100), file.file_id)


class SlowEmbedder(HashEmbedder):
    """Leaves most of the work to the processes."""

    async def embed(self, model, requests, **options):
        await asyncio.sleep(0.1)
        return await super().embed(model, requests, **options)


def broken():
    """Open no embedder."""
    raise ModuleNotFoundError


def children():
    """Return the processes that run chunks for this one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = status.with_name("cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == os.getpid() and b"chunk_process" in command:
            found.append(int(status.parent.name))
    return found


def run(store, steps, **options):
    """Run `steps` beside a runner whose chunks run in processes."""
    embedder = SlowEmbedder()

    async def run():
        executor = ProcessExecutor(embedder, options.get("opened", HashEmbedder), weights=WEIGHTS)
        async with running(store, embedder, executor=executor) as runner:
            await steps(embedder, runner)

    asyncio.run(run())
    assert children() == []


def test_a_large_batch_runs_in_processes_with_the_same_answers(store):
    async def steps(embedder, runner):
        job = await ended(store, create(store, 20_000))
        assert (job.state, job.successful_count) == (BatchState.SUCCEEDED, 20_000)
        assert [answer["key"] for answer in file_answers(store, job)] == [str(number) for number in range(20_000)]
        assert 100 * CHUNKS_WITHOUT_PROCESSES <= len(embedder.requests) < 10_000
        assert len(children()) == 2

    run(store, steps)


def test_a_small_batch_needs_no_process(store):
    async def steps(embedder, runner):
        await ended(store, create(store, 100 * CHUNKS_WITHOUT_PROCESSES))
        assert children() == []

    run(store, steps)


def test_other_models_stay_in_this_process():
    embedder = HashEmbedder()
    executor = ProcessExecutor(embedder, HashEmbedder, weights=WEIGHTS)
    assert executor.chunk_requests(WEIGHTS[0]) > executor.chunk_requests("other@1") == 256


def test_killed_processes_are_replaced_and_nothing_is_lost(store):
    async def steps(embedder, runner):
        job = create(store, 20_000)
        await until(
            lambda: len(children()) == 2 and len(embedder.requests) < store.get(job.batch_id, "").successful_count
        )
        for child in children():
            os.kill(child, signal.SIGKILL)
        job = await ended(store, job)
        assert job.successful_count == 20_000
        assert [answer["key"] for answer in file_answers(store, job)] == [str(number) for number in range(20_000)]

    run(store, steps)


def test_signals_to_all_processes_alike_do_not_end_them(store):
    async def steps(embedder, runner):
        job = create(store, 10_000)
        await until(lambda: store.get(job.batch_id, "").successful_count > len(embedder.requests))
        before = children()
        for child in before:
            os.kill(child, signal.SIGINT)
            os.kill(child, signal.SIGTERM)
        assert (await ended(store, job)).successful_count == 10_000
        assert children() == before

    run(store, steps)


def test_processes_end_when_they_are_not_needed_for_a_while(store, monkeypatch):
    monkeypatch.setattr(executor_module, "_IDLE_SECONDS", 0.05)

    async def steps(embedder, runner):
        await ended(store, create(store, 2000))
        await until(lambda: children() == [])
        job = create(store, 2000)
        runner.notify()
        assert (await ended(store, job)).successful_count == 2000

    run(store, steps)


def test_other_weights_than_the_batchs_are_refused(store):
    async def steps(embedder, runner):
        job = create(store, 20_000)
        await until(lambda: store.get(job.batch_id, "").waiting_reason)
        kept = store.get(job.batch_id, "")
        assert kept.waiting_reason == ModelUnavailable.summary()
        assert kept.successful_count <= len(embedder.requests)  # what was computed here

    run(store, steps, opened=partial(HashEmbedder, revision="00000000"))


def test_processes_that_cannot_start_are_done_without(store):
    async def steps(embedder, runner):
        job = await ended(store, create(store, 3000))
        assert (job.successful_count, len(embedder.requests)) == (3000, 3000)

    run(store, steps, opened=broken)


def test_a_process_does_not_outlive_a_server_that_was_killed():
    program = (
        "import time; from gemvec.batches.chunk_process import ChunkProcesses; from hash_embedder import HashEmbedder; "
        "print(*(child.pid for child in ChunkProcesses(HashEmbedder)._children), flush=True); time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in server.stdout.readline().split()]
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    server.kill()
    server.wait()
    server.stdout.close()
    give_up_at = time.monotonic() + 20
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
