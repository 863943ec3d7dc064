"""`run_chunk`: lines of a chunk in, one part file out. It computes and keeps no state.

What goes wrong with one request becomes an error at its place. What goes wrong with everything at once (no room, no
model, no answer from a remote service) is raised, nothing is written, and the chunk can be run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.chunk_lines import KILLER, Failure
from gemvec.batches.isolation import Isolation
from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.embedding.embed import Embedding, EmbedRequest, Priority
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.errors import ApiError, GemvecError, InvalidRequest, Overloaded
from gemvec.logs import get_logger

_BAD_REQUEST = 400
# A refused chunk is retried this often before it is split in halves, in case it is larger than the queue.
_TRIES = 5

_log = get_logger("batches")


async def run_chunk(task: ChunkTask, embedder: Embedder, files: ChunkFiles) -> ChunkResult:
    """Embed the requests of a chunk and write their answers, in order, to `task.part_path`.

    Args:
        task: what to do.
        embedder: computes the vectors.
        files: reads the lines and writes the part file.

    Raises:
        StorageFailure: the input cannot be read or the part file not written; StorageFull when there is no room,
            DataLost when the input has changed.
        GemvecError: the embedder as a whole fails.
    """
    asked = await asyncio.to_thread(files.read)
    return await asyncio.to_thread(files.write, await embed_each(embedder, task.model, asked, _named(task)))


async def run_isolated(
    task: ChunkTask, embedder: Embedder, files: ChunkFiles, record: Callable[[Isolation], Awaitable[object]]
) -> ChunkResult:
    """Run a chunk that is suspected of killing the server, range by range; nothing else is computed meanwhile.

    Args:
        task: what to do.
        embedder: computes the vectors.
        files: reads the lines and writes the part file.
        record: records durably what is tried next.

    Raises as `run_chunk`.
    """
    isolation = task.isolation or Isolation(((0, task.request_count),))
    answers: list[Embedding | Failure] = [KILLER] * task.request_count
    for index, (first, count) in enumerate(isolation.ranges):
        await record(isolation.begin(index))
        asked = await asyncio.to_thread(files.read, range(first, first + count))
        answers[first : first + count] = await embed_each(embedder, task.model, asked, _named(task))
    await record(isolation)
    return await asyncio.to_thread(files.write, answers)


async def embed_each(
    embedder: Embedder, model: str, asked: Sequence[EmbedRequest | Failure], named: Mapping[str, object]
) -> list[Embedding | Failure]:
    """Return a vector for every request, or the reason why it has none; failures are passed through.

    Args:
        embedder: computes the vectors.
        model: the served name to embed with.
        asked: what the lines of a chunk ask for.
        named: which chunk it is, for logs.

    Raises:
        GemvecError: the embedder as a whole fails.
    """
    requests = [each for each in asked if isinstance(each, EmbedRequest)]
    computed = iter(await _embed_all(embedder, embedder.get_model(model), requests, named))
    return [each if isinstance(each, Failure) else next(computed) for each in asked]


async def _embed_all(
    embedder: Embedder, model: ServedModel, requests: Sequence[EmbedRequest], named: Mapping[str, object]
) -> list[Embedding | Failure]:
    """Embed requests; when the embedder refuses some, halve until each bad one is alone."""
    if not requests:
        return []
    try:
        return list(await embed_with_retries(embedder, model, requests))
    except Overloaded:
        if len(requests) == 1:
            raise
    except Exception as error:  # noqa: BLE001 - whatever the model raises stands at the place of its request
        failure = _failure_of(error, named)
        if len(requests) == 1:
            return [failure]
    middle = len(requests) // 2
    return [
        *await _embed_all(embedder, model, requests[:middle], named),
        *await _embed_all(embedder, model, requests[middle:], named),
    ]


async def embed_with_retries(
    embedder: Embedder, model: ServedModel, requests: Sequence[EmbedRequest]
) -> list[Embedding]:
    """Embed texts behind interactive requests, a few times again while too much waits.

    Raises:
        Overloaded: too much still waits.
        GemvecError: other errors of the embedder.
    """
    for _ in range(_TRIES - 1):
        try:
            return await embedder.embed(model, requests, priority=Priority.BATCH)
        except Overloaded as error:
            await asyncio.sleep(error.retry_after_seconds)
    return await embedder.embed(model, requests, priority=Priority.BATCH)


def _failure_of(error: Exception, named: Mapping[str, object]) -> Failure:
    """Return the failure of a request on which the embedder fails; raise an error that concerns every request."""
    if isinstance(error, InvalidRequest) or (isinstance(error, ApiError) and error.code == _BAD_REQUEST):
        return Failure("INVALID_ARGUMENT", error.message)
    if isinstance(error, (GemvecError, MemoryError)):
        raise error
    _log.error("the model failed on a request", extra={**named, "error": type(error).__name__})
    return Failure("INTERNAL", "The model failed on this request.")


def _named(task: ChunkTask) -> dict[str, object]:
    return {"batch": task.batch_id, "chunk": task.chunk_index}
