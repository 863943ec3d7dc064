"""models.asyncBatchEmbedContent and batches.get, list, update, cancel and delete."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gemvec.batches.job import Job, NewBatch
from gemvec.batches.store import BatchStore
from gemvec.embedding.models import ServedModel
from gemvec.errors import BeingRepaired, InvalidRequest
from gemvec.server.bodies import answer, read_body, read_query
from gemvec.server.context import services_of
from gemvec.server.embed import use_model
from gemvec.server.key_aliases import refuse_key_alias
from gemvec.server.streams import follow
from gemvec.storage.threads import in_database_thread
from gemvec.wire.batches import (
    AsyncBatchEmbedContentRequest,
    BatchStats,
    EmbedContentBatch,
    EmbedContentBatchOutput,
    InputEmbedContentConfig,
)
from gemvec.wire.message import to_wire
from gemvec.wire.names import parse_model_name, parse_resource_id
from gemvec.wire.operations import write_operation, write_operations
from gemvec.wire.paging import PageQuery, UpdateMaskQuery
from gemvec.wire.status import RPC_CODES

_JSON = "application/json; charset=utf-8"

# Inline results up to this size are in both places of an Operation.
_TWICE_BYTES = 2**20
# Answers up to this size are sent whole; inline results may be far larger and are sent block by block.
_BLOCK_BYTES = 256 * 1024


async def create_batch(request: Request) -> Response:
    """Accept a batch."""
    asked = (await read_body(request, AsyncBatchEmbedContentRequest)).batch
    model = use_model(request, _model_named(request, asked))
    refuse_key_alias(request.state.caller, model.name)
    job = await in_database_thread(_create, _store_of(request), _new_batch(request, asked, model), asked)
    return await _changed(request, write_operation(_to_wire(job)))


def _model_named(request: Request, asked: EmbedContentBatch) -> str:
    name = parse_model_name(request.path_params["model"])
    if not asked.model or asked.model == name:
        return name
    if services_of(request).settings.model_in_body:
        return asked.model
    raise InvalidRequest(
        f"* batch.model: must be models/{name}, the model of this call, but is models/{asked.model}\n",
        field="batch.model",
    )


def _new_batch(request: Request, asked: EmbedContentBatch, model: ServedModel) -> NewBatch:
    return NewBatch(
        owner=request.state.owner,
        model=model.name,
        weights=model.weights,
        display_name=asked.display_name or "",
        priority=asked.priority or 0,
        chunk_requests=services_of(request).batches.chunk_requests(model.weights),
        values=max(model.default_dimensionality, model.native_dim),
    )


def _create(store: BatchStore, new: NewBatch, asked: EmbedContentBatch) -> Job:
    source = asked.input_config
    if source is not None and source.requests is not None:
        return store.create_inline(new, source.requests.lines)
    return store.create_from_file(new, asked.input_file or "")


async def get_batch(request: Request) -> Response:
    """Describe a batch, with its results when it has ended."""
    store = _store_of(request)
    job = await in_database_thread(store.get, _batch_id(request), request.state.owner)
    if not _has_inline_output(job):
        return await _send(write_operation(_to_wire(job)))
    if await services_of(request).batches.repair(job):
        raise BeingRepaired
    output = await in_database_thread(store.inline_output, job)
    is_large = await in_database_thread(store.inline_output_bytes, job) > _TWICE_BYTES
    return await _send(write_operation(_to_wire(job), output, is_large=is_large))


async def list_batches(request: Request) -> Response:
    """List the caller's batches, without results: each batch by itself has them."""
    return await _send(await _list(request))


async def follow_batches(request: Request) -> Response:
    """Send the list of the caller's batches whenever it has changed."""

    async def read() -> bytes:
        return b"".join(await _list(request))

    return await follow(request, read)


async def _list(request: Request) -> Iterator[bytes]:
    query = read_query(request, PageQuery)
    store, owner = _store_of(request), request.state.owner
    page = await in_database_thread(store.list, owner, page_size=query.page_size, page_token=query.page_token)
    operations = (write_operation(_to_wire(job)) for job in page.items)
    return iter(write_operations(operations, page.next_page_token))


async def update_batch(request: Request) -> Response:
    """Change a batch's display name, its priority, or both."""
    mask = read_query(request, UpdateMaskQuery).update_mask
    changes = (await read_body(request, EmbedContentBatch)).changes(mask)
    job = await in_database_thread(_store_of(request).update, _batch_id(request), request.state.owner, changes)
    services_of(request).batches.notify()
    return answer(request, to_wire(_to_wire(job)))


async def cancel_batch(request: Request) -> Response:
    """Cancel a batch; finished results are kept."""
    await in_database_thread(_store_of(request).cancel, _batch_id(request), request.state.owner)
    return await _changed(request, [b"{}"])


async def delete_batch(request: Request) -> Response:
    """Delete a batch with its input and its results."""
    await in_database_thread(_store_of(request).delete, _batch_id(request), request.state.owner)
    return await _changed(request, [b"{}"])


def _store_of(request: Request) -> BatchStore:
    return services_of(request).batches.store


def _batch_id(request: Request) -> str:
    return parse_resource_id(request.path_params["batch"], "batches")


async def _changed(request: Request, pieces: Iterable[bytes]) -> Response:
    services_of(request).batches.notify()
    return await _send(pieces)


def _has_inline_output(job: Job) -> bool:
    return job.state.is_ended and job.input_file_id is None


def _to_wire(job: Job) -> EmbedContentBatch:
    return EmbedContentBatch(
        batch_id=job.batch_id,
        model=job.model,
        display_name=job.display_name,
        priority=job.priority,
        state=job.state,
        stats=BatchStats(
            request_count=job.request_count,
            successful_request_count=job.successful_count,
            failed_request_count=job.failed_count,
            pending_request_count=job.pending_count,
        ),
        created_at=job.created_at,
        updated_at=job.updated_at,
        ended_at=job.ended_at,
        input_config=InputEmbedContentConfig(file_name=job.input_file_id) if job.input_file_id else None,
        output=EmbedContentBatchOutput(responses_file=job.output_file_id) if job.output_file_id else None,
        error_code=RPC_CODES[job.error_status] if job.error_status and job.state.is_ended else 0,
        error_message=(job.error_message or "") if job.state.is_ended else "",
        waiting_reason=job.waiting_reason or "",
    )


async def _send(pieces: Iterable[bytes]) -> Response:
    """Return an answer made of pieces; a large one is produced while it is sent."""
    blocks = _blocks(pieces)
    first = await in_database_thread(next, blocks, b"")
    second = await in_database_thread(next, blocks, b"")
    if not second:
        return Response(first, media_type=_JSON)
    return StreamingResponse(_chain(first, second, blocks), media_type=_JSON)


def _blocks(pieces: Iterable[bytes]) -> Generator[bytes]:
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _chain(first: bytes, second: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest
