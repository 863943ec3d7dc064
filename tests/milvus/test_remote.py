"""A collection filled through a gemvec server and one filled in this process by the same weights are the same."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gemvec.cli.app import app
from gemvec.client import find_target, open_target
from gemvec.milvus import Sources, ingest, open_collection, search
from gemvec.models.local import open_embedder
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings

from .conftest import contents


@pytest.fixture
def settings(tiny_model, tmp_path):
    return Settings(
        model=(str(tiny_model),), streams=1, cache_dir=tmp_path / "cache", data_dir=tmp_path / "data", precision="exact"
    )


@pytest.fixture
def server(settings):
    with serving(open_services(settings)) as url:
        yield url


def test_rows_written_through_a_server_are_those_of_the_model_in_this_process(server, settings, folder, tmp_path):
    async def fill(collection, embedder):
        await ingest(collection, embedder, Sources(["docs"]))
        hits = await search(collection, embedder, "cancel a batch")
        await embedder.close()
        return [hit.document_id for hit in hits]

    with (
        open_collection(str(tmp_path / "a.db"), "docs") as first,
        open_collection(str(tmp_path / "b.db"), "docs") as second,
    ):
        remote = asyncio.run(fill(first, open_target(find_target(server), model=settings.model[0])))
        local = asyncio.run(fill(second, open_embedder(settings)))
        assert first.resolve().fingerprint == second.resolve().fingerprint
        plain = [[{**row, "vector": None} for row in contents(each)] for each in (first, second)]
        assert plain[0] == plain[1]
    assert remote == local


def test_a_collection_filled_through_a_server_is_searched_in_this_process(
    server, settings, folder, monkeypatch, tiny_model
):
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(settings.cache_dir))
    runner = CliRunner()
    filled = runner.invoke(app, ["index", "docs", "--base-url", server, "--json"])
    assert json.loads(filled.stdout)["embedded"] == 3
    for place in (["--base-url", server], ["--model", str(tiny_model)]):
        found = runner.invoke(app, ["search", "cancel a batch", "--json", *place])
        assert len(json.loads(found.stdout)) == 3
