"""Steps that tests of batches are made of: lines in, a runner at work, answers out."""

import asyncio
import contextlib

import orjson

from gemvec.batches.executor import LocalExecutor
from gemvec.batches.job import NewBatch
from gemvec.batches.runner import BatchRunner
from gemvec.memory import MemoryBudget
from hash_embedder import NAME

WEIGHTS = "hash@12345678"


def line(text, key=None, **options):
    """Return a line of input."""
    label = {} if key is None else {"key": key}
    return orjson.dumps({**label, "request": {"content": {"parts": [{"text": text}]}, **options}})


def new(**fields):
    return NewBatch(**{"owner": "", "model": NAME, "weights": WEIGHTS, **fields})


@contextlib.asynccontextmanager
async def running(store, embedder, executor=None, *, memory=None, chunks_in_flight=None, **options):
    """Run a runner for the length of a block; in this process and without a limit, where nothing else is said."""
    executor = executor or LocalExecutor(embedder)
    if chunks_in_flight:
        executor.chunks_in_flight = chunks_in_flight
    runner = BatchRunner(store, embedder, executor, memory=memory or MemoryBudget(), **options)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def until(condition, *, seconds=240):
    """Wait until `condition` holds; so long that only what never happens is given up, on a busy machine too."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.005)


async def ended(store, job, owner="", **options):
    """Wait until a batch has ended and return it."""
    await until(lambda: store.get(job.batch_id, owner).state.is_ended, **options)
    return store.get(job.batch_id, owner)


def inline_answers(store, job):
    """Return the results of an inline batch."""
    return orjson.loads(b"[" + b"".join(store.inline_output(job)()) + b"]")


def file_answers(store, job):
    """Return the results of a batch that came as a file."""
    content = b"".join(store.files.open_content(job.output_file_id, job.owner).read())
    return [orjson.loads(each) for each in content.splitlines()]
