import io
import os
from pathlib import Path

import pytest

from gemvec.documents.sources import Scope
from gemvec.errors import InvalidRequest
from gemvec.milvus import BadDocument, Document, Sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("docs/b.md", "docs/a.txt", "docs/deep/c.rst", "docs/.hidden.md", "docs/.git/d.md", "docs/e.bin"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")
    return tmp_path


def ids(*sources, **options):
    return [each.id for each in Sources(sources, **options)]


def test_a_folder_is_searched_through_in_order_without_hidden_and_unknown_files(tree):
    assert ids("docs") == ["docs/a.txt", "docs/b.md", "docs/deep/c.rst"]


def test_globs_find_files(tree):
    assert ids("docs/**/*.rst", "docs/*.md") == ["docs/deep/c.rst", "docs/b.md"]


def test_a_file_named_twice_is_read_once(tree):
    assert ids("docs/b.md", "docs", "./docs/../docs/b.md") == ["docs/b.md", "docs/a.txt", "docs/deep/c.rst"]


def test_ids_do_not_depend_on_how_a_path_is_written(tree):
    assert ids("docs") == ids(str(tree / "docs")) == ids("./docs/")


def test_a_file_outside_the_current_folder_has_its_whole_path_as_id(tree, monkeypatch):
    monkeypatch.chdir(tree / "docs" / "deep")
    assert ids("../b.md") == [str(tree / "docs" / "b.md")]


def test_one_string_is_one_source(tree):
    assert [each.id for each in Sources("docs")] == ids("docs")


def test_a_source_that_does_not_exist_is_refused_at_once(tree):
    with pytest.raises(InvalidRequest, match="'dosc'"):
        Sources(["docs", "dosc"])


def test_a_file_that_cannot_be_read_is_reported_and_the_others_come(tree):
    (tree / "docs" / "b.md").write_bytes(b"\xff\xff")
    found = list(Sources(["docs", "docs/e.bin"]))
    assert [each.id for each in found if isinstance(each, Document)] == ["docs/a.txt", "docs/deep/c.rst"]
    assert [each.source for each in found if isinstance(each, BadDocument)] == ["docs/b.md", "docs/e.bin"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("date.md", b"---\nwhen: 2024-99-99\n---\ntext\n"),
        ("itself.md", b"---\na: &a [*a]\n---\ntext\n"),
        ("deep.html", b"<div>" * 5000 + b"text" + b"</div>" * 5000),
    ],
)
def test_a_file_that_its_reader_fails_on_is_reported_and_the_others_come(tree, name, content):
    (tree / "docs" / name).write_bytes(content)
    found = list(Sources(["docs"]))
    assert [each.source for each in found if isinstance(each, BadDocument)] == [f"docs/{name}"]
    assert len(found) == 4


def test_a_link_to_nowhere_is_reported_and_a_pipe_left_alone(tree):
    (tree / "docs" / "link.md").symlink_to("nowhere.md")
    os.mkfifo(tree / "docs" / "pipe.md")
    found = list(Sources(["docs", "docs/*.md"]))
    assert [each.id for each in found if isinstance(each, Document)] == ["docs/a.txt", "docs/b.md", "docs/deep/c.rst"]
    assert [each.source for each in found if isinstance(each, BadDocument)] == ["docs/link.md"]


def test_a_folder_that_cannot_be_read_is_reported(tree, monkeypatch):
    monkeypatch.chdir(tree / "docs" / "deep")
    for _ in range(25):  # longer than a path may be
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    os.chdir(tree)
    (bad,) = [each for each in Sources(["docs"]) if isinstance(each, BadDocument)]
    assert bad.source.startswith("docs/deep/ddd")


def test_a_file_that_vanishes_meanwhile_is_reported(tree):
    sources = Sources(["docs"])
    (tree / "docs" / "b.md").unlink()
    assert [each.source for each in sources if isinstance(each, BadDocument)] == ["docs/b.md"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"Just text.", ["standard input"]), (b'{"id": 5, "text": "x"}\n{"text": ""}\n', ["standard input#5", ""])],
)
def test_standard_input_is_one_text_or_json_lines(data, expected):
    assert ids("-", standard_input=io.BytesIO(data)) == expected


def test_bytes_read_reach_the_total(tree):
    sources = Sources(["docs"])
    *_, last = sources
    assert last.read_bytes == sources.total_bytes > 0


@pytest.mark.parametrize(
    ("scope", "source", "held"),
    [
        (Scope(path="docs", is_folder=True), "docs/deep/c.rst", True),
        (Scope(path="docs", is_folder=True), "docs-old/c.rst", False),
        (Scope(path=".", is_folder=True), "anything.md", True),
        (Scope(path=".", is_folder=True), "/elsewhere/x.md", False),
        (Scope(path="a.jsonl"), "a.jsonl", True),
        (Scope(path="docs/*.md"), "docs/b.md", True),
        (Scope(path="docs/*.md"), "docs/b.txt", False),
        (Scope(path="docs/*.md"), "docs/deep/b.md", False),
        (Scope(path="docs/**/*.md"), "docs/b.md", True),
        (Scope(path="docs/**/*.md"), "docs/deep/er/b.md", True),
        (Scope(path=".", is_folder=True), "standard input", False),
    ],
)
def test_a_scope_holds_what_its_source_would_find(scope, source, held):
    assert scope.holds(source) is held


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_link_in_a_circle_ends(tree):
    (tree / "docs" / "loop").symlink_to(tree / "docs")
    assert ids("docs") == ["docs/a.txt", "docs/b.md", "docs/deep/c.rst"]
