"""Which models are in memory: `Shelf` loads a model at its first use, and unloads others when room is short.

A model in use is never unloaded. If there is no room for the next model, the one that was longest unused goes; if all
are in use, calls of every model wait in the order in which they came, until one is free. When a model is there, all
calls that wait for it go on together, so that models do not change places more often than needed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gemvec.errors import ModelUnavailable
from gemvec.figures import Figure
from gemvec.memory import give_back
from gemvec.models.pipeline import Counts, Pipeline

UNLIMITED = 2**62


@dataclass(slots=True, kw_only=True)
class ShelvedModel:
    """One model that can be in memory.

    Attributes:
        open: loads it; what it counts goes on from the counts that it is given.
        size_bytes: the memory that it is thought to take.
        pipeline: the model, while it is in memory.
        users: calls that use it now.
        used_at: when it was last taken or given back, on the shelf's own count.
        counts: what it had counted when it was unloaded.
        loads: how often it was loaded.
        is_extra: whether there are figures on it only after it was loaded.
    """

    open: Callable[[Counts], Pipeline]
    size_bytes: int
    pipeline: Pipeline | None = None
    users: int = 0
    used_at: int = 0
    counts: Counts = field(default_factory=Counts)
    loads: int = 0
    is_extra: bool = False


class _Waiter:
    """A call that waits for its model.

    Attributes:
        name: the model.
        has_model: whether it counts as a user of it already.
    """

    __slots__ = ("has_model", "loop", "name", "turn")

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_model = False
        self.loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = self.loop.create_future()

    def tell(self, error: Exception | None) -> bool:
        """Let the call go on, or fail, in its own event loop; return False if that is closed, so the caller is gone."""

        def settle() -> None:
            if self.turn.done():
                return
            if error is None:
                self.turn.set_result(None)
            else:
                self.turn.set_exception(error)

        try:
            self.loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return False
        return True


class Shelf:
    """Models of one process; callers are coroutines of any event loop."""

    def __init__(self, models: Mapping[str, ShelvedModel], *, limit_bytes: int = UNLIMITED) -> None:
        """Start with the models that are loaded already.

        Args:
            models: by their ids.
            limit_bytes: the memory for all of them; a model that is larger is loaded alone.
        """
        self._models = dict(models)
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._waiting: list[_Waiter] = []
        self._is_closed = self._is_loading = False
        self._needs_room = False  # calls wait for a model for which another one in use must go
        self._loaders: set[threading.Thread] = set()
        self._ticks = 0

    @asynccontextmanager
    async def borrow(self, name: str) -> AsyncGenerator[Pipeline]:
        """Give a model, which stays in memory during the block; load it first if it is not there.

        Raises:
            ModelUnavailable: it cannot be loaded, or the shelf is closed.
        """
        model = self._models[name]
        with self._lock:
            if self._is_closed:
                raise ModelUnavailable("The model is closed.")
            waiter = None if model.pipeline and not self._needs_room else _Waiter(name)
            if waiter is None:
                self._take(model)
            else:
                self._waiting.append(waiter)
                self._advance()
        if waiter is not None:
            await self._wait(waiter)
        try:
            assert model.pipeline is not None
            yield model.pipeline
        finally:
            with self._lock:
                self._give_back(model)

    def figures(self) -> Iterator[Figure]:
        """Yield figures on each model."""
        for name, model in self._models.items():
            if model.is_extra and not model.loads:
                continue
            pipeline, labels = model.pipeline, {"model": name}
            yield from (pipeline.counts if pipeline else model.counts).figures(model=name)
            yield Figure(
                name="model_in_memory",
                summary="1 while the model is in memory, else 0.",
                value=int(pipeline is not None),
                labels=labels,
            )
            yield Figure(
                name="model_memory_bytes",
                summary="Estimate of the memory that the model takes while it is loaded.",
                value=model.size_bytes,
                labels=labels,
            )
            yield Figure(
                name="model_loads",
                summary="Times that the model was loaded.",
                value=model.loads,
                is_total=True,
                labels=labels,
            )

    async def close(self) -> None:
        """Refuse new calls, finish accepted ones, and free every model."""
        with self._lock:
            self._is_closed = True
            loaders = list(self._loaders)
            for name in {each.name for each in self._waiting}:
                self._let_go_on(name, ModelUnavailable("The model is closed."))
        for loader in loaders:
            await asyncio.to_thread(loader.join)
        opened = [model for model in self._models.values() if model.pipeline]
        await asyncio.gather(*(model.pipeline.close() for model in opened if model.pipeline))

    async def _wait(self, waiter: _Waiter) -> None:
        try:
            await waiter.turn
        except asyncio.CancelledError:
            with self._lock:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                    self._advance()
                elif waiter.has_model:  # its turn came at the same moment
                    self._give_back(self._models[waiter.name])
            raise

    def _take(self, model: ShelvedModel) -> None:
        self._ticks += 1
        model.users += 1
        model.used_at = self._ticks

    def _give_back(self, model: ShelvedModel) -> None:
        self._ticks += 1
        model.users -= 1
        model.used_at = self._ticks
        self._advance()

    def _advance(self) -> None:
        """Let calls go on whose model is there, and begin to load the next one; the lock is held."""
        while self._waiting and not self._is_loading:
            name = self._waiting[0].name
            model = self._models[name]
            if model.pipeline:
                self._let_go_on(name, None)
                continue
            leaving = self._make_room(model.size_bytes)
            self._needs_room = leaving is None
            if leaving is not None:
                self._start_loading(name, leaving)
            return
        if not self._waiting:
            self._needs_room = False

    def _let_go_on(self, name: str, error: Exception | None) -> None:
        """End the waiting of all calls of a model."""
        going = [each for each in self._waiting if each.name == name]
        self._waiting = [each for each in self._waiting if each.name != name]
        for waiter in going:
            if error is None:
                self._take(self._models[name])
                waiter.has_model = True
            if not waiter.tell(error) and waiter.has_model:
                self._models[name].users -= 1
                waiter.has_model = False

    def _make_room(self, size_bytes: int) -> list[Pipeline] | None:
        """Detach models, to be closed, until there is room; None if that must wait for one in use."""
        loaded = [model for model in self._models.values() if model.pipeline]
        used_bytes = sum(model.size_bytes for model in loaded)
        leaving: list[ShelvedModel] = []
        for model in sorted(loaded, key=lambda each: each.used_at):
            if used_bytes + size_bytes <= self._limit_bytes:
                break
            if not model.users:
                leaving.append(model)
                used_bytes -= model.size_bytes
        is_alone = len(leaving) == len(loaded)
        if used_bytes + size_bytes > self._limit_bytes and not is_alone:
            return None
        return [_detach(model) for model in leaving]

    def _start_loading(self, name: str, leaving: list[Pipeline]) -> None:
        self._is_loading = True
        loader = threading.Thread(target=self._load, args=(name, leaving), name="gemvec-load", daemon=True)
        self._loaders.add(loader)
        loader.start()

    def _load(self, name: str, leaving: list[Pipeline]) -> None:
        """Close models, then open another one."""
        model = self._models[name]
        pipeline, error = None, None
        try:
            _free(leaving)
            pipeline = model.open(model.counts)
        except Exception as raised:  # noqa: BLE001 - whatever it is, the callers must learn of it
            error = raised
        with self._lock:
            model.pipeline = pipeline
            model.loads += pipeline is not None
            self._is_loading = self._needs_room = False
            self._loaders.discard(threading.current_thread())
            self._let_go_on(name, error)
            self._advance()


def unload(model: ShelvedModel) -> None:
    """Free a model that is in memory and that nobody uses."""
    leaving = [_detach(model)]
    thread = threading.Thread(target=_free, args=(leaving,), name="gemvec-free")  # the caller's may run an event loop
    thread.start()
    thread.join()


def _free(pipelines: list[Pipeline]) -> None:
    """Close models and give their memory back to the system; glibc would keep most of a tokenizer's."""
    if not pipelines:
        return
    while pipelines:
        asyncio.run(pipelines.pop().close())
    give_back()


def _detach(model: ShelvedModel) -> Pipeline:
    assert model.pipeline is not None
    model.counts = model.pipeline.counts  # first, because figures are read without the lock
    pipeline, model.pipeline = model.pipeline, None
    return pipeline
