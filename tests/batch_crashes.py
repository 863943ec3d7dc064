"""Kills a working process again and again and checks, after each death, that the recovery contract holds."""

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import orjson

from batch_worker import content_of, parse_name, run_forked, text_of
from gemvec.batches import rows
from gemvec.batches.executor import CHUNKS_IN_FLIGHT
from gemvec.batches.job import ChunkState
from gemvec.batches.store import BatchStore
from gemvec.errors import StorageFailure
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from gemvec.storage.objects import parse_storage
from gemvec.wire.batches import BatchState
from hash_embedder import vector_of
from simulation.contract import check_leftovers

WORKER = Path(__file__).parent / "batch_worker.py"


class Worker:
    """A worker that runs.

    Attributes:
        output: the lines that it says.
    """

    def __init__(self, output, kill, wait):
        self.output = output
        self.kill = kill
        self.wait = wait


@contextlib.contextmanager
def start_worker(arguments):
    """Start a worker as a program."""
    command = [sys.executable, WORKER, *arguments]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        yield Worker(process.stdout, process.kill, lambda: (process.wait(), _read(errors)))


def _read(file):
    file.seek(0)
    return file.read()


@contextlib.contextmanager
def fork_worker(arguments):
    """Start a worker as a copy of a process that has loaded everything: it dies as well, and begins sooner."""
    os.environ["PYTHONPATH"] = str(WORKER.parent)  # where the process that is copied finds the worker
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["batch_worker"])
    reader, writer = context.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile("w+") as errors, open(reader.fileno(), closefd=False) as output:
        process = context.Process(target=run_forked, args=(arguments, writer, errors.name))
        process.start()
        writer.close()

        def wait():
            process.join()
            return process.exitcode, _read(errors)

        yield Worker(output, process.kill, wait)
        reader.close()


class _Blow:
    """Hits something after some seconds, beside whatever goes on."""

    def __init__(self, seconds, strike):
        self._strike, self._has_hit = strike, False
        self._timer = threading.Timer(seconds, self._hit)
        self._timer.start()

    def _hit(self):
        self._has_hit = True
        self._strike()

    def end(self):
        """Call it off if there is time yet, else wait for its end; say whether it came."""
        self._timer.cancel()
        self._timer.join()
        return self._has_hit


class Campaign:
    """Many lives of a worker over one data folder.

    Attributes:
        place: where the bytes of files and batches are: the data folder, or a place in an object store.
        start: starts a worker with these arguments.
        database_url: of the database; a SQLite file in the data folder if empty.
        accepted: display names of the batches whose creation was answered.
        deleted: display names of the batches that may be gone.
        cancelled: ids of the batches whose cancellation was answered.
        gone: ids of the batches whose deletion was answered.
        uploads: seed -> upload as [id, acknowledged bytes, name of the file it became].
        kills: how many lives ended by SIGKILL.
        blows: how often the database was hit instead.
        most_repeated: most chunks computed again after one death.
    """

    def __init__(self, data_dir, storage="", *, start=None, database_url=""):
        self.data_dir = data_dir
        self.place = parse_storage(storage) if storage else data_dir
        self._storage = storage
        self.start = start or start_worker
        self.database_url = database_url
        self.accepted = []
        self.deleted = set()
        self.cancelled = set()
        self.gone = set()
        self.uploads = {}
        self.kills = self.blows = 0
        self.most_repeated = 0
        self._ended = {}  # batch id -> the job as it was when it had ended
        self._done = set()  # (batch id, chunk index) that were counted before the present life
        self._computed = Counter()
        self._journal_bytes = 0

    def live(
        self,
        *,
        create=(),
        delete=(),
        cancel=(),
        delete_at_once=(),
        upload=(),
        kill="",
        stop="",
        countdown=1,
        pause_seconds=0.0,
        die_after=None,
        processes=False,
        strike=None,
    ):
        """Let a worker live once; return how it ended: `killed`, `stopped` or `done`.

        Args:
            create: display names of batches to create.
            delete: ids of batches to delete at the end.
            cancel: ids of batches to cancel at once.
            delete_at_once: ids of batches to delete at once.
            upload: seeds of uploads to begin or to go on with.
            kill: the step to die at.
            stop: the step to be asked to stop at, by SIGTERM, instead.
            countdown: at which time of reaching it.
            pause_seconds: before each chunk, so that a life is long enough to be killed in.
            die_after: seconds after the worker was ready; SIGKILL then.
            processes: run chunks in processes of their own.
            strike: what hits the database then, instead of SIGKILL; the worker may fail of it, or go on.
        """
        command = [str(self.data_dir), "--database-url", self.database_url, "--pause-seconds", str(pause_seconds)]
        command += ["--storage", self._storage, "--create", *create, "--delete", *delete]
        command += ["--processes"] if processes else []
        command += ["--cancel", *cancel, "--delete-at-once", *delete_at_once]
        command += ["--upload", *(f"{seed}:{self.uploads[seed][0]}" for seed in upload if seed in self.uploads)]
        command += [str(seed) for seed in upload if seed not in self.uploads]
        command += ["--kill", kill or stop, "--countdown", str(countdown), "--signal", "SIGTERM" if stop else "SIGKILL"]
        hit = None
        with self.start(command) as worker:
            for line in worker.output:
                word, _, name = line.strip().partition(" ")
                if line.endswith("\n"):  # a kill may cut the last one
                    self._note(word, name, upload)
                if word == "ready" and die_after:
                    hit = _Blow(die_after, strike or worker.kill)
            code, errors = worker.wait()
        has_hit = hit is not None and hit.end()
        has_failed = bool(strike) and has_hit and code == 1 and StorageFailure.__name__ in errors
        assert code in {0, -signal.SIGKILL} or has_failed, errors
        self.check(is_at_rest=not code)
        self.kills += code == -signal.SIGKILL
        self.blows += bool(strike) and has_hit
        return {0: word, 1: "failed"}.get(code, "killed")

    def _note(self, word, name, upload):
        """Note what the worker has promised."""
        if word == "accepted":
            self.accepted.append(name)
        elif word in {"cancelled", "deleted"}:
            (self.cancelled if word == "cancelled" else self.gone).add(name)
        elif word == "begun":
            seed = next(seed for seed in upload if seed not in self.uploads)
            self.uploads[seed] = [name, 0, ""]
        elif word in {"received", "stored"}:
            first, second = name.split()
            upload_id = first if word == "received" else second
            known = next(each for each in self.uploads.values() if each[0] == upload_id)
            if word == "received":
                known[1] = int(second)
            else:
                known[2] = first

    def open_database(self):
        """Open the database that the worker works on."""
        return open_database(self.database_url or self.data_dir / "gemvec.sqlite3")

    def check(self, *, is_at_rest=False):
        """Check what must hold at any moment, and at rest that nothing is left over; raises AssertionError."""
        database = self.open_database()
        try:
            store = BatchStore(database, FileStore(database, self.place), self.place)
            jobs = [job for job in _all_jobs(store) if job.display_name not in self.deleted]
            self._check_jobs(jobs)
            self._check_uploads(store)
            if is_at_rest:
                check_leftovers(self.place, store)
            with database.read() as connection:
                chunks = {job.batch_id: rows.list_chunks(connection, job.job_number) for job in jobs}
            self._check_counts(jobs, chunks)
            self._check_journal(chunks)
            for job in jobs:
                if job.state.is_ended and job.batch_id not in self._ended:
                    self._ended[job.batch_id] = job
                    check_answers(store, job)
        finally:
            database.close()

    def _check_jobs(self, jobs):
        lost = set(self.accepted) - {job.display_name for job in jobs} - self.deleted
        assert not lost, f"accepted and lost: {lost}"
        for job in jobs:
            kept = self._ended.get(job.batch_id, job)
            assert kept == job, f"an ended state changed: {kept} -> {job}"
            assert job.batch_id not in self.gone, f"deleted and there: {job.display_name}"
            if job.batch_id in self.cancelled:
                assert BatchState.CANCELLED in {job.state, job.ending_state}, f"cancelled and not: {job}"

    def _check_uploads(self, store):
        for seed, (upload_id, received, file_id) in self.uploads.items():
            content = content_of(str(seed))
            if file_id:
                assert b"".join(store.files.open_content(file_id, "").read()) == content
            else:
                known = store.files.uploads.get(upload_id)
                assert known.received_bytes >= received, f"an upload lost bytes: {received} -> {known}"

    def _check_counts(self, jobs, chunks):
        for job in jobs:
            _, _, count = parse_name(job.display_name)
            assert job.request_count == count == sum(chunk.request_count for chunk in chunks[job.batch_id])
            done = [chunk for chunk in chunks[job.batch_id] if chunk.state is ChunkState.DONE]
            assert job.state.is_ended == (job.pending_count == 0)
            if job.state is not BatchState.CANCELLED:
                assert job.successful_count + job.failed_count == sum(chunk.request_count for chunk in done)

    def _check_journal(self, chunks):
        """Check that what was done before this life was not computed in it, and little else twice."""
        journal = self.data_dir / "journal"
        content = journal.read_bytes() if journal.exists() else b""
        new = [tuple(line.split()) for line in content[self._journal_bytes :].decode().splitlines()]
        self._journal_bytes = len(content)
        new = [(batch_id, int(index)) for batch_id, index in new]
        again = self._done & set(new)
        assert not again, f"done before the crash and computed again: {again}"
        repeated = sum(self._computed[chunk] > 0 for chunk in new)
        assert repeated <= CHUNKS_IN_FLIGHT, f"{repeated} chunks were computed twice"
        self.most_repeated = max(self.most_repeated, repeated)
        self._computed.update(new)
        self._done = {
            (batch_id, chunk.chunk_index)
            for batch_id, each in chunks.items()
            for chunk in each
            if chunk.state is ChunkState.DONE
        }

    def counts(self):
        """Return how much was computed, for the record."""
        return {
            "chunks": len(self._computed),
            "chunks_computed": sum(self._computed.values()),
            "chunks_computed_again": sum(self._computed.values()) - len(self._computed),
            "most_chunks_again_after_one_kill": self.most_repeated,
        }

    def batch_ids(self):
        """Return display name -> id of every batch."""
        database = self.open_database()
        try:
            store = BatchStore(database, FileStore(database, self.place), self.place)
            return {job.display_name: job.batch_id for job in _all_jobs(store)}
        finally:
            database.close()

    def kill_at_random(self, kills, *, seed=0, report=lambda campaign: None, strike=None, longest_seconds=0.5):
        """Kill a worker at `kills` random moments, with new batches whenever the old ones have ended.

        Where there is a `strike`, every other time the database is hit instead. Each life lasts `longest_seconds` at
        most after the worker was ready.
        """
        chance = random.Random(seed)
        number = 0
        while self.kills + self.blows < kills:
            its_strike = strike if self.blows < self.kills else None
            create = []
            if not self._has_open():
                number += 1
                create = [f"file:{number}:{chance.randrange(1, 6000)}", f"inline:{number}:{chance.randrange(1, 600)}"]
            known = {job for job in self._open_ids() if chance.random() < 0.1}
            ended = [each for each in self._ended if each not in self.gone and chance.random() < 0.2]
            self.deleted |= {self._ended[each].display_name for each in ended}
            changes = {"cancel": sorted(known), "delete_at_once": ended, "upload": self._uploads_of(chance)}
            moment = chance.uniform(0, longest_seconds)
            pause_seconds, processes = chance.choice([0, 0.01, 0.05]), chance.random() < 0.3
            self.live(
                create=create,
                die_after=moment,
                pause_seconds=pause_seconds,
                processes=processes,
                strike=its_strike,
                **changes,
            )
            report(self)
        assert self.live() == "done"

    def _uploads_of(self, chance):
        """Return the upload that is not finished, or now and then a new one."""
        begun = [seed for seed, (_, _, file_id) in self.uploads.items() if not file_id]
        return begun or ([str(len(self.uploads))] if chance.random() < 0.3 else [])

    def _open_ids(self):
        return {each for name, each in self.batch_ids().items() if name not in self.deleted} - self._ended.keys()

    def _has_open(self):
        return bool(set(self.accepted) - {job.display_name for job in self._ended.values()} - self.deleted)


def _all_jobs(store):
    jobs, token = [], None
    while True:
        page = store.list("", page_size=1000, page_token=token)
        jobs += page.items
        token = page.next_page_token
        if token is None:
            return jobs


def check_answers(store, job):
    """Check that a finished batch has one answer per request, in order, each made of its own request."""
    assert job.state in {BatchState.SUCCEEDED, BatchState.CANCELLED}
    kind, seed, count = parse_name(job.display_name)
    if kind == "inline":
        answers = orjson.loads(b"[" + b"".join(store.inline_output(job)()) + b"]")
    else:
        content = b"".join(store.files.open_content(job.output_file_id, "").read())
        answers = [orjson.loads(each) for each in content.splitlines()]
    assert [answer["key"] for answer in answers] == [f"{seed}-{number}" for number in range(count)]
    for number, answer in enumerate(answers):
        text = text_of(seed, number)
        if job.state is BatchState.CANCELLED and "error" in answer:
            assert answer["error"]["code"] in {1, 3}
        elif text:
            assert np.array_equal(np.float32(answer["response"]["embedding"]["values"]), vector_of(text))
        else:
            assert answer["error"]["code"] == 3
