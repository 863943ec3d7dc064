"""Every text that waits is taken exactly once; the urgent go first, nothing starves, little is padded.

The line is driven by hypothesis through any interleaving of adding calls, dropping them and taking micro-batches.
"""

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gemvec.embedding.embed import Priority
from gemvec.errors import Overloaded
from gemvec.models.micro_batches import MAX_QUEUED, Call, Queue
from gemvec.models.widths import padded_width

BUDGET = 64
LENGTHS = st.lists(st.integers(1, 80), min_size=1, max_size=30)


def make_call(*lengths, priority=Priority.INTERACTIVE, caller=""):
    return Call([[7] * length for length in lengths], priority, caller)


def make_queue(**limits):
    return Queue(**{"streams": 1, "token_budget": BUDGET, "max_waiting_tokens": 10**9} | limits)


def drain(queue):
    """Return the micro-batches left, in order."""
    return list(iter(lambda: queue.next_micro_batch(0.0), []))


class Line(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.queue = make_queue()
        self.now = 0.0
        self.waiting = {}  # Call -> rows not yet taken

    @rule(lengths=LENGTHS, priority=st.sampled_from(Priority), caller=st.sampled_from("abc"), later=st.floats(0, 2))
    def add(self, lengths, priority, caller, later):
        self.now += later
        call = make_call(*lengths, priority=priority, caller=caller)
        self.queue.add(call, self.now)
        self.waiting[call] = set(range(len(lengths)))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def drop(self, data):
        call = data.draw(st.sampled_from(list(self.waiting)))
        self.queue.drop(call)
        del self.waiting[call]

    @rule()
    def take(self):
        items = self.queue.next_micro_batch(self.now)
        assert bool(items) == bool(self.waiting)
        for item in items:
            assert item.token_ids is item.call.token_ids[item.row]
            assert item.length == len(item.token_ids)
            self.waiting[item.call].remove(item.row)
        if items:
            self.check(items)
        self.waiting = {call: rows for call, rows in self.waiting.items() if rows}

    def check(self, items):
        lengths = [item.length for item in items]
        assert lengths == sorted(lengths)
        assert len(items) == 1 or padded_width(max(lengths)) * len(items) <= BUDGET
        assert max(lengths) - min(lengths) <= 16
        priorities = {item.call.priority for item in items}
        assert len(priorities) == 1
        assert priorities == {min(call.priority for call in self.waiting)}

    @invariant()
    def the_waiting_tokens_are_those_of_the_rows_not_taken(self):
        expected = sum(len(call.token_ids[row]) for call, rows in self.waiting.items() for row in rows)
        assert self.queue.waiting_tokens == expected


TestLine = Line.TestCase
TestLine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_long_call_is_computed_sorted_by_length():
    queue = make_queue()
    queue.add(make_call(*range(1, 60)), 0.0)
    longest = [items[-1].length for items in drain(queue)]
    assert longest == sorted(longest, reverse=True)


def test_of_a_very_large_call_only_some_texts_stand_in_line_and_each_is_taken_once():
    queue, call = make_queue(), make_call(*[1 + row % 60 for row in range(5 * MAX_QUEUED)])
    queue.add(call, 0.0)
    taken = []
    while items := queue.next_micro_batch(0.0):
        assert len(call.waiting()) <= MAX_QUEUED
        assert call.waiting() or not call.waiting_tokens
        taken += [item.row for item in items]
    assert sorted(taken) == list(range(5 * MAX_QUEUED))
    assert queue.waiting_tokens == 0


def test_a_very_large_call_that_is_dropped_leaves_nothing_behind():
    queue, other = make_queue(), make_call(8)
    call = make_call(*[8] * (3 * MAX_QUEUED))
    queue.add(call, 0.0)
    queue.add(other, 0.0)
    queue.next_micro_batch(0.0)
    queue.next_micro_batch(0.0)
    queue.drop(call)
    assert queue.waiting_tokens == 0
    assert drain(queue) == []


def test_a_text_longer_than_the_budget_is_computed_alone():
    queue = make_queue()
    queue.add(make_call(BUDGET + 1, BUDGET + 1), 0.0)
    assert [len(items) for items in drain(queue)] == [1, 1]


def test_texts_of_several_short_calls_share_a_micro_batch():
    queue = make_queue()
    for _ in range(8):
        queue.add(make_call(8), 0.0)
    assert [len(items) for items in drain(queue)] == [8]


def test_a_short_call_passes_a_long_one_and_is_not_filled_up_with_its_texts():
    queue = make_queue()
    queue.add(make_call(*[8] * 100), 0.0)
    query = make_call(8)
    queue.add(query, 0.01)
    assert [item.call for item in queue.next_micro_batch(0.0)] == [query]


def test_an_interactive_call_passes_a_batch_job_however_long_that_has_waited():
    queue = make_queue()
    queue.add(make_call(8, priority=Priority.BATCH), 0.0)
    queue.add(make_call(*[8] * 100), 1e6)
    micro_batches = drain(queue)
    assert [item.call.priority for item in micro_batches[-1]] == [Priority.BATCH]


def test_a_long_call_that_has_waited_its_time_passes_later_short_ones():
    queue = make_queue()
    bulk = make_call(*[8] * 100)
    queue.add(bulk, 0.0)
    for now in count():  # short calls keep coming, faster than they are computed
        for _ in range(10):
            queue.add(make_call(8), now / 10)
        if queue.next_micro_batch(0.0)[0].call is bulk:
            break
        assert now < 1000, "the long call starves"


def test_callers_take_turns_however_many_calls_one_of_them_has():
    queue = make_queue()
    for _ in range(16):
        queue.add(make_call(*[8] * 80, caller="many"), 0.0)
    few = make_call(*[8] * 80, caller="few")
    queue.add(few, 0.1)
    turns = [micro_batch[0].call.caller for micro_batch in drain(queue)]
    assert turns[:20].count("few") == 10, "every second micro-batch is its own, until it has them all"
    assert turns.count("few") == 10


def test_a_caller_does_not_make_up_for_turns_when_it_asked_for_nothing():
    queue = make_queue()
    queue.add(make_call(*[8] * 800, caller="steady"), 0.0)
    for _ in range(50):
        queue.next_micro_batch(0.0)
    queue.add(make_call(*[8] * 800, caller="late"), 0.1)
    turns = [micro_batch[0].call.caller for micro_batch in drain(queue)][:20]
    assert 9 <= turns.count("steady") <= 11


def test_a_stream_of_new_callers_does_not_starve_an_old_one():
    queue = make_queue()
    old = make_call(*[8] * 800, caller="old")
    queue.add(old, 0.0)
    for number in range(4):
        queue.add(make_call(*[8] * 8, caller=f"first {number}"), 0.1)
    for number in range(400):
        queue.add(make_call(*[8] * 8, caller=str(number)), 0.1)
        queue.next_micro_batch(0.0)
    assert old.waiting_tokens < 0.8 * old.tokens, "although the new ones alone keep the model busy"


def test_one_caller_cannot_fill_the_queue():
    queue = make_queue(max_waiting_tokens=100)
    queue.add(make_call(60, caller="a"), 0.0)
    with pytest.raises(Overloaded):
        queue.add(make_call(20, caller="a"), 0.0)
    queue.add(make_call(20, caller="b"), 0.0)


def test_a_faster_machine_makes_a_long_call_wait_less():
    slow, fast = make_queue(), make_queue()
    for _ in range(100):
        fast.note_speed(1_000_000, 1.0)
    for queue in (slow, fast):
        queue.add(make_call(*[8] * 100), 0.0)
        queue.add(make_call(8), 0.5)
    assert len(slow.next_micro_batch(0.0)) == 1
    assert len(fast.next_micro_batch(0.0)) == 8


@pytest.mark.parametrize(
    ("tokens_a_second", "budget"), [(100_000, 1024), (23_000, 1024), (16_000, 512), (9_000, 256), (10, 256)]
)
def test_a_slower_machine_computes_smaller_micro_batches(tokens_a_second, budget):
    queue = make_queue(token_budget=1024)
    for _ in range(100):
        queue.note_speed(tokens_a_second, 1.0)
    queue.add(make_call(*[8] * 1000), 0.0)
    assert sum(item.length for item in queue.next_micro_batch(0.0)) == budget


@pytest.mark.parametrize(("asked_at", "budget"), [(None, 1024), (0.0, 1024), (85.0, 1024), (95.0, 512), (100.0, 512)])
def test_micro_batches_of_batch_jobs_are_larger_while_nobody_asks(asked_at, budget):
    queue = make_queue(token_budget=1024)
    for _ in range(100):
        queue.note_speed(12_000, 1.0)
    if asked_at is not None:
        queue.add(make_call(8), asked_at)
        queue.next_micro_batch(asked_at)
    queue.add(make_call(*[8] * 1000, priority=Priority.BATCH), 90.0)
    assert sum(item.length for item in queue.next_micro_batch(100.0)) == budget
    queue.add(make_call(*[8] * 1000), 100.0)
    assert sum(item.length for item in queue.next_micro_batch(100.0)) == 512


def test_a_small_budget_is_kept_however_slow_the_machine():
    queue = make_queue(token_budget=300)
    queue.note_speed(10, 1000.0)
    queue.add(make_call(*[10] * 1000), 0.0)
    assert len(queue.next_micro_batch(0.0)) == 300 // 12


def test_short_queries_count_little_in_the_estimate_of_speed():
    queue = make_queue(token_budget=1024)
    for _ in range(20):
        queue.note_speed(50_000, 1.0)
        queue.note_speed(1, 0.001)
    queue.add(make_call(*[8] * 1000), 0.0)
    assert sum(item.length for item in queue.next_micro_batch(0.0)) == 1024


def test_too_many_waiting_tokens_are_refused_until_they_are_taken():
    queue = make_queue(max_waiting_tokens=100)
    queue.add(make_call(60), 0.0)
    with pytest.raises(Overloaded) as refusal:
        queue.add(make_call(60), 0.0)
    assert refusal.value.retry_after_seconds >= 1
    assert queue.waiting_tokens == 60
    queue.next_micro_batch(0.0)
    queue.add(make_call(60), 0.0)


def test_the_longer_the_line_the_later_to_retry():
    queue = make_queue(max_waiting_tokens=100_000)
    queue.add(make_call(*[50] * 2000), 0.0)
    with pytest.raises(Overloaded) as refusal:
        queue.add(make_call(1), 0.0)
    assert refusal.value.retry_after_seconds == pytest.approx(100_000 / 15_000)


def test_a_call_beyond_the_limit_is_taken_when_nothing_waits():
    queue = make_queue(max_waiting_tokens=10)
    queue.add(make_call(40), 0.0)
    assert queue.next_micro_batch(0.0)


def test_dropping_a_call_that_is_all_taken_changes_nothing():
    queue = make_queue()
    call = make_call(8)
    queue.add(call, 0.0)
    queue.next_micro_batch(0.0)
    queue.drop(call)
    assert queue.waiting_tokens == 0
    assert queue.next_micro_batch(0.0) == []
