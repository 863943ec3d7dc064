"""What handlers work with, and how they find it: the settings, the embedder, the stores.

`services.open_services` makes it; this module does not know how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from gemvec.batches.runner import BatchRunner
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.files.store import FileStore
from gemvec.memory import MemoryBudget
from gemvec.server.limits import Limits
from gemvec.server.quota import Meter
from gemvec.server.usage import UsageMeter
from gemvec.settings import Settings
from gemvec.storage.database import Database
from gemvec.storage.place_watch import PlaceWatch

if TYPE_CHECKING:
    from gemvec.gateway.pass_through import PassThrough
    from gemvec.milvus import Collection
    from gemvec.models.reranker import Reranker

# Entered in the server's event loop before the first request, left in reverse order after the last.
Lifespan = Callable[[], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What one running server needs.

    Attributes:
        settings: how it was started.
        embedder: computes the vectors.
        pass_through: where calls go that are not answered here; None if they go nowhere.
        reranker: scores texts against a query; None if the settings name no model for it.
        files: the store of files.
        batches: the runner of batches, with their store.
        database: files, batches and API keys.
        place_watch: whether the data folder or the object store answers.
        limits: the limits of every caller.
        meter: counts what callers use of their rates.
        memory: what requests and batches may take together.
        collections: those to search, by name.
        usage: counts what callers with a key use.
        lifespans: what must run while the server runs, such as sweepers and runners.
    """

    settings: Settings
    embedder: Embedder
    pass_through: PassThrough | None
    reranker: Reranker | None
    files: FileStore
    batches: BatchRunner
    database: Database
    place_watch: PlaceWatch
    limits: Limits
    meter: Meter
    memory: MemoryBudget
    collections: Mapping[str, Collection]
    usage: UsageMeter
    lifespans: tuple[Lifespan, ...]

    def default_model(self) -> ServedModel:
        """Return what serves a request that names no model."""
        return self.embedder.list_models()[0]


def services_of(request: Request) -> Services:
    """Return the services of the server that `request` came to."""
    return cast("Services", request.app.state.services)
