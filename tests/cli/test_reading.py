"""Commands that only read leave nothing behind where there is nothing to read."""

import pytest
from typer.testing import CliRunner

from gemvec.cli.app import app
from gemvec.errors import CollectionNotFound

COMMANDS = {
    "search": ["search", "a question"],
    "export": ["export", "out/docs.parquet"],
    "reembed": ["reembed", "--model", "wordllama"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_lite_file_that_does_not_exist_is_refused_and_not_made(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, [*COMMANDS[command], "--uri", "folder/none.db"])
    assert isinstance(outcome.exception, CollectionNotFound)
    assert "folder/none.db" in outcome.exception.message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_collection_that_does_not_exist_is_refused_and_not_made(tmp_path, monkeypatch, command):
    from gemvec.milvus import open_collection

    monkeypatch.chdir(tmp_path)
    with open_collection("other.db", "other"):
        pass
    outcome = CliRunner().invoke(app, [*COMMANDS[command], "--uri", "other.db"])
    assert isinstance(outcome.exception, CollectionNotFound)
    assert not (tmp_path / "out").exists()
    with open_collection("other.db", "docs") as collection:
        assert not collection.exists()
