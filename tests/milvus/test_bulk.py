"""New rows imported by Milvus from files: the same rows as written ones, each once, whatever is interrupted."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from counting_embedder import CountingEmbedder
from gemvec.cli.app import app
from gemvec.errors import FailedPrecondition, StorageFailure
from gemvec.milvus import Sources, ingest, open_collection
from gemvec.milvus import bulk as bulk_module
from gemvec.milvus.bulk import BulkImport, parse_place
from gemvec.milvus.import_jobs import ImportJobs
from import_server import running_import_server

from .conftest import contents


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_module, "_POLL_SECONDS", 0.01)
    (tmp_path / "server").mkdir()
    with running_import_server(tmp_path / "server") as running:
        yield running


class Stopped(Exception):
    """The run is killed."""


def index(uri, place=None, *, said=None, embedder=None):
    """Index the folder; return the report and the rows."""

    async def run():
        bulk = None
        if place is not None:
            say = [].append if said is None else said.append
            bulk = BulkImport(place, ImportJobs(uri, ""), say)
        try:
            with open_collection(uri, "docs") as collection:
                report = await ingest(collection, embedder or CountingEmbedder(), Sources(["docs"]), bulk=bulk)
                return report, contents(collection)
        finally:
            if bulk is not None:
                bulk.close()

    return asyncio.run(run())


def files_of(place):
    return sorted(place.rglob("*.parquet"))


def assert_once(server):
    assert set(server.imported.values()) == {1}


def test_rows_are_those_that_are_written_and_no_file_is_left(folder, server, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_module, "PART_BYTES", 1)
    place = tmp_path / "place"
    alone = index(str(tmp_path / "alone.db"))
    report, rows = index(server.address, place)
    assert rows == alone[1]
    assert (report.added, report.embedded) == (alone[0].added, alone[0].embedded)
    assert len(server.imported) == len(rows)
    assert files_of(place) == []
    again, _ = index(server.address, place)
    assert (again.unchanged, again.embedded) == (3, 0)
    # A changed document: its new passages are imported, and its stale rows deleted once they are there.
    (folder / "files.md").write_text("# Files\n\nUpload a file whole.\n")
    changed, rows = index(server.address, place)
    assert (changed.changed, changed.deleted) == (1, 1)
    assert rows == index(str(tmp_path / "alone.db"))[1]
    assert_once(server)


@pytest.mark.parametrize("moment", ["job under way", "job forgotten", "file without a job", "job failed"])
def test_a_run_that_was_killed_is_gone_on_with_and_no_row_comes_twice(folder, server, tmp_path, moment):
    place, said = tmp_path / "place", []

    def stop():
        raise Stopped

    class Killed(BulkImport):
        async def _wait(self):
            if self._under_way:
                raise Stopped

    async def run():
        bulk = Killed(place, ImportJobs(server.address, ""), said.append)
        if moment == "file without a job":
            bulk._start = lambda _: stop()
        with open_collection(server.address, "docs") as collection:
            await ingest(collection, CountingEmbedder(), Sources(["docs"]), bulk=bulk)

    with pytest.raises(Stopped):
        asyncio.run(run())
    assert len(files_of(place)) == 1
    jobs = ImportJobs(server.address, "")
    if moment in {"job forgotten", "job failed"}:
        server.fails = 1 if moment == "job failed" else 0
        for _ in range(2):
            ended = jobs.describe(next(iter(server.jobs)))
        assert ended.state == ("Failed" if moment == "job failed" else "Completed")
    server.forgets = moment == "job forgotten"
    embedder = CountingEmbedder()
    report, rows = index(server.address, place, said=said, embedder=embedder)
    assert said == ["Files of an earlier run that Milvus imports first: 1."]
    assert (report.unchanged, embedder.embedded_texts) == (3, 0)
    assert rows == index(str(tmp_path / "alone.db"))[1]
    assert files_of(place) == []
    assert_once(server)


def test_an_import_that_fails_ends_the_run_with_the_reason_of_milvus(folder, server, tmp_path):
    server.fails = 1
    with pytest.raises(StorageFailure, match=r"Milvus could not import .*\.parquet: no disk left"):
        index(server.address, tmp_path / "place")
    assert index(server.address, tmp_path / "place")[1] == index(str(tmp_path / "alone.db"))[1]
    assert_once(server)


def test_objects_are_named_as_milvus_names_them_in_its_bucket(folder, server, tmp_path, s3_url):
    place = parse_place(f"{s3_url}/gemvec")
    server.is_held.set()
    with pytest.raises(TimeoutError):
        asyncio.run(_in_time(server, place))
    ((name,),) = [job.files for job in server.jobs.values()]
    prefix = s3_url.partition("://")[2].partition("/")[2]
    assert name.startswith("/".join(part for part in (prefix, "gemvec", "docs_") if part))
    assert name.endswith(".parquet")


async def _in_time(server, place):
    bulk = BulkImport(place, ImportJobs(server.address, ""), print)
    with open_collection(server.address, "docs") as collection:
        await asyncio.wait_for(ingest(collection, CountingEmbedder(), Sources(["docs"]), bulk=bulk), 5)


def test_the_command_imports_and_says_what_it_cannot(folder, server, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    index_docs = ["index", "docs", "--model", str(tiny_model), "--bulk", str(tmp_path / "place")]
    told = CliRunner().invoke(app, [*index_docs, "--uri", server.address, "--json"])
    assert told.exit_code == 0, (told.output, told.exception)
    assert json.loads(told.stdout)["added"] == 3
    assert sum(server.imported.values()) == json.loads(told.stdout)["embedded"]
    refused = CliRunner().invoke(app, [*index_docs, "--uri", "lite.db"])
    assert "needs a Milvus server, and --uri lite.db is Milvus Lite" in str(refused.exception)
    refused = CliRunner().invoke(app, [*index_docs, "--uri", server.address, "--watch"])
    assert "--watch and --bulk exclude each other" in str(refused.exception)


def test_a_server_without_bulk_import_is_named_before_anything_is_embedded(folder, server, tmp_path):
    server.has_jobs = False
    embedder = CountingEmbedder()
    with pytest.raises(FailedPrecondition, match=r"has no bulk import by REST, as 2\.4 and later have"):
        index(server.address, tmp_path / "place", embedder=embedder)
    assert embedder.embedded_texts == 0
