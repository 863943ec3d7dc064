"""Chunks on a Ray cluster: the same answers, whatever happens to actors, nodes and the driver."""

import asyncio
import contextlib
import os
import re
import signal
import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from batch_steps import WEIGHTS, ended, file_answers, line, new, running, until
from gemvec.errors import ClusterUnavailable
from gemvec.ray import pool
from gemvec.ray.executor import RayExecutor
from gemvec.ray.messages import Call, ClusterSpec
from gemvec.ray.node import identity
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings
from gemvec.wire.batches import BatchState
from hash_embedder import HashEmbedder, vector_of
from ray_embedders import MortalEmbedder, StuckEmbedder, open_after, open_none

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'"),
    pytest.mark.timeout(600),  # actors take seconds to start, on a busy machine many
]


def spec(cluster, **fields):
    given = {"open_embedder": HashEmbedder, "weights": {"hash": WEIGHTS}, "identity": identity(), **fields}
    return ClusterSpec(address=cluster.address, max_actors=given.pop("max_actors", 2), **given)


def create(store, texts, chunk_requests=50, **fields):
    content = b"".join(line(text, key=str(number)) + b"\n" for number, text in enumerate(texts))
    file = store.files.create("", [content])
    return store.create_from_file(new(chunk_requests=chunk_requests, **fields), file.file_id)


def numbered(count):
    return [f"text {number}" for number in range(count)]


def run(store, steps, described):
    """Run `steps` beside a runner whose chunks run on the cluster; the server's own embedder computes nothing."""
    embedder = HashEmbedder()

    async def run():
        executor = RayExecutor(described)
        async with running(store, embedder, executor=executor) as runner:
            await steps(executor, runner)

    asyncio.run(run())
    assert embedder.requests == []


def assert_whole(store, job, texts):
    assert (job.state, job.successful_count) == (BatchState.SUCCEEDED, len(texts))
    answers = file_answers(store, job)
    assert [answer["key"] for answer in answers] == [str(number) for number in range(len(texts))]
    for answer, text in zip(answers, texts, strict=True):
        assert answer["response"]["embedding"]["values"] == vector_of(text).tolist()


def test_a_batch_runs_on_the_nodes_with_the_same_answers(store, cluster):
    async def steps(executor, runner):
        job = await ended(store, create(store, numbered(2000)))
        assert_whole(store, job, numbered(2000))
        figures = {(each.name, each.labels.get("state")): each.value for each in executor.figures()}
        assert figures["ray_actors", "ready"] <= 2
        assert figures["ray_lost_actors", None] == 0
        await until(lambda: next(executor.figures()).value == 2)

    run(store, steps, spec(cluster))


@pytest.mark.slow
def test_a_lost_actor_costs_what_it_was_computing_and_nothing_else(store, cluster):
    texts = numbered(2000)

    async def steps(executor, runner):
        job = create(store, texts)
        await until(lambda: store.get(job.batch_id, "").successful_count)
        os.kill(cluster.list_actors()[0], signal.SIGKILL)
        assert_whole(store, await ended(store, job), texts)
        await until(lambda: [each.value for each in executor.figures() if each.name == "ray_lost_actors"] == [1])

    run(store, steps, spec(cluster, open_embedder=partial(HashEmbedder, delay_seconds=0.05)))


def test_a_lost_node_costs_what_its_actor_was_computing_and_nothing_else(store, cluster):
    texts, node = numbered(2000), cluster.nodes[0]

    async def steps(executor, runner):
        await until(lambda: next(executor.figures()).value == 2)
        job = create(store, texts)
        await until(lambda: store.get(job.batch_id, "").successful_count)
        await asyncio.to_thread(cluster.kill_node, node)
        assert_whole(store, await ended(store, job), texts)

    run(store, steps, spec(cluster, open_embedder=partial(HashEmbedder, delay_seconds=0.5), min_actors=2))
    cluster.add_node()


@pytest.mark.slow
def test_a_cancelled_batch_leaves_its_actors_to_others(store, cluster):
    async def steps(executor, runner):
        job = create(store, ["stuck"] * 400)
        await until(lambda: next(each.value for each in executor.figures() if each.name == "ray_chunks") == 4)
        store.cancel(job.batch_id, "")
        runner.notify()
        assert_whole(store, await ended(store, create(store, numbered(200))), numbered(200))
        assert (await ended(store, job)).state is BatchState.CANCELLED
        assert [each.value for each in executor.figures() if each.name == "ray_lost_actors"] == [0]

    run(store, steps, spec(cluster, open_embedder=StuckEmbedder))
    assert not list(store.folder.input_path("x").parent.parent.glob("*/*.part"))


@pytest.mark.slow
def test_a_line_that_kills_actors_is_an_error_at_its_place_and_harms_no_other(store, cluster):
    texts = numbered(40)
    texts[17] = "poison"

    async def steps(executor, runner):
        beside = create(store, numbered(100))
        job = await ended(store, create(store, texts, chunk_requests=2))
        assert (job.state, job.successful_count, job.failed_count) == (BatchState.SUCCEEDED, 39, 1)
        answers = file_answers(store, job)
        assert [number for number, answer in enumerate(answers) if "error" in answer] == [17]
        assert [answer["key"] for answer in answers[:17] + answers[18:]] == [str(n) for n in range(40) if n != 17]
        assert_whole(store, await ended(store, beside), numbered(100))

    run(store, steps, spec(cluster, open_embedder=MortalEmbedder))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"open_embedder": partial(HashEmbedder, revision="00000000")},
            f"other weights answer to hash there: hash@00000000 instead of {WEIGHTS}",
        ),
        ({"identity": "gemvec 0 (00000000)"}, r"there runs gemvec .* \(\w{8}\), here gemvec 0 \(00000000\)"),
        ({"open_embedder": open_none}, r"ModuleNotFoundError in ray_embedders\.py:\d+"),
    ],
    ids=["other weights", "another gemvec", "no model"],
)
@pytest.mark.slow
def test_a_node_that_would_compute_something_else_is_not_used_and_the_batch_waits(
    store, cluster, caplog, fields, reason
):
    async def steps(executor, runner):
        job = create(store, numbered(10))
        await until(lambda: store.get(job.batch_id, "").waiting_reason)
        kept = store.get(job.batch_id, "")
        assert (kept.state, kept.waiting_reason) == (BatchState.PENDING, ClusterUnavailable.summary())
        assert kept.successful_count == 0

    run(store, steps, spec(cluster, **fields))
    assert any(re.fullmatch(reason, getattr(record, "reason", "")) for record in caplog.records)


@pytest.mark.slow
def test_a_node_that_was_refused_is_tried_again_after_a_while(store, cluster, tmp_path):
    async def steps(executor, runner):
        job = create(store, numbered(200))
        await until(lambda: [each.value for each in executor.figures() if each.name == "ray_refused_actors"] == [2])
        (tmp_path / "mended").touch()
        assert_whole(store, await ended(store, job), numbered(200))

    run(store, steps, spec(cluster, open_embedder=partial(open_after, tmp_path / "mended"), refused_seconds=5))


def driver_of(executor):
    return executor._cluster._driver._process.pid


def environ_of(process):
    return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")


@pytest.mark.slow
def test_a_driver_that_ends_is_started_again(store, cluster):
    texts = numbered(2000)

    async def steps(executor, runner):
        job = create(store, texts)
        await until(lambda: store.get(job.batch_id, "").successful_count)
        os.kill(driver_of(executor), signal.SIGKILL)
        assert_whole(store, await ended(store, job), texts)

    run(store, steps, spec(cluster, open_embedder=partial(HashEmbedder, delay_seconds=0.05)))


@pytest.mark.slow
def test_a_driver_leaves_it_to_the_server_when_to_end(store, cluster):
    async def steps(executor, runner):
        before = driver_of(executor)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(before, number)
        assert_whole(store, await ended(store, create(store, numbered(200))), numbered(200))
        assert driver_of(executor) == before

    run(store, steps, spec(cluster))


@pytest.mark.slow
def test_actors_without_work_are_given_back_and_none_outlives_the_server(store, cluster):
    async def steps(executor, runner):
        await ended(store, create(store, numbered(200)))
        await until(lambda: len(cluster.list_actors()) == 1)

    run(store, steps, spec(cluster, idle_seconds=0.1, min_actors=1))
    asyncio.run(until(lambda: cluster.list_actors() == []))


@pytest.mark.slow
def test_nothing_of_a_text_is_in_what_ray_writes_and_nothing_phones_home(store, cluster):
    texts = ["canary-5417", "refuse me", "break the model", "canary-5418"]

    async def steps(executor, runner):
        job = await ended(store, create(store, texts))
        assert (job.successful_count, job.failed_count) == (2, 2)
        assert b"RAY_USAGE_STATS_ENABLED=0" in environ_of(driver_of(executor))

    run(store, steps, spec(cluster))
    written = [each for each in cluster.logs.rglob("*") if each.is_file()]
    assert len(written) > 10
    assert not [each for each in written if re.search(rb"canary-541|break the model|refuse me", each.read_bytes())]


def count_drivers():
    """Return how many drivers run that this process has started."""
    found = 0
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            is_mine = f"PPid:\t{os.getpid()}\n" in command.with_name("status").read_text()
            found += is_mine and b"gemvec.ray.driver" in command.read_bytes()
    return found


@pytest.mark.slow
def test_there_is_one_driver_even_if_the_chunk_that_asked_for_a_new_one_is_abandoned(cluster):
    async def steps():
        executor = RayExecutor(spec(cluster))
        os.kill(driver_of(executor), signal.SIGKILL)
        await until(lambda: executor._cluster._driver.is_broken)
        asking = asyncio.create_task(executor._cluster._running())
        await until(lambda: count_drivers() == 1)
        asking.cancel()
        await asyncio.wait([asking])
        assert not (await executor._cluster._running()).is_broken
        await asyncio.sleep(0.1)
        assert count_drivers() == 1
        await executor.close()
        assert count_drivers() == 0

    asyncio.run(steps())


def test_what_has_waited_long_is_not_refused_as_soon_as_the_last_actor_is_lost(monkeypatch):
    monkeypatch.setattr(pool, "_ROOM_SECONDS", 0.2)

    async def steps():
        actors = pool.ActorPool(
            ClusterSpec(address="", open_embedder=HashEmbedder, weights={}, identity="", max_actors=0), print
        )
        placed = pool._Actor(handle=None, avoids=frozenset(), node="node")
        actors._actors.append(placed)
        waiting = asyncio.create_task(actors.compute(Call(b"")))
        await asyncio.sleep(0.3)
        actors._adjust()
        actors._actors.remove(placed)
        actors._adjust()
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.sleep(0.2)
        actors._adjust()
        with pytest.raises(ClusterUnavailable, match="no node has had 1 CPUs for an actor"):
            await waiting

    asyncio.run(steps())


def test_an_address_where_no_cluster_answers_is_named(cluster):
    with pytest.raises(ClusterUnavailable, match=r"The Ray cluster 127\.0\.0\.1:1 cannot be joined: no Ray cluster"):
        RayExecutor(ClusterSpec(address="127.0.0.1:1", open_embedder=HashEmbedder, weights={}, identity=""))


def test_a_server_computes_its_batches_on_the_cluster_and_shows_its_actors(cluster, tmp_path):
    settings = Settings(
        model=("fake",),
        executor=f"ray:{cluster.address}",
        data_dir=tmp_path / "data",
        ray_max_actors=1,
        cache_dir=tmp_path,
    )
    body = {
        "batch": {
            "displayName": "x",
            "inputConfig": {"requests": {"requests": [{"request": {"content": {"parts": [{"text": "a"}]}}}]}},
        }
    }
    with serving(open_services(settings)) as url, httpx.Client(base_url=f"{url}/v1beta") as http:
        made = http.post("/models/gemini-embedding-001:asyncBatchEmbedContent", json=body).json()
        asyncio.run(until(lambda: http.get(f"/{made['name']}").json()["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"))
        metrics = httpx.get(f"{url}/metrics").text
        assert 'gemvec_ray_actors{state="ready"}' in metrics
        assert "gemvec_ray_lost_actors_total 0.0" in metrics
    assert threading.active_count() < 50
