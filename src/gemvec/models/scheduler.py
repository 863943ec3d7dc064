"""Keeps the encoder's streams busy: each has a thread, which takes the next micro-batch as soon as it is idle.

Callers are coroutines of any event loop. Nothing waits for a micro-batch to fill: under load they are full anyway, and
without load a text is computed at once.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from gemvec.embedding.caller import current_caller
from gemvec.embedding.embed import Float32Array, Priority
from gemvec.errors import ModelUnavailable
from gemvec.figures import Figure
from gemvec.models.encoder import Encoder
from gemvec.models.micro_batches import Call, Item, Queue, by_call
from gemvec.models.widths import padded_width
from gemvec.spans import add_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load of a scheduler.

    Attributes:
        waiting_tokens: tokens that wait to be computed.
        computed_tokens: tokens computed since the start.
        padded_tokens: computed tokens, including padding.
        micro_batches: computed micro-batches.
        busy_seconds: time spent on them, the sum over all streams.
    """

    waiting_tokens: int = 0
    computed_tokens: int = 0
    padded_tokens: int = 0
    micro_batches: int = 0
    busy_seconds: float = 0.0

    def figures(self, *, model: str) -> Iterator[Figure]:
        """Yield figures for metrics, labelled with `model`."""
        labels = {"model": model}
        yield Figure(
            name="waiting_tokens",
            summary="Tokens that wait to be computed.",
            value=self.waiting_tokens,
            labels=labels,
        )
        for name, summary, value in (
            ("computed_tokens", "Tokens computed in this process, including those of batches.", self.computed_tokens),
            ("padded_tokens", "Computed tokens, including padding.", self.padded_tokens),
            ("micro_batches", "Micro-batches computed.", self.micro_batches),
            ("busy_seconds", "Time spent computing, the sum over all streams.", self.busy_seconds),
        ):
            yield Figure(name=name, summary=summary, value=value, is_total=True, labels=labels)


NOTHING_DONE = Load()


class _PendingCall(Call):
    """A call, and the coroutine that waits for its result."""

    __slots__ = ("_starts", "added_at", "answer", "left", "loop", "started_at", "vectors")

    def __init__(
        self, token_ids: Sequence[Sequence[int]], priority: Priority, native_dim: int, *, per_token: bool
    ) -> None:
        super().__init__(token_ids, priority, current_caller())
        # Where each text's vectors begin, and the end of the last one's; None if each text has one.
        self._starts = np.cumsum([0, *map(len, token_ids)]) if per_token else None
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Float32Array] = self.loop.create_future()
        self.left = len(token_ids)
        self.added_at = time.monotonic()
        self.started_at: float | None = None  # when its first micro-batch started
        count = self.left if self._starts is None else int(self._starts[-1])
        self.vectors: Float32Array = np.empty((count, native_dim), np.float32)

    def places(self, rows: Sequence[int]) -> Sequence[int] | npt.NDArray[np.int64]:
        """Return the places of the vectors of these texts, in their order."""
        starts = self._starts
        if starts is None:
            return rows
        of_texts = [np.arange(starts[row], starts[row + 1], dtype=np.int64) for row in rows]
        return np.concatenate(of_texts)

    def tell(self, settle: Callable[[asyncio.Future[Float32Array]], None]) -> None:
        """Set the result on the caller's event loop, unless the caller is gone."""

        def settle_if_awaited() -> None:
            if not self.answer.done():
                settle(self.answer)

        with contextlib.suppress(RuntimeError):  # the loop is closed, so the caller is gone
            self.loop.call_soon_threadsafe(settle_if_awaited)


class Scheduler:
    """Computes texts for many callers on an encoder's streams."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        streams: int,
        token_budget: int,
        max_waiting_tokens: int,
        per_token: bool = False,
        done: Load = NOTHING_DONE,
    ) -> None:
        """Start the threads.

        Args:
            encoder: computes the vectors; the caller closes it after the scheduler.
            streams: how many of its streams to use, each with its own thread.
            token_budget: most tokens in one micro-batch, with padding.
            max_waiting_tokens: tokens that may wait before calls are refused.
            per_token: whether the encoder returns the vectors of all tokens instead of one per text.
            done: what the same model had computed when it was last in memory.
        """
        self._encoder, self._per_token = encoder, per_token
        self._queue = Queue(streams=streams, token_budget=token_budget, max_waiting_tokens=max_waiting_tokens)
        self._changed = threading.Condition()
        self._is_closing = self._is_abandoned = False
        self._process_id = os.getpid()  # a forked process has the object but not its threads
        self._done = done
        self._threads = [
            threading.Thread(target=self._work, args=(stream,), name=f"gemvec-stream-{stream}", daemon=True)
            for stream in range(streams)
        ]
        for thread in self._threads:
            thread.start()
        # A thread that returns from the network while Python shuts down would abort the process.
        atexit.register(self._abandon)

    async def encode(self, token_ids: Sequence[Sequence[int]], priority: Priority) -> Float32Array:
        """Compute texts; if the calling task is cancelled, texts that have not started are dropped.

        Args:
            token_ids: the ids of each text, including special tokens; none is empty or longer than the window.
            priority: whether somebody waits for the answer.

        Returns:
            float32[texts, native_dim] in the same order, as they come from the encoder; float32[tokens, native_dim] if
            it returns those of all tokens.

        Raises:
            Overloaded: too many tokens wait.
            ModelUnavailable: the scheduler is closed, or another process started it.
            ArithmeticError: a vector of the micro-batch is not finite.
        """
        if self._process_id != os.getpid():
            raise ModelUnavailable("The model was opened before this process was forked; open it here.")
        call = _PendingCall(token_ids, priority, self._encoder.native_dim, per_token=self._per_token)
        if not token_ids:
            return call.vectors
        with self._changed:
            if self._is_closing:
                raise ModelUnavailable("The model is closed.")
            self._queue.add(call, time.monotonic())
            self._changed.notify(len(token_ids))
        try:
            vectors = await call.answer
        except asyncio.CancelledError:
            with self._changed:
                self._queue.drop(call)
            raise
        started_at = call.added_at if call.started_at is None else call.started_at
        add_seconds("waiting", started_at - call.added_at)
        add_seconds("computing", time.monotonic() - started_at)
        return vectors

    @property
    def load(self) -> Load:
        """The current load."""
        with self._changed:
            return replace(self._done, waiting_tokens=self._queue.waiting_tokens)

    async def close(self) -> None:
        """Refuse new calls, finish accepted ones, and end the threads."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        await asyncio.to_thread(self._join)
        atexit.unregister(self._abandon)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _abandon(self) -> None:
        """End the threads after their current micro-batches; for a program that ends without closing."""
        if self._process_id != os.getpid():
            return
        with self._changed:
            self._is_abandoned = self._is_closing = True
            self._changed.notify_all()
        self._join()

    def _work(self, stream: int) -> None:
        while items := self._next_items():
            started = time.perf_counter()
            try:
                vectors = _finite(self._encoder.encode([item.token_ids for item in items], stream))
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers must learn of it
                self._fail(items, error)
            else:
                self._deliver(items, vectors, time.perf_counter() - started)

    def _next_items(self) -> list[Item]:
        """Wait for work; an empty list means that there will be none."""
        with self._changed:
            while not self._is_abandoned:
                items = self._queue.next_micro_batch(time.monotonic())
                _note_start(items)
                if items or self._is_closing:
                    return items
                self._changed.wait()
            return []

    def _deliver(self, items: Sequence[Item], vectors: Float32Array, seconds: float) -> None:
        delivered: list[tuple[_PendingCall, int]] = []
        start = 0
        for call, some in _by_call(items):
            rows = [item.row for item in some]
            places = call.places(rows)
            call.vectors[places] = vectors[start : start + len(places)]
            start += len(places)
            delivered.append((call, len(rows)))
        finished: list[_PendingCall] = []
        with self._changed:
            self._note(items, seconds)
            for call, count in delivered:
                call.left -= count
                if not call.left:
                    finished.append(call)
        for call in finished:
            call.tell(lambda answer, vectors=call.vectors: answer.set_result(vectors))

    def _note(self, items: Sequence[Item], seconds: float) -> None:
        tokens = sum(item.length for item in items)
        self._queue.note_speed(tokens, seconds)
        self._done = Load(
            computed_tokens=self._done.computed_tokens + tokens,
            padded_tokens=self._done.padded_tokens + len(items) * padded_width(items[-1].length),
            micro_batches=self._done.micro_batches + 1,
            busy_seconds=self._done.busy_seconds + seconds,
        )

    def _fail(self, items: Sequence[Item], error: Exception) -> None:
        calls = {id(call): call for call, _ in _by_call(items)}.values()
        with self._changed:
            for call in calls:
                self._queue.drop(call)
        for call in calls:
            call.tell(lambda answer: answer.set_exception(error))


def _finite(vectors: Float32Array) -> Float32Array:
    """Refuse vectors that cannot be normalised: they would become zeros, which look like an answer."""
    if not np.isfinite(vectors).all():
        raise ArithmeticError("The network returned a vector that is not finite.")
    return vectors


def _note_start(items: Sequence[Item]) -> None:
    now = time.monotonic()
    for call, _ in _by_call(items):
        call.started_at = now if call.started_at is None else call.started_at


def _by_call(items: Sequence[Item]) -> Iterator[tuple[_PendingCall, Iterator[Item]]]:
    return cast("Iterator[tuple[_PendingCall, Iterator[Item]]]", by_call(items))  # those that `encode` has added
