"""A process that works on batches and ends, by its own hand, at a named step: `python batch_worker.py DATA_DIR ...`.

What it says on standard output, one line each: `ready`, `accepted NAME` (the batch is safe now, NAME is its display
name), `cancelled ID`, `deleted ID`, `begun ID` (an upload), `received ID BYTES`, `stored NAME ID` (a file), `done`
(nothing is open any more). What it computed is in DATA_DIR/journal, one line a chunk.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
from pathlib import Path

import orjson

from gemvec.batches import claims, rows
from gemvec.batches.executor import LocalExecutor, ProcessExecutor
from gemvec.batches.folder import BatchFolder
from gemvec.batches.job import NewBatch
from gemvec.batches.queue import BatchQueue
from gemvec.batches.runner import BatchRunner
from gemvec.batches.store import BatchStore
from gemvec.errors import BatchNotCancellable, BatchNotFound
from gemvec.files.store import FileStore
from gemvec.memory import MemoryBudget
from gemvec.storage.database import open_database
from gemvec.storage.lock import FolderLock
from gemvec.storage.objects import parse_storage
from hash_embedder import NAME, HashEmbedder

WEIGHTS = "hash@12345678"
CHUNK_REQUESTS = 128  # small, so that there are many moments to die at

# Every moment between two operations that the disk or the database sees.
CREATE_STEPS = ("folder made", "input held", "rows inserted", "accepted")
PART_STEPS = ("started", "written", "synced", "renamed", "folder_synced")
CHUNK_STEPS = ("claimed", "next claimed", "computed", *PART_STEPS, "counted", "chunk marked", "checkpointed")
END_STEPS = ("results registered", "ended")
DELETE_STEPS = ("rows deleted", "folder removed")
STEPS = (*CREATE_STEPS, *CHUNK_STEPS, *END_STEPS, *DELETE_STEPS)


def text_of(seed, number):
    """Return the text of one request; every seventeenth has none, which is an error at its place."""
    return "" if number % 17 == 16 else f"text {number} of {seed}"


def lines_of(seed, count):
    """Return the requests of a batch."""
    for number in range(count):
        request = {"content": {"parts": [{"text": text_of(seed, number)}]}}
        yield orjson.dumps({"key": f"{seed}-{number}", "request": request})


def parse_name(name):
    """Return what a batch's display name says: kind, seed, number of requests."""
    kind, seed, count = name.split(":")
    return kind, seed, int(count)


class Death:
    """Sends this process a signal, SIGKILL or SIGTERM, the `countdown`th time that `step` is reached."""

    def __init__(self, step, countdown, signal_number):
        self.step = step
        self.countdown = countdown
        self.signal_number = signal_number

    def reach(self, step):
        if step == self.step:
            self.countdown -= 1
            if self.countdown == 0:
                os.kill(os.getpid(), self.signal_number)

    def after(self, owner, name, step):
        """Reach `step` whenever `owner.name` has returned."""
        call = getattr(owner, name)

        def wrapped(*args, **kwargs):
            result = call(*args, **kwargs)
            if "claimed" not in step or result is not None:
                self.reach(step)
            return result

        setattr(owner, name, wrapped)

    def haunt(self):
        """Watch every step but those of writing part files, which `run_chunk` tells itself."""
        self.after(BatchFolder, "_make", "input held")
        self.after(Path, "mkdir", "folder made")
        self.after(rows, "insert_job", "rows inserted")
        self.after(BatchQueue, "claim", "claimed")
        self.after(BatchQueue, "_claim", "next claimed")
        self.after(claims, "count_result", "counted")
        self.after(claims, "finish_chunk", "chunk marked")
        self.after(BatchQueue, "checkpoint", "checkpointed")
        self.after(FileStore, "create_from_parts", "results registered")
        self.after(BatchStore, "end", "ended")
        self.after(rows, "delete_job", "rows deleted")
        self.after(BatchFolder, "remove", "folder removed")


class JournalledExecutor:
    """Runs chunks here and writes down which."""

    def __init__(self, executor, journal, death, pause_seconds):
        self._executor = executor
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._death = death
        self._pause_seconds = pause_seconds

    chunks_in_flight = 4
    is_apart = False

    def chunk_requests(self, weights):
        return self._executor.chunk_requests(weights)

    async def run(self, task):
        await asyncio.sleep(self._pause_seconds)
        os.write(self._journal, f"{task.batch_id} {task.chunk_index}\n".encode())
        self._death.reach("computed")
        return await self._executor.run(task)

    async def close(self):
        await self._executor.close()


def accept(store, name):
    """Create the batch that `name` describes."""
    kind, seed, count = parse_name(name)
    new = NewBatch(owner="", model=NAME, weights=WEIGHTS, display_name=name, chunk_requests=CHUNK_REQUESTS)
    if kind == "inline":
        return store.create_inline(new, lines_of(seed, count))
    content = b"".join(line + b"\n" for line in lines_of(seed, count))
    file = store.files.create("", [content])
    job = store.create_from_file(new, file.file_id)
    store.files.delete(file.file_id, "")
    return job


def content_of(seed):
    """Return the bytes of an upload."""
    return random.Random(seed).randbytes(3_000_000)


def upload(store, seed, upload_id=""):
    """Begin an upload or go on with one, in pieces, and make it a file."""
    uploads, content = store.files.uploads, content_of(seed)
    if not upload_id:
        upload_id = uploads.start("", file_id=f"upload-{seed}").upload_id
        say("begun", upload_id)
    while (received := uploads.get(upload_id).received_bytes) < len(content):
        uploads.append(upload_id, received, [content[received : received + 250_000]])
        say("received", upload_id, uploads.get(upload_id).received_bytes)
    say("stored", uploads.finalize(upload_id).file_id, upload_id)


def change(store, options):
    """Cancel, delete and upload what was asked for."""
    for batch_id in options.cancel:
        with contextlib.suppress(BatchNotCancellable, BatchNotFound):
            store.cancel(batch_id, "")
            say("cancelled", batch_id)
    for each in options.upload:
        upload(store, *each.split(":"))
    for batch_id in options.delete_at_once:
        with contextlib.suppress(BatchNotFound):
            store.delete(batch_id, "")
        say("deleted", batch_id)


def _has_open(store):
    return any(not job.state.is_ended for job in store.list("", page_size=1000).items)


def say(*words):
    print(*words, flush=True)


async def work(options):
    death = Death(options.kill, options.countdown, signal.Signals[options.signal])
    data_dir = Path(options.data_dir)
    lock = FolderLock(data_dir)
    database = open_database(options.database_url or data_dir / "gemvec.sqlite3")
    place = parse_storage(options.storage) if options.storage else data_dir
    store = BatchStore(database, FileStore(database, place), place)
    embedder = HashEmbedder()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where the processes find HashEmbedder
    inner = (
        ProcessExecutor(embedder, HashEmbedder, weights=[WEIGHTS])
        if options.processes
        else LocalExecutor(embedder, hook=death.reach)
    )
    executor = JournalledExecutor(inner, data_dir / "journal", death, options.pause_seconds)
    runner = BatchRunner(store, embedder, executor, memory=MemoryBudget())
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    death.haunt()
    store.files.uploads.recover()
    store.files.sweep()
    await runner.start()
    say("ready")
    for name in options.create:
        await asyncio.to_thread(accept, store, name)
        say("accepted", name)
        death.reach("accepted")
        runner.notify()
    await asyncio.to_thread(change, store, options)
    runner.notify()
    while not stopped.is_set() and _has_open(store):  # noqa: ASYNC110 - what is waited for is in the database
        await asyncio.sleep(0.005)
    for batch_id in options.delete:
        await asyncio.to_thread(store.delete, batch_id, "")
    await runner.stop()
    database.close()
    lock.release()
    say("stopped" if stopped.is_set() else "done")


def run_forked(arguments, output, errors):
    """Work in a process that was forked, with these files as standard output and standard error."""
    os.dup2(output.fileno(), 1)
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    output.close()
    main(arguments)


def main(arguments=None):
    """Work until everything has ended or a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir")
    parser.add_argument("--database-url", default="", help="SQLite in DATA_DIR if left out")
    parser.add_argument("--storage", default="", metavar="URL", help="an object store, instead of the data folder")
    parser.add_argument("--create", nargs="*", default=[], metavar="KIND:SEED:COUNT")
    parser.add_argument("--delete", nargs="*", default=[], metavar="BATCH_ID")
    parser.add_argument("--cancel", nargs="*", default=[], metavar="BATCH_ID")
    parser.add_argument("--delete-at-once", nargs="*", default=[], metavar="BATCH_ID")
    parser.add_argument("--upload", nargs="*", default=[], metavar="SEED[:UPLOAD_ID]")
    parser.add_argument("--kill", default="", choices=["", *STEPS])
    parser.add_argument("--countdown", type=int, default=1)
    parser.add_argument("--signal", default="SIGKILL", choices=["SIGKILL", "SIGTERM"])
    parser.add_argument("--processes", action="store_true", help="run chunks in processes of their own")
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="before each chunk")
    asyncio.run(work(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
