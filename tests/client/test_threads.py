"""Threads for what blocks: used again, one for each piece of work at a time, and a forked child starts its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable

import pytest

from gemvec.client.threads import in_thread


def idents_of(count: int, work: Callable[[], int]) -> list[int]:
    """Do `count` pieces of work at the same time."""

    async def gather() -> list[int]:
        return await asyncio.gather(*(in_thread(work) for _ in range(count)))

    return asyncio.run(gather())


def test_one_after_another_share_a_thread() -> None:
    async def one_after_another() -> set[int]:
        return {await in_thread(threading.get_ident) for _ in range(20)}

    assert len(asyncio.run(one_after_another())) == 1


def test_pieces_that_wait_for_each_other_have_a_thread_each() -> None:
    together = threading.Barrier(8)

    def meet() -> int:
        together.wait(10)
        return threading.get_ident()

    assert len(set(idents_of(8, meet))) == 8


def test_an_error_is_raised_where_the_work_is_awaited() -> None:
    def fail() -> int:
        raise OSError("no such luck")

    with pytest.raises(OSError, match="no such luck"):
        idents_of(1, fail)


def test_a_cancelled_piece_goes_on_and_others_do_not_wait_for_it() -> None:
    release = threading.Event()
    is_over = threading.Event()

    def wait() -> None:
        release.wait(10)
        is_over.set()

    async def cancel() -> int:
        task = asyncio.create_task(in_thread(wait))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await in_thread(threading.get_ident)

    assert asyncio.run(cancel())
    release.set()
    assert is_over.wait(10)


def test_a_forked_child_does_not_wait_for_threads_of_its_parent() -> None:
    idents_of(1, threading.get_ident)  # leaves an idle thread, which does not run in the child
    child = multiprocessing.get_context("fork").Process(target=idents_of, args=(1, threading.get_ident))
    child.start()
    child.join(10)
    assert child.exitcode == 0
