"""Ignore files, patterns and rules decide which files of a folder are read, and what they leave out is said."""

import pytest

from gemvec.documents import Filters, Sources
from gemvec.errors import InvalidRequest


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository with the folder docs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    for name in ("docs/a.md", "docs/b.txt", "docs/drafts/c.md", "docs/drafts/d.txt", "docs/api/drafts.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")
    return tmp_path


def read(*sources, **filters):
    found = Sources(sources or ["docs"], filters=Filters(**filters))
    return [each.id.removeprefix("docs/") for each in found]


def test_all_is_read_without_rules(tree):
    assert read() == ["a.md", "b.txt", "api/drafts.md", "drafts/c.md", "drafts/d.txt"]


@pytest.mark.parametrize("name", [".gitignore", ".gemvecignore"])
@pytest.mark.parametrize("place", ["", "docs"])
def test_an_ignore_file_leaves_out_what_it_names_and_it_is_said(tree, name, place):
    (tree / place / name).write_text("drafts/\n*.txt\n")
    sources = Sources(["docs"])
    assert [each.id for each in sources] == ["docs/a.md", "docs/api/drafts.md"]
    rule = f"docs/{name}" if place else str(tree / name)
    assert dict(sources.left_out.ignored) == {rule: 1}
    assert [(each.source, each.reason) for each in sources.left_out.folders] == [("docs/drafts", f"left out by {rule}")]


def test_a_deeper_ignore_file_decides_before_one_above_it(tree):
    (tree / ".gitignore").write_text("*.txt\n")
    (tree / "docs/drafts/.gitignore").write_text("!d.txt\n")
    assert read() == ["a.md", "api/drafts.md", "drafts/c.md", "drafts/d.txt"]


def test_gemvecignore_decides_before_gitignore(tree):
    (tree / "docs/.gitignore").write_text("*.txt\n")
    (tree / "docs/.gemvecignore").write_text("!b.txt\n")
    assert "b.txt" in read()


def test_an_ignored_folder_is_read_when_it_is_named(tree):
    (tree / ".gitignore").write_text("docs/\n")
    assert read("docs/drafts") == ["drafts/c.md", "drafts/d.txt"]


def test_an_ignore_file_above_the_repository_does_not_count(tree):
    (tree / "docs/.git").mkdir()
    (tree / ".gitignore").write_text("*.txt\n")
    assert "b.txt" in read()


def test_a_line_that_is_no_pattern_is_skipped_as_git_does(tree):
    (tree / "docs/.gitignore").write_text("!\n*.txt\n")
    assert "b.txt" not in read()


def test_include_and_exclude_are_patterns_below_the_source(tree):
    assert read(include=("*.md",)) == ["a.md", "api/drafts.md", "drafts/c.md"]
    assert read(exclude=("drafts",)) == ["a.md", "b.txt", "api/drafts.md"]
    assert read(include=("*.md",), exclude=("/drafts/", "a.md")) == ["api/drafts.md"]
    assert read("docs/**/*.md", exclude=("drafts/",)) == ["a.md", "api/drafts.md"]


def test_a_file_that_is_named_is_read_whatever_the_rules_say(tree):
    (tree / "docs/.gitignore").write_text("*\n")
    assert read("docs/a.md", exclude=("a.md",)) == ["a.md"]


def test_what_patterns_leave_out_is_counted(tree):
    sources = Sources(["docs"], filters=Filters(include=["*.md"], exclude=["a.md"]))
    assert dict(sources.left_out.ignored) == {"--exclude": 1, "--include": 2}


def test_pruning_leaves_alone_what_patterns_leave_out(tree):
    (scope,) = Sources(["docs"], filters=Filters(include=["*.md"], exclude=["drafts"])).scopes
    assert [scope.holds(name) for name in ("docs/gone.md", "docs/b.txt", "docs/drafts/c.md")] == [True, False, False]
    (scope,) = Sources(["docs/*"], filters=Filters(exclude=["*.txt"])).scopes
    assert [scope.holds(name) for name in ("docs/gone.md", "docs/b.txt")] == [True, False]


def test_a_pattern_that_cannot_be_understood_is_refused(tree):
    with pytest.raises(InvalidRequest, match="exclude is '!'"):
        Filters(exclude=["!"])


@pytest.mark.parametrize(
    ("folder", "sign"),
    [("build", "pyproject.toml"), ("target", "Cargo.toml"), ("_build", "conf.py"), ("vendor", "go.mod")],
)
def test_what_a_build_has_made_is_left_out_and_a_folder_of_that_name_is_not(tree, folder, sign):
    (tree / "docs" / folder).mkdir()
    (tree / "docs" / folder / "made.md").write_text("Text.")
    assert f"{folder}/made.md" in read()
    (tree / "docs" / sign).touch()
    sources = Sources(["docs"])
    assert f"docs/{folder}/made.md" not in [each.id for each in sources]
    assert [each.reason for each in sources.left_out.folders] == ["what a build has made"]


def test_an_ignore_file_may_begin_with_a_byte_order_mark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.log.md").write_text("A log.")
    (tmp_path / "b.md").write_text("A text.")
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbf*.log.md\r\n")
    assert [each.id for each in Sources(["."])] == ["b.md"]


def test_what_several_sources_leave_out_is_counted_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs" / "node_modules").mkdir(parents=True)
    for name in ("a.md", "b.xyz", ".hidden", "c.txt"):
        (tmp_path / "docs" / name).write_text("A text.")
    sources = Sources([".", "docs", "docs/../docs", "docs/*.txt"], filters=Filters(exclude=["*.txt"]))
    assert (sources.left_out.files, sources.left_out.ignored) == ({".xyz": 1, "hidden": 1}, {"--exclude": 1})
    assert [each.source for each in sources.left_out.folders] == ["docs/node_modules"]
