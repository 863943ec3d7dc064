"""`gemvec index --watch`: changed, new and deleted files are in the index soon, and Ctrl-C ends it well."""

import json
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from gemvec.cli import watch as watching
from gemvec.cli.app import app
from gemvec.cli.watch import watch
from gemvec.errors import InvalidRequest

PROGRAM = "import sys; from gemvec.cli.app import run; sys.exit(run())"


@pytest.fixture
def docs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("First text.")
    return folder


def next_outcome(process):
    """Return the next outcome that the process prints, one JSON object a line."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def test_changes_and_deletions_are_indexed_while_it_watches_and_ctrl_c_ends_it(docs, tiny_model):
    words = ["index", ".", "--watch", "--json", "--model", str(tiny_model)]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert next_outcome(process)["added"] == 1
            (docs / "b.md").write_text("Second text.")
            assert next_outcome(process)["added"] == 1
            (docs / "a.md").write_text("Another text.")
            assert next_outcome(process)["changed"] == 1
            (docs / "b.md").unlink()
            assert next_outcome(process)["removed"] == 1
            process.send_signal(signal.SIGINT)
            rest, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in said
    found = CliRunner().invoke(app, ["search", "text", "--json"])
    assert [hit["text"] for hit in json.loads(found.stdout)] == ["Another text."]


def test_a_failure_that_lasts_is_said_once_and_ends_when_its_cause_does(docs, tiny_model):
    (docs / "a.md").unlink()
    (docs.parent / "b.md").write_text("A text.")
    words = ["index", "docs", "b.md", "--watch", "--json", "--model", str(tiny_model)]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert next_outcome(process)["added"] == 1
            docs.rmdir()  # a source without a document, so that it may be a mistake
            time.sleep(4)
            docs.mkdir()
            (docs / "c.md").write_text("Another text.")
            assert next_outcome(process)["added"] == 1
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert said.count("There is no file, folder or match for 'docs'") == 1


def test_a_change_right_after_the_watching_has_begun_is_not_missed(docs):
    changes = watch(["docs"], [])
    next(changes)
    (docs / "b.md").write_text("Second text.")
    deadline = time.monotonic() + 60
    while not next(changes):
        assert time.monotonic() < deadline
    changes.close()


def sees_a_change(changes):
    """Return whether the next steps of a watch tell of a change."""
    return any(next(changes) for _ in range(4))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("source", ["link", "link/a.md", "a.md"])
def test_what_a_link_leads_to_is_watched(docs, source):
    (docs.parent / "link").symlink_to("docs")
    (docs.parent / "a.md").symlink_to("docs/a.md")
    changes = watch([source], [])
    next(changes)
    (docs / "a.md").write_text("Second text.")
    assert sees_a_change(changes)
    changes.close()


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that is watched cannot be moved")
@pytest.mark.parametrize("source", ["docs", "docs/a.md", "link"])
def test_a_folder_that_takes_the_place_of_a_watched_one_is_watched(docs, source):
    (docs.parent / "link").symlink_to("docs")
    changes = watch([source], [])
    next(changes)
    docs.rename(docs.parent / "old")
    assert sees_a_change(changes)
    assert not sees_a_change(changes)
    docs.mkdir()
    assert sees_a_change(changes)
    (docs / "a.md").write_text("New text.")
    assert sees_a_change(changes)
    changes.close()


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("node_modules/docs", "node_modules/docs/b.md"),
        ("docs/.notes.md", "docs/.notes.md"),
        ("docs", "docs/.gitignore"),
    ],
)
def test_what_a_run_would_read_is_watched_wherever_it_lies(docs, source, changed):
    (docs.parent / "node_modules" / "docs").mkdir(parents=True)
    changes = watch([source], [])
    next(changes)
    (docs.parent / changed).write_text("Text.")
    assert sees_a_change(changes)
    changes.close()


@pytest.mark.parametrize("folder", [".git", "node_modules", ".cache/deep"])
def test_what_no_run_would_read_is_not_watched(docs, folder):
    (docs / folder).mkdir(parents=True)
    changes = watch(["docs"], [])
    next(changes)
    (docs / folder / "b.md").write_text("Text.")
    assert not sees_a_change(changes)
    changes.close()


@pytest.mark.parametrize(("source", "message"), [("-", "Standard input"), ("nowhere/a.md", "'nowhere'")])
def test_what_cannot_be_watched_is_refused(docs, source, message):
    with pytest.raises(InvalidRequest, match=message):
        watch([source], [])


def test_a_folder_that_is_removed_just_before_its_watch_begins_is_waited_for(docs, monkeypatch):
    identify, removed = watching._identify, []

    def identify_and_remove(folder):
        identity = identify(folder)
        if not removed:
            removed.append(docs.rename(docs.with_name("elsewhere")))
        return identity

    monkeypatch.setattr(watching, "_identify", identify_and_remove)
    found = watch(["docs"], [])
    assert next(found), "the documents are gone"
    removed[0].rename(docs)
    while not next(found):
        pass
    found.close()
