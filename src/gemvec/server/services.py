"""Composes a server: the data folder, the stores, the embedder, and what runs beside the requests.

Handlers never import this module; they find what it made with `context.services_of`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from gemvec.batches.queue import BatchQueue
from gemvec.batches.runner import BatchRunner
from gemvec.batches.store import BatchStore
from gemvec.cache import local_source, with_cache
from gemvec.embedding.embedder import Embedder
from gemvec.errors import GemvecError, StorageFailure
from gemvec.files.limits import FileLimits, OwnerLimits
from gemvec.files.store import FileStore
from gemvec.logs import get_logger
from gemvec.memory import MemoryBudget
from gemvec.models.progress import Progress
from gemvec.models.served import open_served_models
from gemvec.server.budget import budget_bytes
from gemvec.server.collections import open_collections
from gemvec.server.context import Lifespan, Services
from gemvec.server.executor import check_executor, open_executor
from gemvec.server.key_removal import remove_what_deleted_keys_own
from gemvec.server.keys import KeyStore
from gemvec.server.limits import limits_of
from gemvec.server.quota import QuotaMeter
from gemvec.server.shared_quota import SharedMeter
from gemvec.server.usage import UsageMeter
from gemvec.settings import Settings
from gemvec.storage.database import Database, database_of, open_database
from gemvec.storage.durable import Place
from gemvec.storage.hold import note_moment, read_store_id, take_store
from gemvec.storage.lock import FolderLock
from gemvec.storage.place_watch import PlaceWatch
from gemvec.storage.places import storage_of
from gemvec.storage.rates import forget_ended_windows
from gemvec.storage.servers import Membership, server_id_of
from gemvec.storage.threads import in_database_thread, in_key_thread
from gemvec.storage.timestamps import utc_now
from gemvec.storage.usage import forget_old_days

if TYPE_CHECKING:
    from gemvec.gateway.pass_through import PassThrough
    from gemvec.models.reranker import Reranker

log = get_logger("files")

_SWEEP_SECONDS = 600.0


def open_services(
    settings: Settings, *, embedder: Embedder | None = None, progress: Progress | None = None
) -> Services:
    """Open the data folder and load the model for `gemvec serve`; closed by the application when it ends.

    Args:
        settings: what to serve, and from where.
        embedder: serve this one instead of the models in the settings; its owner closes it.
        progress: called with the progress of a fetch of weights.

    Raises:
        DataFolderLocked: another server uses the data folder or the database.
        StoreMismatch: the data folder or object store and the database belong to different stores.
        StorageFailure: the data folder or the database cannot be used.
        ModelUnavailable: the weights could not be found, fetched, or trusted.
        BadSetting: the upstream server is not an address, or there is no key for it; or --executor names no place.
        MissingDependency: --executor needs a package.
        ClusterUnavailable: the cluster of --executor cannot be joined.
        TransportFailure: the upstream server does not answer.
    """
    check_executor(settings)
    with ExitStack() as opened:  # closes what is already open if something else cannot be opened
        opened.enter_context(FolderLock(settings.data_dir))
        database = open_database(database_of(settings))
        opened.callback(database.close)
        place = storage_of(settings)
        membership = _take_store(settings, database, place, opened)
        files = _open_file_store(settings, database, place)
        served = _open_embedder(settings, progress) if embedder is None else embedder
        pass_through = _open_pass_through(settings)
        reranker = _open_reranker(settings, progress)
        executor = open_executor(settings, served)
        collections = open_collections(settings, served, opened)
        storage = opened.pop_all()
    memory = MemoryBudget(budget_bytes(settings))
    store = _open_batch_store(settings, database, files, place)

    def sweeps() -> bool:
        return membership is None or membership.is_first

    batches = BatchRunner(store, served, executor, memory=memory, sweeps=sweeps)
    usage = UsageMeter(database)
    shared_meter = SharedMeter(database) if membership else None
    closing: list[Lifespan] = [] if embedder else [partial(_closing, served)]
    if reranker:
        closing.append(partial(_closing, reranker))
    if pass_through:
        closing.append(partial(_closing, pass_through))
    return Services(
        settings=settings,
        embedder=served,
        pass_through=pass_through,
        reranker=reranker,
        files=files,
        batches=batches,
        database=database,
        place_watch=PlaceWatch(place, read_store_id(database)),
        limits=limits_of(settings),
        meter=shared_meter or QuotaMeter(),
        memory=memory,
        collections=collections,
        usage=usage,
        lifespans=(
            partial(_closing_storage, storage),
            *closing,
            *([partial(_sharing, membership, batches.queue)] if membership else []),
            *([partial(_counting, shared_meter)] if shared_meter else []),
            usage.flushing,
            partial(_sweeping, files, database, store, sweeps),
            partial(_running, batches),
        ),
    )


def _take_store(settings: Settings, database: Database, place: Place, opened: ExitStack) -> Membership | None:
    """Take the store for this server alone or, on PostgreSQL and an object store, join the servers that share it."""
    if not (settings.storage and settings.database_url.startswith("postgresql")):
        opened.enter_context(database.held())
        take_store(database, place)
        return None
    take_store(database, place, is_shared=True)
    server_id = server_id_of(settings.data_dir)
    membership = Membership(database, server_id, lease_seconds=settings.lease_seconds)
    membership.join()
    return membership


def _open_embedder(settings: Settings, progress: Progress | None) -> Embedder:
    """Return what computes the vectors: models on this machine, or another server."""
    if settings.upstream:
        from gemvec.server.upstream import open_upstream  # the client of another server, which few servers need

        return open_upstream(settings)
    embedder = open_served_models(settings, progress=progress)
    return with_cache(embedder, settings, source=local_source(settings)) if settings.embedding_cache else embedder


def _open_pass_through(settings: Settings) -> PassThrough | None:
    if not (settings.pass_through or settings.upstream):
        return None
    from gemvec.server.upstream import open_pass_through

    return open_pass_through(settings)


def _open_reranker(settings: Settings, progress: Progress | None) -> Reranker | None:
    if not settings.rerank_model:
        return None
    from gemvec.models.reranker import open_reranker

    return open_reranker(settings, progress=progress)


def _open_file_store(settings: Settings, database: Database, place: Place) -> FileStore:
    """Return the store of files that `settings` describe."""
    limits = FileLimits(
        max_file_bytes=settings.max_file_bytes,
        max_owner_bytes=settings.max_owner_bytes,
        expiry=timedelta(seconds=settings.file_expiry_seconds),
    )
    return FileStore(database, place, limits=limits, limits_of=partial(_limits_of, settings, KeyStore(database)))


def _limits_of(settings: Settings, keys: KeyStore, owner: str) -> OwnerLimits:
    """Return what an owner may have at a time, as its key's limits are now."""
    usual = OwnerLimits(
        open_uploads=settings.max_open_uploads,
        open_batches=settings.max_open_batches,
        stored_bytes=settings.max_stored_bytes,
        priority=settings.max_priority,
    )
    return keys.find_limits(owner).over(usual) if owner else usual


def _open_batch_store(settings: Settings, database: Database, files: FileStore, place: Place) -> BatchStore:
    """Return the store of batches that `settings` describe."""
    return BatchStore(
        database,
        files,
        place,
        expiry=timedelta(seconds=settings.batch_expiry_seconds),
        retention=timedelta(seconds=settings.batch_retention_seconds),
        max_requests=settings.max_batch_requests,
        limits_of=partial(_limits_of, settings, KeyStore(database)),
    )


@asynccontextmanager
async def _running(runner: BatchRunner) -> AsyncGenerator[None]:
    """Work on batches for as long as the context lasts; park them at its end."""
    await runner.start()
    try:
        yield
    finally:
        await runner.stop()


@asynccontextmanager
async def _sharing(membership: Membership, queue: BatchQueue) -> AsyncGenerator[None]:
    """Show the other servers that this one is alive, and take over from those that are not; leave at the end."""
    steps = (partial(_beat, membership), partial(_take_over, membership, queue))
    for step in steps:
        await step()
    repeating = [asyncio.create_task(_repeat(step, membership.beat_seconds)) for step in steps]
    try:
        yield
    finally:
        for each in repeating:
            each.cancel()
        await asyncio.gather(*repeating, return_exceptions=True)
        with suppress(StorageFailure):  # the others find it dead
            await in_key_thread(queue.leave)


@asynccontextmanager
async def _counting(meter: SharedMeter) -> AsyncGenerator[None]:
    """Give back at the end what this server has taken of callers' rates and not used."""
    try:
        yield
    finally:
        await meter.give_back()


async def _repeat(step: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await step()


async def _beat(membership: Membership) -> None:
    """Beat once; in the threads of keys, because those of the database may wait for bytes."""
    try:
        await in_key_thread(membership.beat)
    except StorageFailure as error:
        log.warning("this server cannot show the others that it is alive", extra={"reason": type(error).__name__})


async def _take_over(membership: Membership, queue: BatchQueue) -> None:
    """Give back the chunks of dead servers; it may wait for rows that others hold, and no beat waits for it."""
    try:
        for token in await in_database_thread(membership.find_dead):
            await in_database_thread(queue.release_dead, token)
    except StorageFailure as error:
        log.warning("this server cannot take over from others", extra={"reason": type(error).__name__})


@asynccontextmanager
async def _sweeping(
    files: FileStore, database: Database, batches: BatchStore, sweeps: Callable[[], bool]
) -> AsyncGenerator[None]:
    """Remove what has expired, now and every ten minutes, for as long as the context lasts."""
    with suppress(StorageFailure):  # reported by the calls that need the database
        await in_database_thread(files.uploads.recover)
    sweeper = asyncio.create_task(_sweep_for_ever(files, database, batches, sweeps))
    try:
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper


async def _sweep_for_ever(
    files: FileStore, database: Database, batches: BatchStore, sweeps: Callable[[], bool]
) -> None:
    while True:
        try:
            if sweeps():
                await _sweep(files, database, batches)
            else:
                await in_database_thread(files.uploads.forget_ended)
        except GemvecError as error:
            log.error(error.message, extra={"error": type(error).__name__})  # noqa: TRY400 - no traceback to learn from
        await asyncio.sleep(_SWEEP_SECONDS)


async def _sweep(files: FileStore, database: Database, batches: BatchStore) -> None:
    await in_database_thread(note_moment, database)
    await in_database_thread(_forget_old_counts, database)
    if deleted := await in_database_thread(remove_what_deleted_keys_own, database, files, batches):
        log.info("removed what deleted keys owned", extra={"keys": deleted})
    if removed := await in_database_thread(files.sweep):
        log.info("swept", extra={"removed": removed})


def _forget_old_counts(database: Database) -> None:
    with database.write(is_way_out=True) as connection:
        forget_old_days(connection, utc_now())
        forget_ended_windows(connection, utc_now())


@asynccontextmanager
async def _closing_storage(storage: ExitStack) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        storage.close()


@asynccontextmanager
async def _closing(opened: Embedder | Reranker | PassThrough) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await opened.close()
