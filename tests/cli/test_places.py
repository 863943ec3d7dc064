"""`gemvec index` with sources that are not files: a real web site, S3 server, Git repository and Milvus Lite."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
from obstore.store import from_url
from typer.testing import CliRunner

from gemvec.cli.app import app

runner = CliRunner()
HTML = "<html><head><title>{0}</title></head><body><main><h1>{0}</h1><p>{1}</p></main></body></html>"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GEMVEC_MODEL", str(tiny_model))
    return tmp_path


def run(*arguments, code=0):
    outcome = runner.invoke(app, [str(each) for each in arguments])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    return outcome


def report(*arguments, code=0):
    return json.loads(run("index", *arguments, "--json", code=code).stdout)


@pytest.fixture
def pages(site):
    site.put_sitemap("/a", "/b", "/c")
    for name in "abc":
        site.put(f"/{name}", HTML.format(name, f"The text of {name}."), ETag=f'"{name}"')
    return site


def test_a_site_is_indexed_once_and_then_only_what_has_changed(pages):
    source = f"{pages.url}/sitemap.xml"
    assert report(source)["added"] == 3
    assert [status for _, status in pages.take_asked()] == [200] * 4
    again = report(source, "--prune")
    assert (again["unchanged"], again["embedded"], again["removed"]) == (3, 0, 0)
    assert [status for path, status in pages.take_asked() if path != "/sitemap.xml"] == [304] * 3
    pages.put("/a", HTML.format("a", "Another text."), ETag='"new"')
    changed = report(source)
    assert (changed["unchanged"], changed["changed"]) == (2, 1)


def test_prune_touches_only_what_the_source_stands_for(pages, here):
    (here / "docs").mkdir()
    (here / "docs" / "own.md").write_text(f"---\nsitemap: {pages.url}/sitemap.xml\n---\nOwn text.")
    pages.put("/single", HTML.format("single", "A single page."))
    report("docs", f"{pages.url}/single", f"{pages.url}/sitemap.xml")
    pages.put_sitemap("/a", "/b")
    pages.put("/b", "", status=500)
    pruned = report(f"{pages.url}/sitemap.xml", "--prune")
    assert (pruned["removed"], [each["source"] for each in pruned["bad"]]) == (1, [f"{pages.url}/b"])
    found = {hit["source"] for hit in json.loads(run("search", "text", "--json", "--limit", "20").stdout)}
    assert found == {"docs/own.md", f"{pages.url}/single", f"{pages.url}/a", f"{pages.url}/b"}
    assert report("docs", "--prune")["removed"] == 0


def test_a_page_that_is_gone_goes_only_with_prune(pages):
    source = f"{pages.url}/sitemap.xml"
    report(source)
    del pages.pages["/b"]
    assert report(source)["removed"] == 0
    assert report(source, "--prune")["removed"] == 1


def test_a_site_that_is_gone_can_be_pruned_and_deleted(pages):
    source = f"{pages.url}/sitemap.xml"
    report(source)
    pages.pages.clear()
    assert report(source, "--prune")["removed"] == 3
    pages.put_sitemap("/a")
    pages.put("/a", HTML.format("a", "A text."))
    report(source)
    assert json.loads(run("collections", "delete", "--source", source, "--json").stdout)["deleted"] == {source: 1}


def test_what_is_left_out_is_said_and_strict_ends_so(pages):
    pages.put("/b", "x", media_type="image/png")
    outcome = run("index", f"{pages.url}/sitemap.xml", "--strict", code=1)
    assert f"left out: {pages.url}/b" in outcome.stderr
    assert "no reader for image/png" in outcome.stderr


def test_no_secret_is_printed_or_stored(pages, here):
    pages.put("/b?token=hidden", HTML.format("b", "A text."))
    outcome = run("index", f"http://user:hidden@{pages.host}/b?token=hidden", "--error-report", "bad.jsonl")
    found = run("search", "text", "--json").stdout
    assert f"{pages.url}/b" in found
    assert "hidden" not in outcome.output + found
    for path in here.rglob("*"):
        assert not path.is_file() or b"hidden" not in path.read_bytes(), path


def test_objects_of_a_bucket_are_indexed_and_pruned(store_url):
    store = from_url(store_url)
    for name in ("a.md", "deep/b.md"):
        store.put(name, f"Text of {name}.".encode())
    assert report(store_url)["added"] == 2
    assert report(store_url)["unchanged"] == 2
    store.put("a.md", b"Another text.")
    store.delete("deep/b.md")
    changed = report(store_url, "--prune")
    assert (changed["changed"], changed["removed"]) == (1, 1)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_repository_is_indexed_and_pruned(here):
    folder = here / "project.git"
    folder.mkdir()
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]

    def commit(**texts):
        for name, text in texts.items():
            (folder / f"{name}.md").write_text(text)
        for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "x"]):
            subprocess.run(["git", *identity, *command], cwd=folder, check=True)

    source = folder.as_uri()
    commit(README="# Project\n\nOne.", guide="Two.", notes="Three.")
    assert report(source)["added"] == 3
    (folder / "notes.md").unlink()
    commit(README="# Project\n\nFour.")
    second = report(source, "--prune")
    assert (second["unchanged"], second["changed"], second["removed"]) == (1, 1, 1)


def test_an_interrupted_run_ends_at_once_and_the_next_one_goes_on(pages, here):
    pages.pages["/b"].headers["X-Stall"] = "yes"
    source = f"{pages.url}/sitemap.xml"
    command = [sys.executable, "-m", "gemvec", "index", source]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert pages.stalled.wait(100)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=100)  # before the server answers
    assert process.returncode == 130, said
    assert "run the same command again" in said
    pages.go_on.set()
    assert report(source)["documents"] == 3


def test_addresses_are_not_watched(pages):
    outcome = runner.invoke(app, ["index", f"{pages.url}/a", "--watch"])
    assert "watched" in outcome.exception.message
