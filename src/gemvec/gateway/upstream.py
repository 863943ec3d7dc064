"""Embeds for many callers by asking one server: `UpstreamEmbedder`, the embedder of `gemvec serve --upstream`.

Texts of different callers that wait for one model are sent in the same call. Nothing waits for more texts to come: a
call is sent as soon as fewer than `max_concurrency` are under way and the rate allows one more. Interactive texts go
before those of batches.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from itertools import count, islice

from gemvec.client.errors import is_about_the_key
from gemvec.client.micro_batches import MicroBatchLimits
from gemvec.client.remote import RemoteEmbedder, estimate_text_tokens
from gemvec.embedding.checks import check_request
from gemvec.embedding.embed import Embedding, EmbedRequest, Priority
from gemvec.embedding.embedder import OnDone, WrapperEmbedder
from gemvec.embedding.gemini_names import find_gemini_name
from gemvec.embedding.models import ServedModel, find_served
from gemvec.embedding.positions import at_positions
from gemvec.errors import ApiError, InvalidRequest, ModelUnavailable, Overloaded, ShuttingDown
from gemvec.figures import Figure
from gemvec.gateway.queue import Call, Item, Queue
from gemvec.gateway.rate import Rate, RateMeter

# An interactive caller is told at once when it would take longer; a batch waits for as long as it takes.
_MAX_WAIT_SECONDS = 60.0
_MIN_RETRY_SECONDS = 1.0
# Statuses that are not about a single text: no key, no model, too slow, too much.
_NOT_ABOUT_A_TEXT = {401, 403, 404, 408, 429}
_REFUSALS = range(400, 500)


class UpstreamEmbedder(WrapperEmbedder):
    """An `Embedder` that asks a server on behalf of many callers; belongs to one event loop.

    The served names and their weights are fixed when it is made. When the server later answers with other weights, the
    name is refused, because the vectors do not mix.
    """

    def __init__(
        self,
        remote: RemoteEmbedder,
        *,
        rate: Rate,
        max_waiting_tokens: int,
        limits: MicroBatchLimits | None = None,
        max_concurrency: int = 4,
    ) -> None:
        """Ask the server which models it has, unless it is Google's, whose names are known.

        Args:
            remote: asks the server; closed with this one.
            rate: what may be sent in a minute, for each model.
            max_waiting_tokens: estimated tokens that may wait before calls are refused.
            limits: how large one call to the server may be.
            max_concurrency: calls under way at a time.

        Raises:
            ApiError: the server refused.
            TransportFailure: no answer came.
        """
        super().__init__(remote)
        self._remote = remote
        self._rate = rate
        self._max_waiting_tokens = max_waiting_tokens
        self._limits = limits or MicroBatchLimits()
        self._max_concurrency = max_concurrency
        self._served = {each.name: remote.get_model(each.name) for each in remote.list_models()}
        self._queues: dict[tuple[Priority, str], Queue] = {}
        self._meters = {name: RateMeter(rate) for name in self._served}
        self._under_way: dict[asyncio.Task[None], Sequence[Item]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._numbers = count()
        self._calls = self._texts = 0

    def figures(self) -> Iterable[Figure]:
        """Return figures of calls to the server and of what waits."""
        waiting = sum(len(queue.items) for queue in self._queues.values())
        yield Figure(
            name="upstream_calls", summary="Calls begun to the upstream server.", value=self._calls, is_total=True
        )
        yield Figure(name="upstream_texts", summary="The texts in them.", value=self._texts, is_total=True)
        yield Figure(name="upstream_waiting_texts", summary="Texts that wait to be sent there.", value=waiting)

    def list_models(self) -> list[ServedModel]:
        """Return every name that is served."""
        return list(self._served.values())

    def get_model(self, name: str) -> ServedModel:
        """See `Embedder.get_model`."""
        return find_served(self._served, name)

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """Embed texts, together with those of other callers; see `Embedder.embed`.

        The server counts the tokens of a call, not of a text, so the tokens of each text are an estimated share of
        them.

        Raises:
            ModelUnavailable: the server refuses this server's key, or answers with other weights than at the start.
            ApiError: the server refused; `index` says which text it refused, where it named one.
            TransportFailure: no answer came from the server in time.
        """
        for index, request in enumerate(requests):
            check_request(request, model, index)
        if not requests:
            return []
        known = find_gemini_name(model.name)
        call = Call(next(self._numbers), len(requests))
        queue = self._queues.setdefault((priority, model.name), Queue())
        items = [
            Item(call, position, request, estimate_text_tokens(request.text, known))
            for position, request in enumerate(requests)
        ]
        self._admit(queue, items, priority)
        queue.append(items)
        self._send_what_may_go()
        try:
            embeddings = await call.answer
        except BaseException:  # the caller has hung up, or another of its texts was refused
            queue.drop(call)
            self._end_what_nobody_waits_for()
            self._send_what_may_go()
            raise
        if on_done is not None:
            on_done(embeddings)
        return embeddings

    async def close(self) -> None:
        """Let calls under way finish, refuse what still waits, and close the connections."""
        for queue in self._queues.values():
            for item in queue.take_all():
                item.call.fail(ShuttingDown())
        if self._timer is not None:
            self._timer.cancel()
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._remote.close()

    def _admit(self, queue: Queue, items: Sequence[Item], priority: Priority) -> None:
        """Refuse what would wait too long; a call of any size is taken when no other waits.

        Raises:
            Overloaded: says how long until trying again makes sense.
        """
        waiting = sum(each.tokens for each in self._queues.values())
        seconds = self._rate.seconds_for(len(queue.items), queue.tokens)
        is_full = waiting + sum(each.tokens for each in items) > self._max_waiting_tokens
        is_late = priority is Priority.INTERACTIVE and seconds > _MAX_WAIT_SECONDS
        if waiting and (is_full or is_late):
            raise Overloaded(retry_after_seconds=min(max(seconds, _MIN_RETRY_SECONDS), _MAX_WAIT_SECONDS))

    def _send_what_may_go(self) -> None:
        """Start calls; when the rate allows none now, try again as soon as it does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while len(self._under_way) < self._max_concurrency and (found := self._find_queue()):
            model, queue = found
            items = self._take(queue, self._meters[model])
            task = asyncio.create_task(self._send(model, queue, items))
            self._under_way[task] = items
            task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._send_what_may_go()

    def _find_queue(self) -> tuple[str, Queue] | None:
        """Return the most urgent queue whose first text may be sent now, and its model.

        A queue that the rate holds back holds back the less urgent ones of its model: they would use up what it needs.
        """
        soonest = math.inf
        held: set[str] = set()
        waiting = {key: queue for key, queue in self._queues.items() if queue.items}
        for priority, model in sorted(waiting, key=lambda key: (key[0], waiting[key].items[0].call.number)):
            if model in held:
                continue
            queue = waiting[priority, model]
            seconds = self._meters[model].seconds_until(1, queue.items[0].tokens)
            if not seconds:
                return model, queue
            held.add(model)
            soonest = min(soonest, seconds)
        if soonest < math.inf:
            self._timer = asyncio.get_running_loop().call_later(soonest, self._send_what_may_go)
        return None

    def _take(self, queue: Queue, meter: RateMeter) -> list[Item]:
        """Take as many texts as one call may have, the first in any case, and count them against the rate."""
        first, texts, tokens = queue.items[0], 1, queue.items[0].tokens
        for item in islice(queue.items, 1, self._limits.max_texts):
            is_apart = item.call is not first.call and (item.call.goes_alone or first.call.goes_alone)
            is_full = tokens + item.tokens > self._limits.max_tokens
            if is_apart or is_full or not meter.has_room(texts + 1, tokens + item.tokens):
                break
            texts, tokens = texts + 1, tokens + item.tokens
        meter.note(texts, tokens)
        self._calls, self._texts = self._calls + 1, self._texts + texts
        return queue.take(texts)

    def _end_what_nobody_waits_for(self) -> None:
        for task, items in self._under_way.items():
            if all(item.call.answer.done() for item in items):
                task.cancel()

    async def _send(self, model: str, queue: Queue, items: Sequence[Item]) -> None:
        try:
            embeddings = await self._remote.ask(model, [each.request for each in items])
            self._check_weights(model)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must learn of it
            self._refuse(queue, items, error)
        else:
            for item, embedding in zip(items, embeddings, strict=True):
                item.call.deliver(item.position, embedding)

    def _check_weights(self, model: str) -> None:
        if not self._remote.knows(model):
            raise ModelUnavailable(
                f"{model} was served by {self._served[model].weights} when this server started, and is answered by "
                f"{self._remote.weights} now: restart this server to serve those."
            )

    def _refuse(self, queue: Queue, items: Sequence[Item], error: Exception) -> None:
        """Tell the callers; if one of several texts is bad, send each alone to see which."""
        calls = list(dict.fromkeys(item.call for item in items))
        if _is_about_a_text(error) and len(calls) > 1:
            for call in calls:
                call.goes_alone = True
            queue.put_back(items)
            return
        if isinstance(error, (ApiError, InvalidRequest)) and len(calls) == 1:
            error = at_positions(error, [item.position for item in items])
        for call in calls:
            call.fail(_as_ours(error))


def _is_about_a_text(error: Exception) -> bool:
    if isinstance(error, ApiError):
        return error.code in _REFUSALS and error.code not in _NOT_ABOUT_A_TEXT and not is_about_the_key(error)
    return isinstance(error, InvalidRequest)


def _as_ours(error: Exception) -> Exception:
    """Return the error for the caller: a key that the server refuses is not the caller's key."""
    if isinstance(error, ApiError) and is_about_the_key(error):
        return ModelUnavailable(f"The upstream server refuses this server's key: {error.reason}")
    return error
