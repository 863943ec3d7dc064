"""Chunks in processes of their own: the same answers, whatever happens to the processes; none outlives the server."""

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from batch_steps import ended, file_answers, line, new, running, until
from gemvec.batches import executor as executor_module
from gemvec.batches.chunk_process import PROCESSES
from gemvec.batches.executor import CHUNKS_WITHOUT_PROCESSES, ProcessExecutor
from gemvec.batches.queue import BatchQueue, Claimable
from gemvec.wire.batches import BatchState
from hash_embedder import HashEmbedder

WEIGHTS = ["hash@12345678"]
TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _children_find_the_embedder(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)


def create(store, count):
    content = b"".join(line(f"text {number}", key=str(number)) + b"\n" for number in range(count))
    file = store.files.create("", [content])
    return store.create_from_file(new(chunk_requests=100), file.file_id)


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


def ignores_signals(pid):
    """Say whether a process has come so far that it leaves its end to the server."""
    status = dict(each.split(":", 1) for each in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["SigIgn"], 16) >> signal.SIGTERM - 1 & 1


def count_connections():
    """Return how many connections this process has open."""
    return sum(
        os.path.realpath(each).rpartition("/")[2].startswith("socket:") for each in Path("/proc/self/fd").iterdir()
    )


class PatientEmbedder(HashEmbedder):
    """Computes the first chunks, which always stay in this process, and more only once the processes are ready.

    However slow the machine is, most of a batch is left for them then.
    """

    executor = None

    async def embed(self, model, requests, **options):
        if len(self.requests) >= 100 * CHUNKS_WITHOUT_PROCESSES:
            await until(self._others_are_ready)
        return await super().embed(model, requests, **options)

    def _others_are_ready(self):
        processes = self.executor._processes
        return processes is None or all(wire.poll() for wire in list(processes._starting))


def run(store, steps, embedder=None, opened=HashEmbedder):
    """Run `steps` beside a runner whose chunks run in processes."""
    embedder = embedder or PatientEmbedder()

    async def run():
        embedder.executor = ProcessExecutor(embedder, opened, weights=WEIGHTS)
        async with running(store, embedder, executor=embedder.executor) as runner:
            await steps(embedder, runner)

    asyncio.run(run())
    assert children() == []


def test_a_large_batch_runs_in_processes_with_the_same_answers(store):
    async def steps(embedder, runner):
        job = await ended(store, create(store, 10_000))
        assert (job.state, job.successful_count) == (BatchState.SUCCEEDED, 10_000)
        assert [answer["key"] for answer in file_answers(store, job)] == [str(number) for number in range(10_000)]
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


def test_killed_processes_are_replaced_and_nothing_is_lost(store, monkeypatch):
    monkeypatch.setattr(executor_module, "_PAUSE_SECONDS", 0)

    async def steps(embedder, runner):
        job = create(store, 10_000)
        await until(
            lambda: len(children()) == 2 and len(embedder.requests) < store.get(job.batch_id, "").successful_count
        )
        killed = children()
        for child in killed:
            os.kill(child, signal.SIGKILL)
        await until(lambda: len(set(children()) - set(killed)) == 2)
        job = await ended(store, job)
        assert job.successful_count == 10_000
        assert [answer["key"] for answer in file_answers(store, job)] == [str(number) for number in range(10_000)]

    run(store, steps)


def test_signals_to_all_processes_alike_do_not_end_them(store):
    async def steps(embedder, runner):
        job = create(store, 10_000)
        await until(lambda: store.get(job.batch_id, "").successful_count > len(embedder.requests))
        before = children()
        await until(lambda: all(map(ignores_signals, before)))
        for child in before:
            os.kill(child, signal.SIGINT)
            os.kill(child, signal.SIGTERM)
        assert (await ended(store, job)).successful_count == 10_000
        assert children() == before

    run(store, steps)


def test_processes_end_when_they_are_not_needed_for_a_while(store, monkeypatch):
    async def steps(embedder, runner):
        await ended(store, create(store, 2000))
        assert len(children()) == 2
        monkeypatch.setattr(executor_module, "_IDLE_SECONDS", 0.05)
        for _ in range(2):  # they are started again when they are needed again
            job = create(store, 2000)
            runner.notify()
            assert (await ended(store, job)).successful_count == 2000
            await until(lambda: children() == [])

    run(store, steps)


def test_a_process_that_has_loaded_other_weights_computes_nothing(store):
    async def steps(embedder, runner):
        job = await ended(store, create(store, 3000))
        assert (job.successful_count, len(embedder.requests)) == (3000, 3000)

    run(store, steps, opened=partial(HashEmbedder, revision="00000000"))


def reasons(caplog):
    """Return why the processes were of no use, as the log says it."""
    return {record.reason for record in caplog.records if hasattr(record, "reason")}


def test_a_chunk_that_fails_in_a_process_is_run_by_the_server(store, capfd, caplog):
    async def steps(embedder, runner):
        job = create(store, 10_000)
        await until(lambda: store.get(job.batch_id, "").successful_count > len(embedder.requests))
        for child in children():
            resource.prlimit(child, resource.RLIMIT_FSIZE, (10, 10))  # no part file fits
        before = len(embedder.requests)
        job = await ended(store, job)
        assert (job.state, job.successful_count) == (BatchState.SUCCEEDED, 10_000)
        assert len(embedder.requests) > before
        assert [answer["key"] for answer in file_answers(store, job)] == [str(number) for number in range(10_000)]

    run(store, steps)
    assert capfd.readouterr().err == ""
    (reason,) = reasons(caplog)
    assert re.fullmatch(r"StorageFull in durable\.py:\d+, after OSError \(File too large\) in durable\.py:\d+", reason)
    assert "text" not in caplog.text
    assert str(store.files._data_dir) not in caplog.text


def test_processes_that_cannot_start_are_done_without_and_the_log_says_why(store, caplog):
    async def steps(embedder, runner):
        job = await ended(store, create(store, 3000))
        assert (job.successful_count, len(embedder.requests)) == (3000, 3000)

    run(store, steps, opened=partial(import_module, "nothing_of_that_name"))
    (reason,) = reasons(caplog)
    assert re.fullmatch(r"A process that runs chunks has ended: ModuleNotFoundError in .*:\d+\.", reason)


def test_the_log_says_by_what_signal_a_process_ended(store, caplog):
    async def steps(embedder, runner):
        job = create(store, 10_000)
        await until(lambda: store.get(job.batch_id, "").successful_count > len(embedder.requests))
        for child in children():
            os.kill(child, signal.SIGKILL)
        assert (await ended(store, job)).successful_count == 10_000

    run(store, steps)
    assert reasons(caplog) == {"A process that runs chunks has ended: signal 9."}


def test_a_server_that_stops_while_its_processes_start_leaves_none(store):
    async def run():
        executor = ProcessExecutor(HashEmbedder(), HashEmbedder, weights=WEIGHTS)
        job = create(store, 1000)
        task = BatchQueue(store).claim(Claimable(weights=WEIGHTS))
        running = asyncio.create_task(executor.run(replace(task, chunk_index=CHUNKS_WITHOUT_PROCESSES)))
        await asyncio.sleep(0)  # its processes are being started, in a thread
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await executor.close()
        store.cancel(job.batch_id, "")

    asyncio.run(run())
    assert children() == []


def test_a_system_without_room_for_processes_is_done_without(store, monkeypatch):
    def start(*_, **__):
        raise BlockingIOError

    monkeypatch.setattr(subprocess, "Popen", start)

    async def steps(embedder, runner):
        before = count_connections()
        job = await ended(store, create(store, 3000))
        assert (job.successful_count, len(embedder.requests)) == (3000, 3000)
        assert count_connections() == before

    run(store, steps)


def test_waiting_for_processes_takes_no_thread_from_the_event_loop(store):
    async def steps(embedder, runner):
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        job = create(store, 10_000)
        await until(lambda: store.get(job.batch_id, "").successful_count > len(embedder.requests))
        await asyncio.to_thread(store.get, job.batch_id, "")
        await ended(store, job)

    run(store, steps)


KILLED = """
import sys, threading, time
from functools import partial
from gemvec.batches.chunk_process import ChunkProcesses
from gemvec.batches.job import ChunkTask
from hash_embedder import HashEmbedder

path = __import__("pathlib").Path(sys.argv[1])
fields = dict(job_number=1, batch_id="b", owner="", model="hash", weights="hash@12345678", chunk_index=0, lease=1)
task = ChunkTask(
    **fields, input_path=path, input_offset=0, input_bytes=path.stat().st_size, request_count=1, part_path=path / "none"
)
processes = ChunkProcesses(partial(HashEmbedder, delay_seconds=1000))
while len(processes._idle) < len(processes._starting) + len(processes._idle) or not processes._idle:
    wire = processes._take()
    if wire:
        processes._give_back(wire)
    time.sleep(0.01)
for _ in list(processes._idle):
    threading.Thread(target=processes.run, args=(task,)).start()
print(*(child.process.pid for child in processes._children), flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_its_server_whatever_it_does(tmp_path, number):
    """Every connection is busy with a chunk that takes longer than anybody waits."""
    (tmp_path / "input").write_bytes(line("a"))
    server = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "input"], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in server.stdout.readline().split()]
    assert len(pids) == PROCESSES
    assert all(_runs(pid) for pid in pids)
    server.send_signal(number)
    server.wait()
    server.stdout.close()
    while any(_runs(pid) for pid in pids):
        time.sleep(0.02)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
