import asyncio

import pytest

from gemvec.embedding.in_order import run_in_order


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
