"""Which waiting texts are computed next, and which together: `Queue`.

A call's texts wait one by one. An idle stream takes a micro-batch: the longest text of the most urgent call and its
neighbours in length, so that little is padded. Interactive calls go ahead of batch jobs. Callers take turns: the next
micro-batch begins with a call of the one for whom least was computed. A caller's own calls of one priority are ordered
by a deadline: arrival plus a multiple of the time their tokens take. So short calls pass long ones, and a long call
that has waited its time passes everything that came later: nothing starves. Knows no threads and no clock.

The texts of a very large call are queued piece by piece, so that adding or dropping it takes no longer than for a call
of usual size.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from gemvec.embedding.embed import Priority
from gemvec.errors import Overloaded
from gemvec.models.widths import padded_width

# Padded tokens in a micro-batch on a processor, where more are slower (4096: by 30 %).
PROCESSOR_TOKENS = 1024
# After this many times the time that a call would take alone, later and shorter calls no longer overtake it.
_DEADLINE_FACTOR = 10
# The most of the waiting tokens that may be one caller's; the others find room for the rest.
_CALLER_SHARE = 3 / 4
# A neighbour may be shorter than the longest text by this share of it, or by this many tokens. More padding would cost
# more than the millisecond or so of a micro-batch of its own.
_MAX_GAP_SHARE = 8
_MAX_GAP_TOKENS = 16
# Longest time of a micro-batch, because a short query may have to wait this long for an idle stream. On a slow machine
# the budget is halved until it fits, but not below this many tokens, where throughput would suffer.
_MAX_SECONDS = 0.045
_MIN_BUDGET = 256
# The same for batch jobs when nobody has asked for so long: small micro-batches cost them up to a tenth of their rate,
# and streams are a third slower while documents are read beside them.
_UNHURRIED_SECONDS, _QUIET_SECONDS = 0.12, 10.0
# Tokens a second of one stream, until some have been computed.
_FIRST_GUESS = 15_000.0
# Most texts of one call that are queued at a time: enough to find neighbours of nearly the same length. The next ones
# follow when half of them have gone.
MAX_QUEUED = 2048
# Half-life of the estimate of speed, in seconds of computing.
_MEMORY_SECONDS = 0.5
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 60.0


class Item(NamedTuple):
    """One waiting text; items sort by length, and no two are equal."""

    length: int
    serial: int
    call: Call
    row: int

    @property
    def token_ids(self) -> Sequence[int]:
        """The text's ids."""
        return self.call.token_ids[self.row]


def by_call(items: Iterable[Item]) -> Iterator[tuple[Call, Iterator[Item]]]:
    """Yield items with their call; in a micro-batch, texts of a call and of equal length are neighbours."""
    return groupby(items, attrgetter("call"))


class Call:
    """Texts that are answered together.

    Attributes:
        token_ids: the ids of each text.
        priority: whether anybody waits for the answer.
        caller: who it is for.
        caller_queue: the calls of that caller that wait; set by the queue.
        tokens: how many they are in all.
        waiting_tokens: how many of them still wait, queued or not.
        items: the texts that are queued, shortest first, and some that have gone.
    """

    __slots__ = (
        "_is_waiting", "_next_row", "_queued", "caller", "caller_queue", "deadline", "first_serial", "items",
        "priority", "token_ids", "tokens", "waiting_tokens",
    )  # fmt: skip

    def __init__(self, token_ids: Sequence[Sequence[int]], priority: Priority, caller: str = "") -> None:
        self.token_ids = token_ids
        self.priority = priority
        self.caller = caller
        self.tokens = self.waiting_tokens = sum(map(len, token_ids))
        self.deadline: tuple[Priority, float, int] = (priority, 0.0, 0)
        self.items: list[Item] = []
        self.caller_queue = _CallerQueue(0.0)
        self.first_serial = 0
        self._next_row = self._queued = 0
        self._is_waiting = bytearray(b"\1") * len(token_ids)

    def arrive(self, first_serial: int, due_at: float) -> None:
        """Give the call its place among the others, and its texts their numbers."""
        self.first_serial = first_serial
        self.deadline = (self.priority, due_at, first_serial)

    def queue_more(self) -> list[Item]:
        """Return the texts that are queued from now on, shortest first; none if enough are."""
        rows = range(self._next_row, min(len(self.token_ids), self._next_row + MAX_QUEUED - self._queued))
        if not rows or self._queued > MAX_QUEUED // 2:
            return []
        more = sorted(Item(len(self.token_ids[row]), self.first_serial + row, self, row) for row in rows)
        self.items = sorted([*self.waiting(), *more])  # merges two sorted runs
        self._next_row = rows.stop
        self._queued += len(rows)
        return more

    def longest(self) -> Item:
        """Return the longest item that is queued; there must be one."""
        while not self._is_waiting[self.items[-1].row]:
            self.items.pop()
        return self.items[-1]

    def waiting(self) -> list[Item]:
        """Return the items that are queued, shortest first."""
        return [item for item in self.items if self._is_waiting[item.row]]

    def take(self, items: Iterable[Item]) -> int:
        """Note that items of this call no longer wait; return how many tokens they are."""
        tokens = 0
        for item in items:
            self._is_waiting[item.row] = 0
            self._queued -= 1
            tokens += item.length
        self.waiting_tokens -= tokens
        return tokens

    def drop_rest(self) -> int:
        """Forget the texts that are not queued yet; return how many tokens they have."""
        tokens = sum(len(self.token_ids[row]) for row in range(self._next_row, len(self.token_ids)))
        self._next_row = len(self.token_ids)
        self.waiting_tokens -= tokens
        return tokens


class _Urgency(NamedTuple):
    """A place among the calls; no two have the same deadline, so calls are never compared."""

    deadline: tuple[Priority, float, int]
    call: Call


class _CallerQueue:
    """The calls of one caller and priority that wait.

    Attributes:
        served: tokens computed for it. A caller that begins to wait gets the count that a caller would have who was
            always there: it does not make up for what it never asked for.
        calls: the most urgent first; never empty.
    """

    __slots__ = ("calls", "served")

    def __init__(self, served: float) -> None:
        self.served = served
        self.calls: list[_Urgency] = []


class Queue:
    """The waiting texts; used by one thread at a time."""

    def __init__(self, *, streams: int, token_budget: int, max_waiting_tokens: int) -> None:
        """Start empty.

        Args:
            streams: micro-batches computed at the same time.
            token_budget: most tokens in a micro-batch, with padding; a longer text is computed alone.
            max_waiting_tokens: tokens that may wait before calls are refused.
        """
        self._streams = streams
        self._token_budget = token_budget
        self._max_waiting_tokens = max_waiting_tokens
        self._callers: dict[tuple[Priority, str], _CallerQueue] = {}
        self._share = dict.fromkeys(Priority, 0.0)  # `served` of a caller that was always there
        # Calls that fill several micro-batches have their own lanes, so that their texts do not delay a short call.
        self._lanes: dict[tuple[Priority, bool], list[Item]] = {}  # the shortest first
        self._serial = 0
        self._speed = _FIRST_GUESS
        self._asked_at = -math.inf  # when the last interactive call came
        self.waiting_tokens = 0

    def add(self, call: Call, now: float) -> None:
        """Add a call to the queue.

        Args:
            call: a new call.
            now: seconds on a monotonic clock.

        Raises:
            Overloaded: too many tokens wait, in all or of this caller; a call of any size is taken when none does.
        """
        own_tokens = self._count_waiting(call)
        is_full = self.waiting_tokens and self.waiting_tokens + call.tokens > self._max_waiting_tokens
        if is_full or (own_tokens and own_tokens + call.tokens > self._max_waiting_tokens * _CALLER_SHARE):
            seconds = self.waiting_tokens / (self._speed * self._streams)
            raise Overloaded(retry_after_seconds=min(max(seconds, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS))
        if call.priority is Priority.INTERACTIVE:
            self._asked_at = now
        call.arrive(self._serial, now + _DEADLINE_FACTOR * call.tokens / (self._speed * self._streams))
        self._serial += len(call.token_ids)
        self.waiting_tokens += call.tokens
        new_queue = _CallerQueue(self._share[call.priority])
        call.caller_queue = self._callers.setdefault((call.priority, call.caller), new_queue)
        insort(call.caller_queue.calls, _Urgency(call.deadline, call))
        self._queue_more(call)

    def drop(self, call: Call) -> None:
        """Remove the waiting texts of a call."""
        self.waiting_tokens -= call.drop_rest()
        waiting = call.waiting()
        if not waiting:
            return
        lane = self._lane(call)
        for item in waiting:
            del lane[bisect_left(lane, item)]
        self._take(call, waiting)

    def next_micro_batch(self, now: float) -> list[Item]:
        """Take the next micro-batch, shortest text first; it is empty if nothing waits.

        Args:
            now: seconds on the clock of `add`.
        """
        if not self._callers:
            return []
        callers, anchor = self._next_item()
        lane = self._lane(anchor.call)
        is_hurried = anchor.call.priority is Priority.INTERACTIVE or now - self._asked_at < _QUIET_SECONDS
        budget = self._budget(_MAX_SECONDS if is_hurried else _UNHURRIED_SECONDS)
        start, end = _neighbours(lane, bisect_left(lane, anchor), budget)
        chosen = lane[start:end]
        del lane[start:end]
        for call, items in by_call(chosen):
            tokens = self._take(call, items)
            call.caller_queue.served += tokens
            self._share[anchor.call.priority] += tokens / callers
            self._queue_more(call)
        return chosen

    def _next_item(self) -> tuple[int, Item]:
        """Return what a micro-batch begins with, and how many callers wait.

        It is the longest text of the most urgent call of the caller whose turn it is; interactive calls go first.
        """
        priority = min(priority for priority, _ in self._callers)
        waiting = [caller for (its, _), caller in self._callers.items() if its is priority]
        caller = min(waiting, key=lambda each: (each.served, each.calls[0].deadline))
        self._share[priority] = max(self._share[priority], caller.served)
        return len(waiting), caller.calls[0].call.longest()

    def _count_waiting(self, call: Call) -> int:
        """Return how many tokens of a call's caller wait with its priority."""
        caller = self._callers.get((call.priority, call.caller))
        return sum(each.call.waiting_tokens for each in caller.calls) if caller else 0

    def note_speed(self, tokens: int, seconds: float) -> None:
        """Update the estimate of speed with a computed micro-batch: its tokens without padding, and its time."""
        share = seconds / (seconds + _MEMORY_SECONDS)
        self._speed += share * (tokens / max(seconds, 1e-6) - self._speed)

    def _budget(self, max_seconds: float) -> int:
        """Return how many tokens, with padding, a micro-batch may have at the current speed.

        The budget is halved, not fitted exactly, because kernels are compiled for each shape of a micro-batch.
        """
        budget = self._token_budget
        while budget >= 2 * _MIN_BUDGET and budget > self._speed * max_seconds:
            budget //= 2
        return budget

    def _lane(self, call: Call) -> list[Item]:
        return self._lanes.setdefault((call.priority, call.tokens > self._token_budget), [])

    def _queue_more(self, call: Call) -> None:
        if more := call.queue_more():
            lane = self._lane(call)
            lane += more
            lane.sort()  # merges two sorted runs

    def _take(self, call: Call, items: Iterable[Item]) -> int:
        """Take waiting items of a call; return how many tokens they are."""
        tokens = call.take(items)
        self.waiting_tokens -= tokens
        if not call.waiting_tokens:
            self._forget(call)
        return tokens

    def _forget(self, call: Call) -> None:
        calls = call.caller_queue.calls
        del calls[bisect_left(calls, _Urgency(call.deadline, call))]
        if not calls:
            del self._callers[call.priority, call.caller]


def _neighbours(lane: Sequence[Item], anchor: int, budget: int) -> tuple[int, int]:
    """Return the range of the lane around the item at `anchor`: shorter items, then longer ones that fit."""
    start, end = anchor, anchor + 1
    shortest = longest = lane[anchor].length
    while start and _fits(lane[start - 1].length, longest, end - start + 1, budget):
        start -= 1
        shortest = lane[start].length
    while end < len(lane) and _fits(shortest, lane[end].length, end - start + 1, budget):
        end += 1
    return start, end


def _fits(shortest: int, longest: int, rows: int, budget: int) -> bool:
    gap = max(_MAX_GAP_TOKENS, longest // _MAX_GAP_SHARE)
    return longest - shortest <= gap and padded_width(longest) * rows <= budget
