import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.client.micro_batches import MicroBatchLimits, estimate_tokens, run_in_order, split

SIZES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=60)
LIMITS = st.builds(
    MicroBatchLimits, max_texts=st.integers(1, 12), max_tokens=st.integers(1, 120), max_bytes=st.integers(1, 120)
)


@given(SIZES, LIMITS)
def test_every_text_is_in_exactly_one_run_and_in_order(sizes, limits):
    runs = split([size for size, _ in sizes], [tokens for _, tokens in sizes], limits)
    assert [index for each in runs for index in each] == list(range(len(sizes)))
    assert all(len(each) > 0 for each in runs)


@given(SIZES, LIMITS)
def test_a_run_is_within_every_limit_unless_one_text_alone_is_beyond(sizes, limits):
    for run in split([size for size, _ in sizes], [tokens for _, tokens in sizes], limits):
        inside = [sizes[index] for index in run]
        assert len(inside) <= limits.max_texts
        if len(inside) > 1:
            assert sum(size for size, _ in inside) <= limits.max_bytes
            assert sum(tokens for _, tokens in inside) <= limits.max_tokens


@given(SIZES, LIMITS)
def test_runs_are_as_few_as_their_order_allows(sizes, limits):
    """No run could have taken the first text of the next one."""
    runs = split([size for size, _ in sizes], [tokens for _, tokens in sizes], limits)
    for run, after in pairwise(runs):
        inside = [sizes[index] for index in [*run, after.start]]
        assert (
            len(inside) > limits.max_texts
            or sum(size for size, _ in inside) > limits.max_bytes
            or sum(tokens for _, tokens in inside) > limits.max_tokens
        )


def test_google_takes_a_hundred_texts_a_call():
    assert split([10] * 250, [5] * 250, MicroBatchLimits()) == [range(100), range(100, 200), range(200, 250)]


@pytest.mark.parametrize(("text", "least", "most"), [("a" * 400, 100, 160), ("中" * 100, 75, 150), ("", 0, 0)])
def test_tokens_are_estimated_rather_high(text, least, most):
    assert least <= estimate_tokens(len(text.encode())) <= most


@pytest.mark.parametrize("max_concurrency", [1, 3, 100])
def test_results_come_in_order_and_no_more_work_is_under_way_than_allowed(max_concurrency):
    under_way = 0
    most = 0

    async def work(run):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (10 - run.start))  # the first ones finish last
        under_way -= 1
        return list(run)

    runs = [range(index, index + 1) for index in range(10)]
    assert asyncio.run(run_in_order(runs, work, max_concurrency=max_concurrency)) == list(range(10))
    assert most == min(max_concurrency, 10)


def test_the_first_error_ends_what_is_under_way():
    ended = []

    async def work(run):
        if run.start == 1:
            raise ValueError("no")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(run.start)

    async def all_work():
        with pytest.raises(ValueError, match="no"):
            await run_in_order([range(index, index + 1) for index in range(9)], work, max_concurrency=3)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(all_work())
    assert sorted(ended) == [0, 2]


def test_cancelling_cancels_the_work():
    async def work(run):
        await asyncio.sleep(60)
        return list(run)

    async def start_and_cancel():
        task = asyncio.create_task(run_in_order([range(1)], work, max_concurrency=1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(start_and_cancel())


def test_without_runs_there_is_no_work():
    assert asyncio.run(run_in_order([], None, max_concurrency=4)) == []
