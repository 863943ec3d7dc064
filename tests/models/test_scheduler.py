"""Every text is answered once, in its own place, whatever other callers do meanwhile.

The encoder here is a real second one: it writes each text's length and first id into its vector, so that a mixed-up
answer shows.
"""

import asyncio
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemvec.embedding.embed import Priority
from gemvec.errors import ModelUnavailable, Overloaded
from gemvec.models.scheduler import Scheduler

CALLS = st.lists(
    st.tuples(
        st.lists(st.integers(1, 80), min_size=1, max_size=12), st.sampled_from(Priority), st.sampled_from("stay leave")
    ),
    max_size=20,
)


class EchoEncoder:
    """Answers each text with [length, first id]; stops at a gate when told to."""

    native_dim = 2

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.computed = []
        self.running = set()

    def encode(self, token_ids, stream):
        assert stream not in self.running, "a stream is used twice at once"
        self.running.add(stream)
        self.entered.release()
        self.gate.wait()
        self.computed += [ids[0] for ids in token_ids]
        self.running.remove(stream)
        if any(ids[0] < 0 for ids in token_ids):
            raise ArithmeticError("the network broke")
        return np.array([[len(ids), ids[0]] for ids in token_ids], np.float32)

    def close(self):
        raise AssertionError("the scheduler does not own the encoder")


def open_scheduler(encoder, **options):
    return Scheduler(encoder, **{"streams": 2, "token_budget": 64, "max_waiting_tokens": 10**6} | options)


def texts(first, lengths):
    return [[first + row] * length for row, length in enumerate(lengths)]


def expected(token_ids):
    return [[len(ids), ids[0]] for ids in token_ids]


def run(scenario, **options):
    """Run `scenario(scheduler, encoder)` on an event loop and close the scheduler."""

    async def main():
        encoder = EchoEncoder()
        scheduler = open_scheduler(encoder, **options)
        try:
            return await scenario(scheduler, encoder)
        finally:
            encoder.gate.set()
            await scheduler.close()

    return asyncio.run(main())


async def entered(encoder):
    """Wait until a stream has begun to compute."""
    await asyncio.to_thread(encoder.entered.acquire)


@settings(max_examples=40, deadline=None)
@given(CALLS, st.integers(1, 3))
def test_every_text_is_answered_once_in_its_own_place(calls, streams):
    async def scenario(scheduler, encoder):
        inputs = [texts(1000 * number, lengths) for number, (lengths, _, _) in enumerate(calls)]
        tasks = [
            asyncio.create_task(scheduler.encode(token_ids, priority))
            for token_ids, (_, priority, _) in zip(inputs, calls, strict=True)
        ]
        await asyncio.sleep(0)
        for task, (_, _, habit) in zip(tasks, calls, strict=True):
            if habit == "l":
                task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for token_ids, answer in zip(inputs, answers, strict=True):
            if not isinstance(answer, asyncio.CancelledError):
                np.testing.assert_array_equal(answer, expected(token_ids))
        assert len(encoder.computed) == len(set(encoder.computed))

    run(scenario, streams=streams)


def test_callers_on_several_event_loops_are_answered_on_their_own():
    encoder = EchoEncoder()
    scheduler = open_scheduler(encoder)
    answers = {}

    def client(number):
        token_ids = texts(100 * number, [3, 5, 7])
        answers[number] = (asyncio.run(scheduler.encode(token_ids, Priority.INTERACTIVE)), expected(token_ids))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(scheduler.close())
    assert len(answers) == 8
    for answer, wanted in answers.values():
        np.testing.assert_array_equal(answer, wanted)


def test_no_texts_are_answered_with_no_vectors():
    async def scenario(scheduler, _):
        return await scheduler.encode([], Priority.INTERACTIVE)

    assert run(scenario).shape == (0, 2)


def test_texts_of_a_caller_that_left_are_not_computed():
    async def scenario(scheduler, encoder):
        encoder.gate.clear()
        first = asyncio.create_task(scheduler.encode([[1] * 64], Priority.INTERACTIVE))
        await entered(encoder)
        gone = asyncio.create_task(scheduler.encode(texts(10, [64] * 5), Priority.INTERACTIVE))
        await asyncio.sleep(0)
        assert scheduler.load.waiting_tokens == 5 * 64
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert scheduler.load.waiting_tokens == 0
        encoder.gate.set()
        await first
        return encoder.computed

    assert run(scenario, streams=1) == [1]


def test_a_caller_that_leaves_during_its_computation_does_no_harm():
    async def scenario(scheduler, encoder):
        encoder.gate.clear()
        gone = asyncio.create_task(scheduler.encode([[1] * 8], Priority.INTERACTIVE))
        await entered(encoder)
        stays = asyncio.create_task(scheduler.encode([[2] * 8], Priority.INTERACTIVE))
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        encoder.gate.set()
        return await stays

    np.testing.assert_array_equal(run(scenario, streams=1), [[8, 2]])


def test_a_failure_reaches_the_callers_of_that_micro_batch_and_no_other():
    async def scenario(scheduler, encoder):
        encoder.gate.clear()
        blocker = asyncio.create_task(scheduler.encode([[1] * 64], Priority.INTERACTIVE))
        await entered(encoder)
        calls = [
            asyncio.create_task(scheduler.encode(token_ids, Priority.INTERACTIVE))
            for token_ids in ([[-1] * 8, [3] * 50], [[4] * 8], [[5] * 40])
        ]
        await asyncio.sleep(0)
        encoder.gate.set()
        await blocker
        return await asyncio.gather(*calls, return_exceptions=True)

    broken, together, apart = run(scenario, streams=1)
    assert isinstance(broken, ArithmeticError)
    assert isinstance(together, ArithmeticError)
    np.testing.assert_array_equal(apart, [[40, 5]])


def test_work_goes_on_after_a_failure():
    async def scenario(scheduler, _):
        for _ in range(5):
            with pytest.raises(ArithmeticError):
                await scheduler.encode([[-1]], Priority.INTERACTIVE)
        return await scheduler.encode([[7]], Priority.INTERACTIVE)

    np.testing.assert_array_equal(run(scenario), [[1, 7]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_an_error(value):
    async def scenario(scheduler, _):
        with pytest.raises(ArithmeticError, match="not finite"):
            await scheduler.encode([[value]], Priority.INTERACTIVE)

    run(scenario)


def test_an_interactive_call_is_computed_before_a_batch_job_that_came_first():
    async def scenario(scheduler, encoder):
        encoder.gate.clear()
        calls = [asyncio.create_task(scheduler.encode([[1] * 64], Priority.INTERACTIVE))]
        await entered(encoder)
        calls += [asyncio.create_task(scheduler.encode(texts(10, [64] * 3), Priority.BATCH))]
        await asyncio.sleep(0)
        calls += [asyncio.create_task(scheduler.encode([[2] * 8], Priority.INTERACTIVE))]
        await asyncio.sleep(0)
        encoder.gate.set()
        await asyncio.gather(*calls)
        return encoder.computed

    assert run(scenario, streams=1)[:2] == [1, 2]


def test_more_than_the_limit_is_refused():
    async def scenario(scheduler, encoder):
        encoder.gate.clear()
        calls = [asyncio.create_task(scheduler.encode([[1] * 60], Priority.INTERACTIVE))]
        await entered(encoder)
        calls.append(asyncio.create_task(scheduler.encode([[2] * 60], Priority.INTERACTIVE)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await scheduler.encode([[3] * 60], Priority.INTERACTIVE)
        encoder.gate.set()
        return await asyncio.gather(*calls)

    assert len(run(scenario, streams=1, max_waiting_tokens=100)) == 2


def test_closing_finishes_what_was_accepted_and_refuses_the_rest():
    async def scenario(scheduler, encoder):
        encoder.gate.clear()
        accepted = asyncio.create_task(scheduler.encode(texts(0, [64] * 6), Priority.BATCH))
        await entered(encoder)
        closing = asyncio.create_task(scheduler.close())
        await asyncio.sleep(0)
        with pytest.raises(ModelUnavailable, match="closed"):
            await scheduler.encode([[1]], Priority.INTERACTIVE)
        encoder.gate.set()
        await closing
        return await accepted

    assert run(scenario).shape == (6, 2)


def test_closing_twice_is_harmless():
    async def scenario(scheduler, _):
        await scheduler.close()

    run(scenario)


def test_a_caller_whose_loop_has_ended_stops_no_stream():
    encoder = EchoEncoder()
    encoder.gate.clear()
    scheduler = open_scheduler(encoder, streams=1)
    loop = asyncio.new_event_loop()
    task = loop.create_task(scheduler.encode([[1]], Priority.INTERACTIVE))
    loop.run_until_complete(asyncio.sleep(0))
    encoder.entered.acquire()
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    encoder.gate.set()
    np.testing.assert_array_equal(asyncio.run(scheduler.encode([[2]], Priority.INTERACTIVE)), [[1, 2]])
    asyncio.run(scheduler.close())


FORKED = """
import asyncio, os
import numpy as np
from gemvec.errors import ModelUnavailable
from gemvec.embedding.embed import Priority
from gemvec.models.scheduler import Scheduler

class Zeros:
    native_dim = 1
    def encode(self, token_ids, stream):
        return np.zeros((len(token_ids), 1), np.float32)

scheduler = Scheduler(Zeros(), streams=1, token_budget=8, max_waiting_tokens=8)
asyncio.run(scheduler.encode([[1]], Priority.INTERACTIVE))
child = os.fork()
if not child:
    try:
        asyncio.run(scheduler.encode([[1]], Priority.INTERACTIVE))
    except ModelUnavailable:
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
asyncio.run(scheduler.encode([[1]], Priority.INTERACTIVE))
"""


def test_a_forked_process_gets_an_error_instead_of_waiting_forever():
    command = [sys.executable, "-c", FORKED]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_the_load_counts_tokens_with_and_without_padding():
    async def scenario(scheduler, _):
        await scheduler.encode([[1] * 10, [2] * 20], Priority.INTERACTIVE)
        return scheduler.load

    load = run(scenario, streams=1)
    assert (load.waiting_tokens, load.computed_tokens, load.padded_tokens, load.micro_batches) == (0, 30, 40, 1)
    assert load.busy_seconds > 0
