"""`gemvec collections`: what a person and a script see; a real tiny model and a real Milvus Lite."""

import json

import pytest
from typer.testing import CliRunner

from gemvec.cli.app import app

runner = CliRunner()


def run(*arguments, code=0, **options):
    outcome = runner.invoke(app, [str(each) for each in arguments], **options)
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    return outcome.stdout


def ask(*arguments):
    return json.loads(run("collections", *arguments, "--json"))


@pytest.fixture
def indexed(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("a.md", "b.txt", "deep/c.md", "deep/d.md"):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Title\n\nText of {name}.")
    run("index", "docs", "--model", tiny_model)
    return tmp_path


def test_collections_are_listed_shown_and_counted(indexed):
    (listed,) = ask("list")
    assert (listed["name"], listed["passages"], listed["others"]) == ("docs", 4, [])
    shown = ask("show")
    assert shown == listed
    assert shown["fingerprint"]["dimensionality"] > 0
    assert shown["indexing"]["root"] == str(indexed)
    counted = ask("stats", "docs")
    assert counted == {
        "documents": 4,
        "passages": 4,
        "incomplete": 0,
        "sources": 4,
        "documents_by_suffix": {".md": 3, ".txt": 1},
    }


@pytest.mark.parametrize("command", [["list"], ["show"], ["stats"]])
def test_what_people_read_fits_80_columns(indexed, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("collections", *command)
    assert "4" in shown
    lines = [line for line in shown.splitlines() if str(indexed) not in line]
    assert max(map(len, lines)) <= 80


def test_there_may_be_no_collections(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ask("list") == []
    assert "no collections" in run("collections", "list")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sources", "deleted"),
    [
        (["docs/a.md"], {"docs/a.md": 1}),
        (["docs/deep"], {"docs/deep": 2}),
        (["docs/*.md", "docs/b.txt"], {"docs/*.md": 1, "docs/b.txt": 1}),
        (["docs", "docs/a.md"], {"docs": 4, "docs/a.md": 0}),
    ],
)
def test_documents_are_deleted_by_source(indexed, sources, deleted):
    named = [each for source in sources for each in ("--source", source)]
    assert ask("delete", *named) == {"deleted": deleted}
    assert ask("stats")["documents"] == 4 - sum(deleted.values())


@pytest.mark.parametrize("command", [["drop", "", "--yes"], ["delete", "", "--source", "docs"], ["show", ""]])
def test_an_empty_name_is_not_the_usual_collection(indexed, command):
    outcome = runner.invoke(app, ["collections", *command])
    assert "The collection name is ''" in outcome.exception.message
    assert ask("stats")["documents"] == 4


def test_an_empty_source_deletes_nothing(indexed):
    outcome = runner.invoke(app, ["collections", "delete", "--source", "docs/a.md", "--source", ""])
    assert "A source is empty" in outcome.exception.message
    assert ask("stats")["documents"] == 4


def test_a_source_that_is_gone_can_be_deleted_and_one_that_never_was_is_refused(indexed):
    (indexed / "docs" / "a.md").unlink()
    assert ask("delete", "--source", indexed / "docs" / "a.md")
    outcome = runner.invoke(app, ["collections", "delete", "--source", "docs/b.txt", "--source", "docs/nope.md"])
    assert "'docs/nope.md'" in outcome.exception.message
    assert ask("stats")["documents"] == 3


def test_a_collection_is_dropped_only_after_confirmation(indexed):
    outcome = runner.invoke(app, ["collections", "drop", "docs"], input="n\n")
    assert "Nothing was deleted" in outcome.exception.message
    assert len(ask("list")) == 1
    assert ask("drop", "docs", "--yes") == {"name": "docs", "passages": 4}
    assert ask("list") == []


def test_a_collection_that_does_not_exist_is_named(indexed):
    outcome = runner.invoke(app, ["collections", "show", "nope"])
    assert "'nope'" in outcome.exception.message
