"""The runner: batches run to their end whatever happens on the way, higher priorities first, and stop when told."""

import asyncio
import resource
import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from batch_steps import ended, file_answers, inline_answers, line, new, running, until
from gemvec.batches import lines
from gemvec.batches.executor import LocalExecutor
from gemvec.batches.job import ChunkResult
from gemvec.batches.queue import BatchQueue
from gemvec.batches.runner import BatchRunner
from gemvec.batches.store import BatchStore
from gemvec.errors import DataLost, ModelUnavailable, Overloaded
from gemvec.files.store import FileStore
from gemvec.memory import MemoryBudget
from gemvec.storage.hold import take_store
from gemvec.storage.schema import chunks
from gemvec.storage.usage import read_usage
from gemvec.wire.batches import BatchState, BatchUpdate
from hash_embedder import HashEmbedder, vector_of


def content(count, start=0):
    return b"".join(line(f"text {number}", key=str(number)) + b"\n" for number in range(start, start + count))


def create(store, count, **fields):
    return store.create_from_file(new(**fields), store.files.create("", [content(count)]).file_id)


def assert_complete(answers, count):
    assert [answer["key"] for answer in answers] == [str(number) for number in range(count)]
    for number, answer in enumerate(answers):
        vector = np.float32(answer["response"]["embedding"]["values"])
        assert np.array_equal(vector, vector_of(f"text {number}"))


def run(steps):
    asyncio.run(steps)


def test_a_file_batch_runs_to_its_end_in_order(any_store, embedder):
    async def steps():
        async with running(any_store, embedder):
            job = await ended(any_store, create(any_store, 1000))
        assert (job.state, job.successful_count, job.failed_count) == (BatchState.SUCCEEDED, 1000, 0)
        assert_complete(file_answers(any_store, job), 1000)
        assert len(embedder.requests) == 1000
        result = any_store.files.get(job.output_file_id, "")
        assert (result.file_id, result.mime_type) == (f"batch-{job.batch_id}", "application/jsonl")
        assert result.expires_at - result.created_at == any_store.retention

    run(steps())


def test_the_texts_and_tokens_of_a_batch_are_counted_for_its_owner(any_store, embedder):
    async def steps():
        async with running(any_store, embedder):
            lines = [line("four", key="0"), line("", key="1"), line("fives", key="2")]
            await ended(any_store, any_store.create_inline(new(owner="mine", chunk_requests=2), lines), "mine")
            await ended(any_store, any_store.create_inline(new(), lines))
        with any_store.database.read() as connection:
            (used,) = read_usage(connection).items()
        assert (used[0], used[1].texts, used[1].tokens) == ("mine", 2, 9)

    run(steps())


def test_an_inline_batch_created_while_the_runner_sleeps_starts_at_once(store, embedder):
    async def steps():
        async with running(store, embedder) as runner:
            await asyncio.sleep(0.05)
            job = store.create_inline(new(), [line("text 0", key="0"), line("", key="1")])
            runner.notify()
            job = await ended(store, job)
        assert (job.state, job.successful_count, job.failed_count) == (BatchState.SUCCEEDED, 1, 1)
        good, bad = inline_answers(store, job)
        assert_complete([good], 1)
        assert (bad["key"], bad["error"]["code"]) == ("1", 3)

    run(steps())


class EndlessSweepQueue(BatchQueue):
    """A queue over an object store with so many batches that its sweep takes as long as the test lets it."""

    def __init__(self, store):
        super().__init__(store)
        self.is_swept = threading.Event()

    def sweep(self):
        self.is_swept.wait()
        return super().sweep()


def test_batches_do_not_wait_for_a_sweep(store, embedder):
    async def steps():
        runner = BatchRunner(store, embedder, LocalExecutor(embedder), memory=MemoryBudget())
        runner.queue = EndlessSweepQueue(store)
        await runner.start()
        try:
            await asyncio.sleep(0.05)
            job = create(store, 1000)
            runner.notify()
            await ended(store, job)
            cancelled = store.create_inline(new(weights="others@1"), [line("text")])
            store.cancel(cancelled.batch_id, "")
            runner.notify()
            await ended(store, cancelled)
        finally:
            runner.queue.is_swept.set()
            await runner.stop()

    run(steps())


def test_a_higher_priority_overtakes_a_running_batch(store, embedder):
    async def steps():
        embedder.gate = asyncio.Event()
        low = create(store, 2000)
        async with running(store, embedder, chunks_in_flight=1) as runner:
            await until(lambda: store.get(low.batch_id, "").state is BatchState.RUNNING)
            high = store.create_inline(new(priority=1), [line("urgent")])
            runner.notify()
            embedder.gate.set()
            await ended(store, low)
        assert store.get(high.batch_id, "").ended_at < store.get(low.batch_id, "").ended_at
        assert [each.text for each in embedder.requests].index("urgent") == 256

    run(steps())


def test_owners_take_turns_so_that_a_late_small_batch_passes_many_of_somebody_else(any_store, embedder):
    async def steps():
        embedder.gate = asyncio.Event()
        many = [any_store.create_inline(new(owner="many", priority=5), [line("m")] * 600) for _ in range(4)]
        async with running(any_store, embedder, chunks_in_flight=1) as runner:
            await until(lambda: any_store.get(many[0].batch_id, "many").state is BatchState.RUNNING)
            small = any_store.create_inline(new(owner="few"), [line("small")])
            runner.notify()
            embedder.gate.set()
            await ended(any_store, many[-1], "many")
        texts = [each.text for each in embedder.requests]
        assert texts.index("small") == 256, "after the chunk that was in flight"
        assert any_store.get(small.batch_id, "few").state is BatchState.SUCCEEDED

    run(steps())


def test_what_is_computed_for_a_batch_is_computed_for_its_owner(store, embedder):
    async def steps():
        store.create_inline(new(owner="a"), [line("x")])
        job = store.create_inline(new(owner="b"), [line("x")])
        async with running(store, embedder):
            await ended(store, job, "b")
            await until(lambda: len(embedder.callers) == 2)
        assert embedder.callers == {"a", "b"}

    run(steps())


def test_a_raised_priority_counts_from_the_next_chunk(store, embedder):
    async def steps():
        embedder.gate = asyncio.Event()
        first, second = create(store, 600), create(store, 10)
        async with running(store, embedder, chunks_in_flight=1) as runner:
            await until(lambda: store.get(first.batch_id, "").state is BatchState.RUNNING)
            store.update(second.batch_id, "", BatchUpdate(priority=2**63 - 1))
            runner.notify()
            embedder.gate.set()
            await ended(store, first)
        assert store.get(second.batch_id, "").ended_at < store.get(first.batch_id, "").ended_at

    run(steps())


def test_cancel_takes_effect_within_a_chunk_and_keeps_what_is_finished(store, embedder):
    async def steps():
        job = create(store, 5000)
        async with running(store, embedder, chunks_in_flight=1):
            await until(lambda: store.get(job.batch_id, "").successful_count >= 256)
            store.cancel(job.batch_id, "")
            computed = len(embedder.requests)
            kept = store.get(job.batch_id, "")
            await asyncio.sleep(0.1)
        assert store.get(job.batch_id, "") == kept
        assert kept.state is BatchState.CANCELLED
        assert len(embedder.requests) <= computed + 256
        answers = file_answers(store, kept)
        assert len(answers) == 5000
        assert_complete(answers[: kept.successful_count], kept.successful_count)
        assert {answer["error"]["code"] for answer in answers[kept.successful_count :]} == {1}
        parts = list(store.folder.input_path(job.batch_id).parent.glob("0*"))
        assert len(parts) == kept.successful_count / 256 + 1

    run(steps())


def test_deleting_a_running_batch_leaves_nothing_and_the_runner_goes_on(store, embedder):
    async def steps():
        job = create(store, 5000)
        async with running(store, embedder) as runner:
            await until(lambda: store.get(job.batch_id, "").successful_count)
            store.delete(job.batch_id, "")
            other = create(store, 10)
            runner.notify()
            await ended(store, other)
            await asyncio.sleep(0.05)
        assert store.folder.list_batch_ids() == {other.batch_id}

    run(steps())


def test_stopping_parks_and_starting_again_goes_on_where_it_was(store):
    async def steps():
        job = create(store, 3000)
        computed = []
        while not store.get(job.batch_id, "").state.is_ended:
            embedder = HashEmbedder()
            before = store.get(job.batch_id, "").successful_count
            async with running(store, embedder):
                await until(lambda: store.get(job.batch_id, "").successful_count > before)  # noqa: B023 - awaited here
            computed += embedder.requests
            with store.database.read() as connection:
                assert not list(connection.execute(chunks.select().where(chunks.c.state == "RUNNING")))
        assert_complete(file_answers(store, store.get(job.batch_id, "")), 3000)
        assert len(computed) == 3000  # parked between chunks, nothing was computed twice

    run(steps())


def test_chunks_that_do_not_finish_while_stopping_are_given_back(store, embedder):
    async def steps():
        embedder.gate = asyncio.Event()
        job = create(store, 10)
        async with running(store, embedder) as runner:
            await until(lambda: embedder.priorities)
            await runner.stop(grace_seconds=0.01)
        kept = store.get(job.batch_id, "")
        assert (kept.state, kept.waiting_reason) == (BatchState.RUNNING, None)
        embedder.gate.set()
        async with running(store, embedder):
            assert (await ended(store, job)).successful_count == 10

    run(steps())


def test_a_batch_expires_while_the_runner_runs(sqlite, data_dir, embedder):
    store = BatchStore(sqlite, FileStore(sqlite, data_dir), data_dir, expiry=timedelta(seconds=0.3))

    async def steps():
        embedder.gate = asyncio.Event()
        job = create(store, 10)
        async with running(store, embedder):
            job = await ended(store, job)
            assert job.state is BatchState.EXPIRED
            embedder.gate.set()
            await asyncio.sleep(0.05)
        assert store.get(job.batch_id, "") == job

    run(steps())


def test_chunks_that_do_not_fit_into_the_memory_budget_wait_and_none_is_lost(store, embedder):
    async def steps():
        memory = MemoryBudget(400_000)  # a quarter of it is enough for one chunk at a time
        job = create(store, 2000)
        async with running(store, embedder, memory=memory):
            with memory.reservation("a") as first, memory.reservation("b") as second:
                await first.grow(200_000, "bodies")
                await second.grow(200_000, "bodies")
                await until(lambda: {each.name: each.value for each in memory.figures()}["memory_waiting"])
                assert not embedder.requests
            job = await ended(store, job)
        assert_complete(file_answers(store, job), 2000)
        assert memory.used_bytes == 0

    run(steps())


@pytest.mark.parametrize("fault", [ModelUnavailable("the weights are gone"), MemoryError()])
def test_a_failing_model_parks_the_batch_and_it_goes_on_later(store, embedder, fault):
    async def steps():
        embedder.faults = [fault]
        job = create(store, 10)
        async with running(store, embedder):
            await until(lambda: store.get(job.batch_id, "").waiting_reason)
            assert store.get(job.batch_id, "").state is BatchState.PENDING
            assert_complete(file_answers(store, await ended(store, job)), 10)

    run(steps())


def test_a_busy_model_delays_a_batch_and_loses_nothing(store, embedder):
    async def steps():
        embedder.faults = [Overloaded(retry_after_seconds=0.001)] * 10
        async with running(store, embedder):
            job = await ended(store, create(store, 1000))
        assert_complete(file_answers(store, job), 1000)

    run(steps())


def test_a_damaged_input_fails_the_batch_and_no_other(store, embedder):
    async def steps():
        damaged, fine = create(store, 300), create(store, 10)
        store.folder.input_path(damaged.batch_id).unlink()
        async with running(store, embedder):
            damaged, fine = await ended(store, damaged), await ended(store, fine)
        assert (damaged.state, damaged.error_status) == (BatchState.FAILED, "DATA_LOSS")
        assert fine.state is BatchState.SUCCEEDED

    run(steps())


def test_a_flipped_bit_in_an_input_is_an_error_that_names_it_and_nothing_is_computed_of_it(store, embedder):
    async def steps():
        job = create(store, 300)
        path = store.folder.input_path(job.batch_id)
        content = bytearray(path.read_bytes())
        content[len(content) - 10] ^= 1
        path.write_bytes(content)
        async with running(store, embedder):
            job = await ended(store, job)
        assert (job.state, job.error_status) == (BatchState.FAILED, "DATA_LOSS")
        assert f"batches/{job.batch_id} has changed between the bytes " in job.error_message
        assert len(embedder.requests) <= 256, "those of the chunk that is whole"

    run(steps())


class Broken:
    """An executor that always fails, with something no one foresaw."""

    chunks_in_flight = 4
    is_apart = False

    def chunk_requests(self, weights):
        return 256

    async def run(self, task):
        raise ZeroDivisionError

    async def close(self):
        pass


def test_a_chunk_that_fails_again_and_again_fails_its_batch(store, embedder, monkeypatch):
    monkeypatch.setattr("gemvec.batches.pauses.FIRST_PAUSE_SECONDS", 0.001)

    async def steps():
        job = store.create_inline(new(), [line("a")])
        async with running(store, embedder, executor=Broken()):
            job = await ended(store, job)
        assert (job.state, job.error_status) == (BatchState.FAILED, "INTERNAL")
        assert inline_answers(store, job)[0]["error"]["code"] == 13

    run(steps())


class Elsewhere:
    """An executor of another kind: what a cluster would be."""

    chunks_in_flight = 4
    is_apart = False

    def chunk_requests(self, weights):
        return 256

    async def run(self, task):
        task.part_path.write_bytes(b'{"error":{"code":13,"message":"elsewhere"}}\n' * task.request_count)
        return ChunkResult(successful_count=0, failed_count=task.request_count)

    async def close(self):
        pass


def test_where_chunks_run_is_the_executors_business(store, embedder):
    async def steps():
        async with running(store, embedder, executor=Elsewhere()):
            job = await ended(store, create(store, 300))
        assert (job.state, job.failed_count, embedder.requests) == (BatchState.SUCCEEDED, 300, [])

    run(steps())


class Apart(LocalExecutor):
    """An executor whose chunks are abandoned when their batch has ended; those of one batch can be held up.

    Attributes:
        held_up: the id of the batch whose chunks wait until they are abandoned.
        runs: of which batches chunks were begun, in order.
    """

    is_apart = True

    def __init__(self, embedder):
        super().__init__(embedder)
        self.held_up = ""
        self.runs = []

    async def run(self, task):
        self.runs.append(task.batch_id)
        if task.batch_id == self.held_up:
            await asyncio.Event().wait()
        return await super().run(task)


def test_a_chunk_that_is_abandoned_while_its_batch_goes_on_is_computed_again(store, embedder):
    class Interrupted(Apart):
        async def run(self, task):
            if not self.runs:
                self.runs.append(task.batch_id)
                raise asyncio.CancelledError
            return await super().run(task)

    async def steps():
        async with running(store, embedder, executor=Interrupted(embedder)):
            job = await ended(store, create(store, 10), seconds=20)
        assert_complete(file_answers(store, job), 10)

    run(steps())


def test_only_chunks_of_batches_that_have_ended_are_abandoned(store, embedder, monkeypatch):
    first = create(store, 10)
    looking, real_claim = [], BatchQueue.claim

    async def steps():
        executor, loop = Apart(embedder), asyncio.get_running_loop()
        executor.held_up = first.batch_id

        def claim(queue, claimable):
            """Claim; the second time, the runner begins to look for batches that have ended before it hears of it."""
            task, is_waiting = real_claim(queue, claimable), threading.Event()
            if task is not None and task.batch_id != first.batch_id:
                loop.call_soon_threadsafe(lambda: looking.append(loop.create_task(runner._abandon_ended())))
                loop.call_soon_threadsafe(lambda: loop.call_soon(is_waiting.set))
                is_waiting.wait()
            return task

        monkeypatch.setattr(BatchQueue, "claim", claim)
        async with running(store, embedder, executor=executor) as runner:
            await until(lambda: executor.runs)
            second = create(store, 10)
            runner.notify()
            assert_complete(file_answers(store, await ended(store, second)), 10)
            await looking[0]
            assert executor.runs == [first.batch_id, second.batch_id]
            store.cancel(first.batch_id, "")
            runner.notify()
            assert (await ended(store, first)).state is BatchState.CANCELLED

    run(steps())


def test_a_batch_for_other_weights_waits_and_says_so(store, embedder):
    async def steps():
        job = store.create_inline(new(), [line("text 0", key="0")])
        async with running(store, HashEmbedder(revision="87654321")):
            await asyncio.sleep(0.05)
            waiting = store.get(job.batch_id, "")
            assert waiting.state is BatchState.PENDING
            assert "hash@12345678" in waiting.waiting_reason
        async with running(store, embedder):
            assert_complete(inline_answers(store, await ended(store, job)), 1)

    run(steps())


@pytest.fixture
def file_size_limit():
    """Let a test set how large a file of this process may get: the disk is full beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size or soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_parks_the_batch_and_it_goes_on_when_there_is_room(store, embedder, file_size_limit):
    async def steps():
        job = create(store, 3000)
        async with running(store, embedder):
            await until(lambda: store.get(job.batch_id, "").successful_count >= 256)
            file_size_limit(1000)  # neither a part file nor the database's log fits
            await asyncio.sleep(0.3)
            stuck = store.get(job.batch_id, "")
            assert not stuck.state.is_ended
            file_size_limit(None)
            job = await ended(store, job)
        assert_complete(file_answers(store, job), 3000)
        assert not list(store.folder.input_path(job.batch_id).parent.glob("*.part"))

    run(steps())


def test_a_batch_without_room_for_its_results_says_so(store, embedder, file_size_limit, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK_BYTES", 2**23)  # one large part file

    async def steps():
        job = store.create_inline(new(), [line(f"text {number}", key=f"{number:09}" * 1000) for number in range(256)])
        async with running(store, embedder):
            file_size_limit(2**20)  # room for the database, not for the part file
            await until(lambda: store.get(job.batch_id, "").waiting_reason)
            parked = store.get(job.batch_id, "")
            assert (parked.state, parked.waiting_reason) == (
                BatchState.PENDING,
                "There is no room left to store results.",
            )
            file_size_limit(None)
            assert (await ended(store, job)).successful_count == 256

    run(steps())


def test_a_data_folder_that_goes_away_fails_no_batch_and_comes_back(sqlite, data_dir, embedder):
    async def steps():
        data_dir.mkdir()
        take_store(sqlite, data_dir)
        store = BatchStore(sqlite, FileStore(sqlite, data_dir), data_dir)
        async with running(store, embedder) as runner:
            job = create(store, 600)
            data_dir.rename(data_dir.with_name("away"))
            runner.notify()
            await until(lambda: store.get(job.batch_id, "").waiting_reason)
            assert not store.get(job.batch_id, "").state.is_ended
            data_dir.with_name("away").rename(data_dir)
            job = await ended(store, job)
        assert_complete(file_answers(store, job), 600)

    run(steps())


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_in_the_results_of_a_file_is_noticed_before_anything_is_sent(store, embedder):
    async def steps():
        async with running(store, embedder):
            job = await ended(store, create(store, 600))
        content = store.files.open_content(job.output_file_id, "")
        content.check()
        flip_a_bit(content.parts[1].path)
        with pytest.raises(DataLost, match=content.parts[1].path.name):
            store.files.open_content(job.output_file_id, "").check()

    run(steps())


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink])
def test_damaged_results_are_computed_again_where_the_input_is_there(any_store, embedder, damage):
    async def steps():
        async with running(any_store, embedder) as runner:
            job = await ended(any_store, create(any_store, 600))
            before = content_of(any_store, job)
            damage(any_store.folder.part_path(job.batch_id, 1, 1))
            assert await runner.repair(job)
            while await runner.repair(job):  # noqa: ASYNC110 - what is waited for is a repair
                await asyncio.sleep(0.005)
            assert is_whole(any_store, job)
        assert content_of(any_store, job) == before
        assert len(embedder.requests) == 600 + 256, "only the damaged chunk"
        assert any_store.get(job.batch_id, "") == job

    run(steps())


def test_damaged_results_stay_lost_where_the_input_is_gone_or_the_weights_are_others(store, embedder):
    async def steps():
        async with running(store, embedder):
            job = await ended(store, create(store, 600))
        flip_a_bit(store.folder.part_path(job.batch_id, 1, 1))
        async with running(store, HashEmbedder(revision="other678")) as runner:
            assert not await runner.repair(job)
        store.folder.input_path(job.batch_id).unlink()
        async with running(store, embedder) as runner:
            assert not await runner.repair(job)

    run(steps())


def content_of(store, job):
    return b"".join(store.files.open_content(job.output_file_id, "").read())


def is_whole(store, job):
    try:
        store.files.open_content(job.output_file_id, "").check()
    except DataLost:
        return False
    return True


def test_a_flipped_bit_in_inline_results_is_an_error_at_its_place(store, embedder):
    async def steps():
        async with running(store, embedder):
            job = store.create_inline(new(), [line(f"text {number}", key=str(number)) for number in range(300)])
            job = await ended(store, job)
        flip_a_bit(store.folder.part_path(job.batch_id, 0, 1))
        answers = inline_answers(store, job)
        assert [answer["key"] for answer in answers] == [str(number) for number in range(300)]
        assert [answer.get("error", {}).get("code") for answer in answers] == [15] * 256 + [None] * 44

    run(steps())


def test_a_damaged_part_of_a_cancelled_batch_is_an_error_at_its_place(store, embedder):
    async def steps():
        job = create(store, 5000)
        async with running(store, embedder, chunks_in_flight=1):
            await until(lambda: store.get(job.batch_id, "").successful_count >= 256)
            flip_a_bit(store.folder.part_path(job.batch_id, 0, 1))
            store.cancel(job.batch_id, "")
        answers = file_answers(store, store.get(job.batch_id, ""))
        assert len(answers) == 5000
        assert {answer["error"]["code"] for answer in answers[:256]} == {15}

    run(steps())


def test_a_loop_that_ends_as_a_batch_is_announced_ends_the_runner_too(store, embedder):
    """A process whose loop waits endlessly for a cancelled task never ends."""

    async def steps():
        runner = BatchRunner(store, embedder, LocalExecutor(embedder), memory=MemoryBudget())
        await runner.start()
        await asyncio.sleep(0.1)
        runner.notify()
        raise LookupError

    def loop():
        with pytest.raises(LookupError):
            asyncio.run(steps())

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
