"""One budget of memory: what does not fit waits, a request briefly and a chunk as long as it takes; none has it all."""

import asyncio
import os
import platform
import subprocess
import sys

import pytest

from gemvec.errors import InvalidRequest, Overloaded
from gemvec.memory import MemoryBudget


def figures_of(budget):
    return {figure.name: figure.value for figure in budget.figures()}


async def holding(budget, caller, size, order, until):
    with budget.reservation(caller) as memory:
        await memory.grow(size, "bodies")
        order.append(caller)
        await until.wait()


async def chunk(budget, owner, size, order, until):
    async with budget.chunk(owner, size):
        order.append(f"chunk of {owner}")
        await until.wait()


async def start(*steps):
    """Start steps one after the other, each up to where it waits."""
    tasks = []
    for step in steps:
        tasks.append(asyncio.create_task(step))
        await asyncio.sleep(0.001)
    return tasks


def test_what_is_taken_is_free_again_afterwards():
    async def go():
        budget = MemoryBudget(200)
        with budget.reservation("a") as memory:
            await memory.grow(60, "bodies")
            await memory.grow(40, "bodies")
            async with budget.chunk("b", 20):
                assert figures_of(budget)["memory_used_bytes"] == 120
                assert figures_of(budget)["memory_batches_bytes"] == 20
        return budget.used_bytes

    assert asyncio.run(go()) == 0


def test_a_request_that_does_not_fit_waits_for_others_to_finish():
    async def go():
        budget, order, first, others = MemoryBudget(100, wait_seconds=20), [], asyncio.Event(), asyncio.Event()
        others.set()
        tasks = await start(
            holding(budget, "a", 50, order, first),
            holding(budget, "b", 30, order, first),
            holding(budget, "c", 40, order, others),
            holding(budget, "d", 10, order, others),
        )
        assert order == ["a", "b"], "the small one does not overtake who waits"
        assert figures_of(budget)["memory_waiting"] == 2
        first.set()
        await asyncio.gather(*tasks)
        return order, budget.used_bytes

    assert asyncio.run(go()) == (["a", "b", "c", "d"], 0)


def test_a_caller_that_fills_its_share_keeps_only_itself_waiting():
    async def go():
        budget, order, first, others = MemoryBudget(100, wait_seconds=20), [], asyncio.Event(), asyncio.Event()
        others.set()
        tasks = await start(
            holding(budget, "greedy", 50, order, first),
            *[holding(budget, "greedy", 10, order, others) for _ in range(5)],
            holding(budget, "other", 40, order, others),
        )
        assert order == ["greedy", "other"]
        first.set()
        await asyncio.gather(*tasks)
        return budget.used_bytes

    assert asyncio.run(go()) == 0


def test_a_request_that_waits_too_long_is_refused_and_takes_nothing():
    async def go():
        budget = MemoryBudget(100, wait_seconds=0.01)
        with budget.reservation("a") as first, budget.reservation("b") as second, budget.reservation("c") as memory:
            await first.grow(50, "bodies")
            await second.grow(30, "bodies")
            with pytest.raises(Overloaded, match=r"memory for requests .100 bytes. is used up") as refused:
                await memory.grow(50, "bodies")
            assert refused.value.retry_after_seconds > 0
            with budget.reservation("a") as own, pytest.raises(Overloaded, match=r"memory for one caller .50 bytes."):
                await own.grow(1, "bodies")
            await memory.grow(20, "bodies")
        return budget.used_bytes, budget.refused

    assert asyncio.run(go()) == (0, 2)


def test_a_request_that_grows_again_and_again_does_not_wait_anew_each_time():
    async def go():
        budget = MemoryBudget(100, wait_seconds=0.05)
        with budget.reservation("a") as held, budget.reservation("a") as memory:
            await held.grow(49, "bodies")
            await memory.grow(1, "bodies")
            for _ in range(100):
                freeing = asyncio.get_running_loop().call_later(0.03, budget._free, (held._share,), 1)
                try:
                    await memory.grow(1, "bodies")
                except Overloaded:
                    freeing.cancel()
                    break
                held.held_bytes -= 1
            return memory.held_bytes

    assert asyncio.run(go()) <= 3


def test_a_caller_that_leaves_while_waiting_takes_nothing():
    async def go():
        budget, order, until = MemoryBudget(100, wait_seconds=20), [], asyncio.Event()
        [held] = await start(holding(budget, "a", 50, order, until))
        [waiting] = await start(holding(budget, "a", 50, order, until))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        [other] = await start(holding(budget, "b", 50, order, until))
        until.set()
        await asyncio.gather(held, other)
        return order, budget.used_bytes

    assert asyncio.run(go()) == (["a", "b"], 0)


def test_what_can_never_fit_is_refused_at_once():
    async def go():
        with MemoryBudget(100, wait_seconds=1000).reservation("a") as memory:
            await memory.grow(51, "answers")

    with pytest.raises(InvalidRequest, match="would take 51 bytes of memory, and one caller may take 50 of"):
        asyncio.run(go())


def test_a_chunk_waits_as_long_as_it_takes_and_requests_go_first():
    async def go():
        budget, order, first, others = MemoryBudget(100, wait_seconds=0.001), [], asyncio.Event(), asyncio.Event()
        others.set()
        tasks = await start(
            holding(budget, "a", 50, order, first),
            holding(budget, "b", 50, order, first),
            chunk(budget, "c", 20, order, others),
        )
        await asyncio.sleep(0.02)  # longer than a request may wait
        [late] = await start(holding(budget, "d", 1, order, others))
        with pytest.raises(Overloaded):
            await late
        first.set()
        await asyncio.gather(*tasks)
        return order, budget.used_bytes

    assert asyncio.run(go()) == (["a", "b", "chunk of c"], 0)


def test_chunks_together_hold_a_quarter_and_one_that_is_larger_takes_all_of_that():
    async def go():
        budget, order, first, others = MemoryBudget(100), [], asyncio.Event(), asyncio.Event()
        others.set()
        tasks = await start(chunk(budget, "", 10**9, order, first), chunk(budget, "b", 1, order, others))
        assert (order, figures_of(budget)["memory_batches_bytes"]) == (["chunk of "], 25)
        first.set()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(go()) == ["chunk of ", "chunk of b"]


def test_the_chunks_of_a_caller_count_against_its_share_and_those_of_others_go_on():
    async def go():
        budget, order, first, others = MemoryBudget(100), [], asyncio.Event(), asyncio.Event()
        others.set()
        tasks = await start(
            holding(budget, "a", 45, order, first),
            chunk(budget, "a", 10, order, others),
            chunk(budget, "b", 10, order, others),
        )
        assert order == ["a", "chunk of b"]
        first.set()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(go()) == ["a", "chunk of b", "chunk of a"]


# Many threads allocate at the same time, so that each would have a heap of its own; then the C library lists its heaps.
HEAPS = """
import ctypes, re, sys, threading
from pathlib import Path
from gemvec.memory import sparing_memory

with sparing_memory():
    together = threading.Barrier(16)
    allocate = lambda: (together.wait(), bytearray(100_000), together.wait())
    threads = [threading.Thread(target=allocate) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(library.fopen(sys.argv[1].encode(), b"w"))
    library.malloc_info(0, file)
    library.fclose(file)
print(len(re.findall("<heap nr", Path(sys.argv[1]).read_text())))
"""


def run_alone(program, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    ).stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap for each thread")
def test_threads_of_a_sparing_command_share_two_heaps(tmp_path):
    assert int(run_alone(HEAPS, str(tmp_path / "heaps.xml"))) <= 2
    assert int(run_alone(HEAPS.replace("with sparing_memory()", "if True"), str(tmp_path / "b"))) > 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap for each thread")
@pytest.mark.parametrize(
    "environment", [{"MALLOC_ARENA_MAX": "5"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=5"}], ids=["own", "tunable"]
)
def test_the_number_of_heaps_that_the_user_has_set_is_not_changed(tmp_path, environment):
    assert 2 < int(run_alone(HEAPS, str(tmp_path / "heaps.xml"), **environment)) <= 5


# What the C library has mapped by itself, beside its heaps, after larger memory was freed.
MAPPED = """
import ctypes
from gemvec.memory import sparing_memory

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
Statistics = type("Statistics", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in FIELDS]})
with sparing_memory():
    bytearray(16 * 2**20)
    kept = bytearray(8 * 2**20)
library = ctypes.CDLL(None)
library.mallinfo2.restype = Statistics
print(library.mallinfo2().hblkhd)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc puts what is larger and larger into heaps")
def test_what_is_large_is_no_part_of_a_heap_in_a_sparing_command():
    assert int(run_alone(MAPPED)) > 8 * 2**20
    assert int(run_alone(MAPPED, MALLOC_MMAP_THRESHOLD_=str(2**25))) < 8 * 2**20
    assert int(run_alone(MAPPED.replace("with sparing_memory()", "if True"))) < 8 * 2**20


def test_arrow_takes_the_memory_of_a_sparing_command_from_the_heap_of_all():
    program = """
from gemvec.memory import sparing_memory
with sparing_memory():
    import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""
    assert run_alone(program).strip() == "system"
