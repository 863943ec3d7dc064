"""A corpus on a Ray cluster: the same rows as on one machine, whatever happens to actors, nodes and the driver."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from batch_steps import until
from counting_embedder import CountingEmbedder
from gemvec.cli.app import app
from gemvec.cli.ray import join_cluster
from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import ClusterUnavailable, EmptyText
from gemvec.milvus import PassageOptions, Sources, Splitter, ingest, open_collection
from gemvec.milvus.cluster_cutter import ClusterCutter
from gemvec.ray.cluster import Cluster
from gemvec.ray.embedder import RayEmbedder
from gemvec.ray.messages import ClusterSpec
from gemvec.ray.node import identity
from gemvec.settings import Settings
from import_server import running_import_server
from ray_embedders import SlowEmbedder, open_faulty, open_unless_first

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


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """Let the actors of a command fail on some texts."""
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("gemvec.ray.spec.open_models", partial(open_faulty, tmp_path))


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


@pytest.mark.slow
@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("poison", "it cannot be embedded: the actors that computed it died"),
        ("broken", r"it cannot be embedded: ValueError in ray_embedders\.py:\d+"),
    ],
)
def test_a_text_that_kills_actors_or_fails_everywhere_costs_its_document_and_not_the_run(
    cluster, docs, tiny_model, word, reason
):
    for file in sorted(docs.iterdir())[2:]:
        file.unlink()
    (docs / "d00.md").write_text(f"This is {word}.\n")
    (docs / "d01.md").write_text("This has a hiccup.\n")  # fails once, on whatever node comes first
    arguments = ["index", "docs", "--model", tiny_model, "--embedding-cache-bytes", "0"]
    on_ray = [*arguments, "--uri", "ray.db", "--ray", cluster.address, "--json", "--error-report", "left_out.jsonl"]
    told = json.loads(command(*on_ray).stdout)
    assert (told["added"], [each["source"] for each in told["bad"]]) == (1, ["docs/d00.md"])
    assert re.fullmatch(reason, told["bad"][0]["reason"])
    assert [json.loads(line) for line in Path("left_out.jsonl").read_text().splitlines()] == told["bad"]
    # The next run tries it again, and ends in the same way.
    again = runner.invoke(app, [str(each) for each in [*on_ray, "--strict"]])
    assert again.exit_code == 1
    assert (json.loads(again.stdout)["unchanged"], json.loads(again.stdout)["bad"]) == (1, told["bad"])
    (docs / "d00.md").unlink()
    command(*arguments, "--uri", "alone.db")
    assert [{**row, "vector": None} for row in rows_of("ray.db")] == [
        {**row, "vector": None} for row in rows_of("alone.db")
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("faults")
def test_where_no_text_can_be_embedded_the_run_ends_instead_of_leaving_everything_out(cluster, docs, tiny_model):
    for file in docs.iterdir():
        file.write_text("This is broken.\n")
    flags = ["--uri", "ray.db", "--ray", cluster.address, "--embedding-cache-bytes", "0"]
    ended = runner.invoke(app, [str(each) for each in ["index", "docs", "--model", tiny_model, *flags]])
    assert isinstance(ended.exception, ClusterUnavailable)
    assert "Texts cannot be embedded on the Ray cluster: ValueError" in ended.exception.message


@pytest.mark.slow
@pytest.mark.usefixtures("faults")
def test_a_text_that_cannot_be_embedded_ends_gemvec_embed_with_its_number(cluster, tmp_path, tiny_model):
    texts = [f"Text {number}." for number in range(1, 1501)]
    texts[1199] = "This is broken."
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    flags = ["--output", tmp_path / "vectors.npy", "--model", tiny_model, "--ray", cluster.address]
    ended = runner.invoke(app, [str(each) for each in ["embed", "--file", tmp_path / "texts.txt", *flags]])
    assert isinstance(ended.exception, ClusterUnavailable)
    assert "Text 1,200 cannot be embedded: ValueError" in ended.exception.message
    assert not (tmp_path / "vectors.npy").exists()


@pytest.mark.slow
def test_a_collection_is_moved_to_another_model_on_a_cluster_as_on_one_machine(
    cluster, docs, tiny_model, tmp_path, monkeypatch
):
    for file in sorted(docs.iterdir())[40:]:
        file.unlink()
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    pooling = other / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace("pooling_mode_mean_tokens", "pooling_mode_max_tokens"))
    for name in ("alone", "ray"):
        command("index", "docs", "--model", tiny_model, "--uri", f"{name}.db")
    move = ["reembed", "--model", other, "--embedding-cache-bytes", "0", "--json", "--uri"]
    on_ray = [*move, "ray.db", "--ray", cluster.address]
    killing = subprocess.Popen([sys.executable, "-m", "gemvec", *map(str, on_ray)])
    asyncio.run(until(cluster.list_actors))
    killing.kill()
    killing.wait()
    asyncio.run(until(lambda: cluster.list_actors() == []))
    moved = json.loads(command(*on_ray).stdout)
    assert (moved["old"]["model"], moved["new"]["model"]) == (str(tiny_model), str(other))
    assert json.loads(command(*move, "alone.db").stdout)["rows"] == moved["rows"] > 0
    found = {name: rows_of(f"{name}.db") for name in ("alone", "ray")}
    assert [{**row, "vector": None} for row in found["ray"]] == [{**row, "vector": None} for row in found["alone"]]
    vectors = {name: np.array([row["vector"] for row in rows]) for name, rows in found.items()}
    assert np.allclose(vectors["ray"], vectors["alone"], atol=1e-3)


@pytest.mark.slow
def test_milvus_imports_the_rows_of_a_cluster_once_though_the_command_is_killed(cluster, docs, tiny_model, tmp_path):
    (tmp_path / "server").mkdir()
    arguments = ["index", "docs", "--model", str(tiny_model), "--embedding-cache-bytes", "0", "--json", "--uri"]
    with running_import_server(tmp_path / "server") as server:
        server.is_held.set()
        on_ray = [*arguments, server.address, "--bulk", str(tmp_path / "place"), "--ray", cluster.address]
        killed = subprocess.Popen([sys.executable, "-m", "gemvec", *on_ray], stdout=subprocess.PIPE)
        asyncio.run(until(lambda: server.jobs, seconds=300))
        killed.kill()
        killed.communicate()
        server.is_held.clear()
        told = json.loads(command(*on_ray).stdout)
        assert (told["documents"], told["unchanged"], told["embedded"]) == (60, 60, 0)
        found = rows_of(server.address)
        assert set(server.imported.values()) == {1}
    command(*arguments, "alone.db")
    assert [{**row, "vector": None} for row in found] == [{**row, "vector": None} for row in rows_of("alone.db")]


@pytest.mark.slow
def test_a_command_waits_for_a_node_that_is_large_enough_and_says_so_once(cluster, docs, tiny_model):
    for file in sorted(docs.iterdir())[1:]:
        file.unlink()
    flags = ["--uri", "ray.db", "--ray", cluster.address, "--ray-actor-cpus", "2", "--embedding-cache-bytes", "0"]
    waiting = subprocess.Popen(
        [sys.executable, "-m", "gemvec", "index", "docs", "--model", str(tiny_model), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.communicate(timeout=90)  # longer than chunks of batches wait
    node = cluster.add_node(cpus=2)
    try:
        printed, said = waiting.communicate()
    finally:
        cluster.kill_node(node)
    assert waiting.returncode == 0, said
    assert "1 document (1 added)" in printed
    assert said.count("no actor has a place yet, so the command waits; Ctrl-C ends it") == 1
    assert "each takes 2 CPUs of a node, all nodes together have 2 CPUs (2 free), 0 GPUs (0 free)" in said


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
