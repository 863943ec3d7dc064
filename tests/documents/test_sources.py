import io
import os
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("may_be_gone", [False, True])
def test_an_empty_source_is_refused_and_is_not_the_current_folder(tree, may_be_gone):
    with pytest.raises(InvalidRequest, match="A source is empty"):
        Sources(["docs", ""], may_be_gone=may_be_gone)


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
    (tree / "docs" / "b.md").write_bytes(b"\0\0")
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
def test_a_spot_that_a_reader_stumbles_over_does_not_cost_the_document(tree, name, content):
    (tree / "docs" / name).write_bytes(content)
    (found,) = [each for each in Sources(["docs"]) if each.source == f"docs/{name}"]
    assert found.text.strip() == "text"


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
    ("data", "title", "text"),
    [
        (
            b"<!-- made --><!DOCTYPE html><title>A page</title><nav>Menu</nav><p>Its <b>words</b>.",
            "A page",
            "Its **words**.",
        ),
        (b"---\ntitle: A note\n---\nIts <b>words</b>.\n", "A note", "Its words."),
        (b"Just text.", "", "Just text."),
    ],
)
def test_standard_input_is_read_as_what_it_is(data, title, text):
    (found,) = Sources(["-"], standard_input=io.BytesIO(data))
    assert (found.title, found.text.strip(), found.source) == (title, text, "standard input")


def test_a_pdf_that_cannot_be_read_may_come_from_standard_input():
    (found,) = Sources(["-"], standard_input=io.BytesIO(b"%PDF-1.4 and no more"))
    assert "not a readable PDF" in found.reason


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
    ("source", "name", "held"),
    [
        ("docs", "docs/deep/c.rst", True),
        ("docs", "docs-old/c.rst", False),
        ("docs", "/elsewhere/docs/c.rst", False),
        (".", "anything.md", True),
        (".", "/elsewhere/x.md", False),
        (".", "standard input", False),
        (".", "https://example.org/page", False),
        ("docs/b.md", "docs/b.md", True),
        ("docs/*.md", "docs/b.md", True),
        ("docs/*.md", "docs/b.txt", False),
        ("docs/*.md", "docs/deep/b.md", False),
        ("docs/**/*.md", "docs/b.md", True),
        ("docs/**/*.md", "docs/deep/er/b.md", True),
        ("-", "standard input", True),
        ("-", "docs/b.md", False),
    ],
)
def test_a_scope_holds_what_its_source_would_find(tree, source, name, held):
    (scope,) = Sources([source]).scopes
    assert scope.holds(name) is held


def test_a_scope_above_the_root_holds_what_is_named_from_the_root(tree):
    (scope,) = Sources([str(tree)], root=tree / "docs").scopes
    assert scope.holds("b.md")
    assert scope.holds(str(tree / "elsewhere.md"))


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses such names")
@pytest.mark.parametrize("name", ["b*.md", "b?.md", "[ab].md"])
def test_a_file_that_is_called_like_a_glob_stands_for_itself(tree, name):
    (tree / "docs" / name).write_text("A text.")
    (scope,) = Sources([f"docs/{name}"]).scopes
    assert [scope.holds(each) for each in (f"docs/{name}", "docs/b.md", "docs/b1.md")] == [True, False, False]


@pytest.mark.parametrize("name", ["link", "link.md"])
def test_a_link_to_nowhere_is_named_as_what_it_is(tree, name):
    (tree / name).symlink_to("nowhere")
    (bad,) = Sources([name])
    assert bad.reason == "it is a link to something that does not exist"


@pytest.mark.parametrize("how", ["inside", "link", "link to the file", "absolute"])
def test_a_file_has_one_name_however_its_path_is_written(tree, monkeypatch, how):
    (tree / "link").symlink_to("docs")
    (tree / "file.md").symlink_to("docs/b.md")
    monkeypatch.chdir(tree / "docs")
    paths = {
        "inside": "b.md",
        "link": "../link/b.md",
        "link to the file": "../file.md",
        "absolute": str(tree / "docs/b.md"),
    }
    assert ids(paths[how], root=tree) == ["docs/b.md"]


def test_a_link_into_a_hidden_folder_keeps_its_own_name(tree):
    (tree / "docs" / "..data").mkdir()
    (tree / "docs" / "..data" / "x.md").write_text("Text.")
    (tree / "docs" / "x.md").symlink_to("..data/x.md")
    assert "docs/x.md" in ids("docs")


def test_a_source_that_is_gone_may_be_one_without_documents(tree):
    sources = Sources(["docs", "gone", "gone/*.md"], may_be_gone=True)
    assert list(sources.gone) == ["gone", "gone/*.md"]
    assert [scope.holds("gone/a.md") for scope in sources.scopes] == [False, True, True]


def test_files_and_folders_that_are_not_read_are_counted_and_named(tree):
    (tree / "docs" / "venv").mkdir()
    (tree / "docs" / "venv" / "pyvenv.cfg").touch()
    (tree / "docs" / "node_modules").mkdir()
    (tree / "docs" / "node_modules_guide").mkdir()
    (tree / "docs" / "node_modules_guide" / "f.md").write_text("Text.")
    (tree / "docs" / "other").symlink_to(tree)
    os.mkfifo(tree / "docs" / "pipe.md")
    sources = Sources(["docs"])
    assert "docs/node_modules_guide/f.md" in [each.id for each in sources]
    assert dict(sources.left_out.files) == {".bin": 1, "hidden": 1, "pipes and sockets": 1}
    assert [(each.source, each.reason) for each in sources.left_out.folders] == [
        ("docs/.git", "hidden"),
        ("docs/node_modules", "packages of Node.js"),
        ("docs/other", "a link to a folder"),
        ("docs/venv", "a virtual environment of Python"),
    ]


def make_lite_database(folder):
    (folder / "collections" / "docs_1").mkdir(parents=True)
    (folder / "LOCK").touch()
    (folder / "collections" / "docs_1" / "rows.jsonl").write_text('{"text": "A row of the index."}\n')


@pytest.mark.parametrize("source", [".", "old.db", "**/*.jsonl", "old.db/collections/docs_1/rows.jsonl"])
def test_a_database_of_milvus_lite_is_never_read(tree, source):
    make_lite_database(tree / "old.db")
    sources = Sources([source])
    assert not [each for each in sources if "old.db" in each.id]
    assert any("old.db" in each.source and "Milvus Lite" in each.reason for each in sources.left_out.folders)


@pytest.mark.parametrize("source", [".", "report.jsonl", "*.jsonl"])
def test_what_gemvec_writes_itself_is_never_read(tree, source):
    (tree / "report.jsonl").write_text('{"text": "what was left out"}\n')
    assert "report.jsonl" not in [each.source for each in Sources([source], own=[Path("report.jsonl")])]


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_link_in_a_circle_ends(tree):
    (tree / "docs" / "loop").symlink_to(tree / "docs")
    assert ids("docs") == ["docs/a.txt", "docs/b.md", "docs/deep/c.rst"]
