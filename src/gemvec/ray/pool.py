"""`ActorPool`: as many actors as the waiting pieces need, each with the model; belongs to the driver's event loop.

An actor that is lost, with its node or by itself, costs what it was computing and nothing else: `compute` raises, and
the caller asks again. A node whose actor cannot be used gets no other for a while.
"""

from __future__ import annotations

import asyncio
import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

from gemvec.errors import ClusterUnavailable
from gemvec.ray import actor as actor_module
from gemvec.ray.messages import Answer, ClusterSpec, Failed, Notice, Piece, PoolStatus
from gemvec.ray.node import open_engine

# A piece waits this long for the first actor before it fails because the cluster has no room. A cluster that adds
# nodes by itself takes minutes; the actor goes on waiting for one meanwhile.
_ROOM_SECONDS = 60.0
# Where pieces wait for as long as it takes, their user learns it after this time.
_SAID_SECONDS = 30.0
# After an actor was lost, another one is asked for after this time; it doubles while no actor becomes ready.
_FIRST_PAUSE_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 30.0
_TICK_SECONDS = 1.0


class ActorLostError(Exception):
    """An actor was lost while it computed a piece.

    Attributes:
        is_suspect: whether its process died while its node did not, so that the piece may have killed it.
    """

    def __init__(self, *, is_suspect: bool) -> None:
        super().__init__(f"is_suspect={is_suspect}")
        self.is_suspect = is_suspect


@dataclass(eq=False)
class _Actor:
    handle: Any
    avoids: frozenset[str]  # nodes on which it must not be
    node: str = ""  # once it has a place
    is_ready: bool = False
    computing: int = 0
    since: float = field(default_factory=time.monotonic)
    idle_since: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class _Waiter:
    seat: asyncio.Future[_Actor]
    is_alone: bool
    shuns: Collection[str]  # nodes that it is given to only if there is no other
    since: float = field(default_factory=time.monotonic)


class ActorPool:
    """Gives pieces to actors; Ray is connected before it is made."""

    def __init__(self, spec: ClusterSpec, notify: Callable[[Notice], None]) -> None:
        """Start nothing yet.

        Args:
            spec: what the actors are like.
            notify: called with what the user should know.
        """
        self._ray = import_module("ray")
        import_module("ray.cloudpickle").register_pickle_by_value(actor_module)
        self._spec = spec
        self._notify = notify
        self._opening = pickle.dumps(partial(open_engine, spec.open_embedder, dict(spec.weights)))
        self._actors: list[_Actor] = []
        self._waiting: deque[_Waiter] = deque()
        self._refused_until: dict[str, float] = {}
        self._not_before = 0.0
        self._last_placed = time.monotonic()  # when an actor last had a place
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._trouble = ""
        self._has_said_waiting = False
        self._lost = self._refused = 0
        self._tasks: set[asyncio.Task[object]] = set()

    def status(self) -> PoolStatus:
        """Return what the pool does now."""
        ready = sum(each.is_ready for each in self._actors)
        return PoolStatus(
            ready=ready,
            starting=len(self._actors) - ready,
            computing=sum(each.computing for each in self._actors),
            waiting=len(self._waiting),
            lost=self._lost,
            refused=self._refused,
        )

    async def keep(self) -> None:
        """Start and give back actors as the work requires it, until this is cancelled."""
        while True:
            self._adjust()
            await asyncio.sleep(_TICK_SECONDS)

    async def compute(self, piece: Piece, *, is_alone: bool = False, shuns: Collection[str] = ()) -> Answer | Failed:
        """Compute a piece as soon as an actor has a seat for it. Cancelling it stops the work on it.

        Args:
            piece: what to compute.
            is_alone: compute nothing else on that actor meanwhile.
            shuns: nodes to use only if no actor is on another one.

        Raises:
            ActorLostError: the actor was lost; the piece can be computed again.
            ClusterUnavailable: no actor can be had.
        """
        waiter = _Waiter(asyncio.get_running_loop().create_future(), is_alone, shuns)
        self._waiting.append(waiter)
        try:
            self._adjust()
            actor = await waiter.seat
        except asyncio.CancelledError:
            if waiter.seat.done() and not waiter.seat.cancelled():  # both in one turn of the loop
                self._leave(waiter.seat.result(), is_alone=is_alone)
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove(waiter)
        return await self._compute_on(actor, piece, is_alone=is_alone)

    async def _compute_on(self, actor: _Actor, piece: Piece, *, is_alone: bool) -> Answer | Failed:
        answer = actor.handle.compute.remote(piece)
        call = self._spawn(self._finish(actor, answer, is_alone=is_alone))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            self._ray.cancel(answer)  # the seat is free when the actor has stopped
            call.add_done_callback(_ignore)
            raise

    async def _finish(self, actor: _Actor, answer: Any, *, is_alone: bool) -> Answer | Failed:
        """Wait for an actor's answer, and free its seat.

        Raises:
            ActorLostError: none comes.
        """
        try:
            found = await answer
        except self._ray.exceptions.RayTaskError as error:  # the class itself fails, or the piece was abandoned
            return Failed(type(error).__name__, may_pass=True, node=actor.node)
        except self._ray.exceptions.RayError as error:
            self._lose(actor, type(error).__name__)
            raise ActorLostError(is_suspect=self._is_suspect(error)) from None
        else:
            return replace(found, node=actor.node) if isinstance(found, Failed) else found
        finally:
            self._leave(actor, is_alone=is_alone)

    def _is_suspect(self, error: Exception) -> bool:
        """Whether an actor died of itself; when a node is gone, Ray says so, or that its actor cannot be reached."""
        return isinstance(error, self._ray.exceptions.ActorDiedError) and "node has died" not in str(error)

    def _leave(self, actor: _Actor, *, is_alone: bool) -> None:
        actor.computing -= self._spec.pieces_each if is_alone else 1
        actor.idle_since = time.monotonic()
        self._seat()

    def _lose(self, actor: _Actor, reason: str) -> None:
        """Forget an actor that does not answer; what else it was computing learns it in the same way."""
        if actor not in self._actors:
            return
        self._not_before = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, _MAX_PAUSE_SECONDS)
        self._trouble = f"its actors are lost ({reason})"
        self._end(actor)
        if not actor.node:  # it had no place yet, so nothing was lost with it
            return
        self._lost += 1
        self._notify(Notice("an actor was lost, and what it was computing is given to another", reason, actor.node))

    def _end(self, actor: _Actor) -> None:
        self._actors.remove(actor)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(actor.handle)

    def _adjust(self) -> None:
        """Have as many actors as the work needs; give seats; say it when there is no room for any."""
        now = time.monotonic()
        self._forgive(now)
        for _ in range(self._wanted() - len(self._actors) if now >= self._not_before else 0):
            self._start()
        spare = len(self._actors) - self._spec.min_actors
        for each in [
            each for each in self._actors if not each.computing and now - each.idle_since > self._spec.idle_seconds
        ]:
            if spare > 0 and not self._waiting:
                spare -= 1
                self._end(each)
        self._seat()
        if any(each.node for each in self._actors):
            self._last_placed = now
            self._has_said_waiting = False
        elif self._spec.waits_for_room and self._is_any_without_place(now):
            self._say_waiting()
        elif now - self._last_placed >= _ROOM_SECONDS:
            self._refuse_waiting(self._trouble or self._no_room(), since=now - _ROOM_SECONDS)

    def _is_any_without_place(self, now: float) -> bool:
        """Whether Ray has had no place for an actor for a while; one that cannot start is lost sooner."""
        return any(not each.node and now - each.since >= _SAID_SECONDS for each in self._actors)

    def _say_waiting(self) -> None:
        if self._has_said_waiting:
            return
        self._has_said_waiting = True
        has, free = self._ray.cluster_resources(), self._ray.available_resources()
        told = [f"{has.get(kind, 0):g} {kind}s ({free.get(kind, 0):g} free)" for kind in ("CPU", "GPU")]
        memory = f"{has.get('memory', 0) / 2**30:.1f} GiB of memory"
        reason = f"each takes {self._takes()} of a node, all nodes together have {told[0]}, {told[1]} and {memory}"
        self._notify(Notice("no actor has a place yet, so the command waits; Ctrl-C ends it", reason))

    def _takes(self) -> str:
        gpus = f" and {self._spec.gpus:g} GPUs" if self._spec.gpus else ""
        return f"{self._spec.cpus:g} CPUs{gpus}"

    def _no_room(self) -> str:
        return f"no node has had {self._takes()} for an actor for {_ROOM_SECONDS:g} seconds"

    def _wanted(self) -> int:
        work = len(self._waiting) + sum(each.computing for each in self._actors)
        return min(self._spec.max_actors, max(self._spec.min_actors, math.ceil(work / self._spec.pieces_each)))

    def _forgive(self, now: float) -> None:
        """Try refused nodes again after a while: actors that wait for room elsewhere are replaced by others."""
        self._refused_until = {node: until for node, until in self._refused_until.items() if until > now}
        for each in [each for each in self._actors if not each.node and each.avoids - self._refused_until.keys()]:
            self._end(each)

    def _start(self) -> None:
        avoids = frozenset(self._refused_until)
        elsewhere = {"ray.io/node-id": f"!in({','.join(sorted(avoids))})"} if avoids else None
        remote = self._ray.remote(actor_module.ChunkActor).options(
            num_cpus=self._spec.cpus,
            num_gpus=self._spec.gpus,
            max_concurrency=2 * self._spec.pieces_each,  # one that is abandoned may still be ending
            max_restarts=0,
            max_task_retries=0,
            label_selector=elsewhere,
            runtime_env={"env_vars": {"RAYON_NUM_THREADS": str(max(1, int(self._spec.cpus)))}},
        )
        actor = _Actor(remote.remote(), avoids)
        self._actors.append(actor)
        self._spawn(self._open(actor))

    async def _open(self, actor: _Actor) -> None:
        """Wait until an actor has a place and the model."""
        refusal = "the actor ended while it loaded the model"
        try:
            actor.node = await actor.handle.locate.remote()
            refusal = await actor.handle.open.remote(self._spec.identity, self._opening)
        except self._ray.exceptions.RayError as error:
            if not actor.node:
                self._lose(actor, type(error).__name__)
                return
        if actor not in self._actors:  # given back before it was ready
            return
        if refusal:
            self._refuse(actor, refusal)
            return
        actor.is_ready = True
        actor.idle_since = time.monotonic()
        self._pause_seconds, self._trouble = _FIRST_PAUSE_SECONDS, ""
        self._seat()

    def _refuse(self, actor: _Actor, reason: str) -> None:
        """Do without an actor that cannot be used, and without its node for a while."""
        self._refused += 1
        self._refused_until[actor.node] = time.monotonic() + self._spec.refused_seconds
        self._end(actor)
        self._notify(Notice("a node of the cluster cannot compute", reason, actor.node))
        if not self._actors and self._has_other_node():
            self._trouble = reason  # for the case that it has no room
        elif not self._actors:
            self._refuse_waiting(reason)
        self._adjust()

    def _has_other_node(self) -> bool:
        """Whether a node that was not refused is large enough for an actor."""
        needed = {"CPU": self._spec.cpus, "GPU": self._spec.gpus}
        return any(
            node["Alive"]
            and node["NodeID"] not in self._refused_until
            and all(node["Resources"].get(kind, 0) >= amount for kind, amount in needed.items())
            for node in self._ray.nodes()
        )

    def _refuse_waiting(self, reason: str, *, since: float = math.inf) -> None:
        """Fail the pieces that have waited since then."""
        for waiter in [each for each in self._waiting if each.since <= since]:
            self._waiting.remove(waiter)
            if not waiter.seat.done():
                waiter.seat.set_exception(ClusterUnavailable(f"The Ray cluster cannot compute: {reason}."))

    def _seat(self) -> None:
        """Give free seats to the pieces that wait, in their order."""
        for waiter in list(self._waiting):
            if waiter.seat.done():  # abandoned
                self._waiting.remove(waiter)
                continue
            needed = self._spec.pieces_each if waiter.is_alone else 1
            free = [each for each in self._fit_for(waiter) if each.computing + needed <= self._spec.pieces_each]
            if free:
                self._waiting.remove(waiter)
                actor = min(free, key=lambda each: each.computing)
                actor.computing += needed
                waiter.seat.set_result(actor)
            elif waiter.is_alone or not waiter.shuns:  # it needs all seats, and must not be overtaken endlessly
                return

    def _fit_for(self, waiter: _Waiter) -> list[_Actor]:
        ready = [each for each in self._actors if each.is_ready]
        return [each for each in ready if each.node not in waiter.shuns] or ready

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _ignore(call: asyncio.Task[Answer | Failed]) -> None:
    """Look at how an abandoned call ended, so that asyncio does not complain that nobody did."""
    if not call.cancelled():
        call.exception()
