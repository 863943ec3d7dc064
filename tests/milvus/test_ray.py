"""A corpus on a Ray cluster: the same rows as on one machine, whatever happens to actors, nodes and the driver."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from typer.testing import CliRunner

from batch_steps import until
from counting_embedder import CountingEmbedder
from gemvec.cli.app import app
from gemvec.cli.ray import join_cluster
from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import EmptyText
from gemvec.milvus import PassageOptions, Sources, Splitter, ingest, open_collection
from gemvec.milvus.cluster_cutter import ClusterCutter
from gemvec.ray.cluster import Cluster
from gemvec.ray.embedder import RayEmbedder
from gemvec.ray.messages import ClusterSpec
from gemvec.ray.node import identity
from gemvec.settings import Settings
from ray_embedders import SlowEmbedder, open_unless_first

from .conftest import contents

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'"),
    pytest.mark.timeout(600),  # actors take seconds to start, on a busy machine many
]

runner = CliRunner()


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """A folder of 60 Markdown files of 20 sections, and the current folder beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(60):
        sections = [f"## Part {part}\n\nWords of part {part} in {number}.\n" for part in range(20)]
        (folder / f"d{number:02}.md").write_text(f"# Document {number}\n\n" + "\n".join(sections))
    return folder


def join(cluster, open_embedder, min_actors=2, on_notice=lambda _: None):
    models = CountingEmbedder().list_models()
    spec = ClusterSpec(
        address=cluster.address,
        open_embedder=open_embedder,
        weights={model.name: model.weights for model in models},
        identity=identity(),
        min_actors=min_actors,
        max_actors=2,
    )
    return RayEmbedder(CountingEmbedder(), Cluster(spec, on_notice), pieces_in_flight=spec.pieces_in_flight)


async def index(uri, embedder, **options):
    """Index the documents, on the cluster if the embedder has one; return the report, and what the collection has."""
    splitter = Splitter(PassageOptions(max_tokens=30, overlap_tokens=0))
    if isinstance(embedder, RayEmbedder):
        await until(lambda: embedder.cluster.status.ready == 2)
        loop = asyncio.get_running_loop()
        options["cutter"] = ClusterCutter(embedder.cluster, loop, splitter, None, jobs_in_flight=4, say=pytest.fail)
    with open_collection(str(uri), "docs") as collection:
        report = await ingest(collection, embedder, Sources(["docs"]), splitter=splitter, **options)
        return report, contents(collection)


def test_a_corpus_has_the_rows_of_one_machine_though_a_node_is_lost_midway(cluster, docs, tmp_path):
    node = cluster.nodes[0]

    async def on_the_cluster():
        embedder = join(cluster, partial(SlowEmbedder, delay_seconds=0.2))
        killed = []

        def kill(progress):
            if not killed:
                killed.append(progress.embedded)
                cluster.kill_node(node)

        try:
            report, rows = await index(tmp_path / "ray.db", embedder, on_progress=kill, texts_in_flight=512)
        finally:
            await embedder.close()
        assert killed
        assert killed[0] < report.embedded
        return report, rows

    report, rows = asyncio.run(on_the_cluster())
    cluster.add_node()
    alone, expected = asyncio.run(index(tmp_path / "alone.db", CountingEmbedder()))
    assert (report.documents, report.embedded, report.tokens) == (60, alone.embedded, alone.tokens)
    assert rows == expected


def command(*arguments):
    outcome = runner.invoke(app, [str(each) for each in arguments])
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    return outcome


def test_the_commands_give_on_a_cluster_what_they_give_on_one_machine(cluster, docs, tiny_model, tmp_path):
    for file in sorted(docs.iterdir())[3:]:
        file.unlink()
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"Text {number} of the file." for number in range(300)) + "\n")
    for name, flags in {"alone": [], "ray": ["--ray", cluster.address, "--embedding-cache-bytes", "0"]}.items():
        told = command("index", "docs", "--model", tiny_model, "--uri", f"{name}.db", "--json", *flags)
        assert json.loads(told.stdout)["added"] == 3
        command("embed", "--file", texts, "--output", f"{name}.npy", "--model", tiny_model, *flags)
    found = {name: rows_of(f"{name}.db") for name in ("alone", "ray")}
    assert [{**row, "vector": None} for row in found["ray"]] == [{**row, "vector": None} for row in found["alone"]]
    vectors = {name: np.array([row["vector"] for row in rows]) for name, rows in found.items()}
    assert np.allclose(vectors["ray"], vectors["alone"], atol=1e-3)
    assert np.allclose(np.load("ray.npy"), np.load("alone.npy"), atol=1e-3)
    # What the cluster has made is found unchanged by one machine, and the other way round.
    again = command("index", "docs", "--model", tiny_model, "--uri", "ray.db", "--json")
    assert json.loads(again.stdout)["unchanged"] == 3


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_its_actors_and_the_next_run_goes_on(cluster, docs, tiny_model):
    arguments = ["index", "docs", "--model", str(tiny_model), "--embedding-cache-bytes", "0", "--json", "--uri"]
    on_ray = [*arguments, "ray.db", "--ray", cluster.address]
    interrupted = subprocess.Popen(
        [sys.executable, "-m", "gemvec", *on_ray], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    asyncio.run(until(cluster.list_actors))
    interrupted.send_signal(signal.SIGINT)
    printed = interrupted.communicate()
    assert (interrupted.returncode, printed[0]) == (130, ""), printed
    assert "run the same command again to continue" in printed[1]
    assert "Traceback" not in printed[1]
    asyncio.run(until(lambda: cluster.list_actors() == []))
    assert json.loads(command(*on_ray).stdout)["documents"] == 60
    command(*arguments, "alone.db")
    assert [{**row, "vector": None} for row in rows_of("ray.db")] == [
        {**row, "vector": None} for row in rows_of("alone.db")
    ]


def rows_of(uri):
    with open_collection(uri, Settings().collection) as collection:
        return contents(collection)


@pytest.mark.slow
def test_a_driver_that_ends_costs_what_was_in_flight_and_nothing_else(cluster, docs, tmp_path):
    async def on_the_cluster():
        embedder = join(cluster, partial(SlowEmbedder, delay_seconds=0.2))
        killed = []

        def kill(progress):
            if not killed:
                killed.append(embedder.cluster._driver._process.pid)
                os.kill(killed[0], signal.SIGKILL)

        try:
            return await index(tmp_path / "ray.db", embedder, on_progress=kill)
        finally:
            await embedder.close()
            assert killed

    _, rows = asyncio.run(on_the_cluster())
    assert rows == asyncio.run(index(tmp_path / "alone.db", CountingEmbedder()))[1]


@pytest.mark.slow
def test_a_text_that_is_refused_on_a_node_is_refused_with_its_place(cluster):
    async def ask():
        embedder = join(cluster, CountingEmbedder)
        served = embedder.list_models()[0]
        requests = [EmbedRequest(text=f"text {number}") for number in range(300)]
        requests[200] = EmbedRequest(text="unembeddable")
        try:
            with pytest.raises(EmptyText) as refused:
                await embedder.embed(served, requests)
            assert refused.value.index == 200
            assert len(await embedder.embed(served, requests[:200])) == 200
        finally:
            await embedder.close()
        await until(lambda: cluster.list_actors() == [])

    asyncio.run(ask())


def test_a_node_that_cannot_compute_costs_nothing_while_another_can(cluster, tmp_path):
    async def ask():
        embedder = join(cluster, partial(open_unless_first, tmp_path / "opened"), min_actors=0)
        try:
            found = await embedder.embed(embedder.list_models()[0], [EmbedRequest(text="text")])
            assert (len(found), embedder.cluster.status.refused) == (1, 1)
        finally:
            await embedder.close()

    asyncio.run(ask())


@pytest.mark.slow
def test_work_is_given_to_another_driver_while_the_last_messages_of_one_that_ended_are_read(cluster, tmp_path):
    is_held, is_free = threading.Event(), threading.Event()

    def hold(_):
        is_held.set()
        is_free.wait(60)

    async def ask():
        embedder = join(cluster, partial(open_unless_first, tmp_path / "opened"), min_actors=0, on_notice=hold)
        served = embedder.list_models()[0]
        try:
            first = asyncio.create_task(embedder.embed(served, [EmbedRequest(text="first")]))
            await until(is_held.is_set)
            os.kill(embedder.cluster._driver._process.pid, signal.SIGKILL)
            embedder.cluster._driver._process.wait()
            second = asyncio.create_task(embedder.embed(served, [EmbedRequest(text="second")]))
            await asyncio.sleep(0.2)
            assert not second.done()
            is_free.set()
            assert len(await first) == len(await second) == 1
        finally:
            is_free.set()
            await embedder.close()

    asyncio.run(ask())


@pytest.mark.timeout(60)
def test_ctrl_c_does_not_wait_for_what_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = Settings(model=("fake",))

        async def ask():
            joining = asyncio.create_task(join_cluster(settings, CountingEmbedder(), address))
            connection, _ = await asyncio.to_thread(silent.accept)
            joining.cancel()
            with pytest.raises(asyncio.CancelledError):
                await joining
            connection.close()

        asyncio.run(ask())  # waits for its threads, and the timeout of this test is shorter than that of joining
