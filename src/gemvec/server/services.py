"""What the handlers work with: the settings, the embedder, and whatever else must be opened before serving."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

from starlette.requests import Request

from gemvec.batches.runner import BatchRunner
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.errors import FailedPrecondition
from gemvec.files.store import FileStore
from gemvec.models.progress import Progress
from gemvec.server.limits import Limits
from gemvec.settings import Settings
from gemvec.storage.database import Database

# Entered in the server's event loop before the first request, left in reverse order after the last.
Lifespan = Callable[[], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What one running server needs.

    Attributes:
        settings: how it was started.
        embedder: computes the vectors.
        files: the store of files; None where none are kept.
        batches: the runner of batches, with their store; None where none are kept.
        database: files, batches and API keys; None where none are kept.
        limits: what every caller may have; what the settings say when None.
        lifespans: what must run while the server runs, such as sweepers and runners.
    """

    settings: Settings
    embedder: Embedder
    files: FileStore | None = None
    batches: BatchRunner | None = None
    database: Database | None = None
    limits: Limits | None = None
    lifespans: tuple[Lifespan, ...] = ()

    def default_model(self) -> ServedModel:
        """Return what serves a request that names no model."""
        return self.embedder.list_models()[0]

    def file_store(self) -> FileStore:
        """Return the store of files.

        Raises:
            FailedPrecondition: this server keeps no files.
        """
        if self.files is None:
            raise FailedPrecondition("This server keeps no files.")
        return self.files

    def batch_runner(self) -> BatchRunner:
        """Return the runner of batches, which has their store.

        Raises:
            FailedPrecondition: this server keeps no batches.
        """
        if self.batches is None:
            raise FailedPrecondition("This server keeps no batches.")
        return self.batches


def services_of(request: Request) -> Services:
    """Return the services of the server that `request` came to."""
    return cast("Services", request.app.state.services)


def open_services(settings: Settings, *, progress: Progress | None = None) -> Services:
    """Open the data folder and load the model for `gemvec serve`; closed by the application when it ends.

    Args:
        settings: what to serve, and from where.
        progress: told how far a fetch of weights has come.

    Raises:
        DataFolderLocked: another server uses the data folder or the database.
        StorageFailure: the data folder or the database cannot be used.
        ModelUnavailable: the weights could not be found, fetched, or trusted.
        BadSetting: the upstream server is none, or has no key to be asked with.
        TransportFailure: the upstream server does not answer.
    """
    from gemvec.server.batches import open_batch_runner, running
    from gemvec.server.files import open_file_store, sweeping
    from gemvec.server.upstream import open_served_embedder
    from gemvec.storage.database import database_of, open_database
    from gemvec.storage.lock import FolderLock

    with ExitStack() as opened:  # closes what is open already if something else cannot be opened
        opened.enter_context(FolderLock(settings.data_dir))
        database = open_database(database_of(settings))
        opened.callback(database.close)
        opened.enter_context(database.held())
        files = open_file_store(settings, database)
        embedder = open_served_embedder(settings, progress=progress)
        storage = opened.pop_all()
    batches = open_batch_runner(settings, database, files, embedder)
    lifespans = (
        partial(_closing_storage, storage),
        partial(_closing, embedder),
        partial(sweeping, files),
        partial(running, batches),
    )
    return Services(
        settings=settings, embedder=embedder, files=files, batches=batches, database=database, lifespans=lifespans
    )


@asynccontextmanager
async def _closing_storage(storage: ExitStack) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        storage.close()


@asynccontextmanager
async def _closing(embedder: Embedder) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await embedder.close()
