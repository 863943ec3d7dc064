"""Git repositories as sources: real repositories on this machine, and the real `git`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gemvec.documents import BadDocument, Filters, Remote, Sources
from gemvec.errors import BadSetting, TransportFailure

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(f"{path.name}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "x")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "project.git"
    folder.mkdir()
    git(folder, "init", "--quiet", ".")
    commit(folder, README="# Project\n\nOne.", docs__guide="Two.")
    return folder


@pytest.fixture
def remote(tmp_path):
    with Remote(tmp_path / "cache") as opened:
        yield opened


def read(remote, *sources, **options):
    return {each.id: each.text for each in Sources(sources, remote=remote, **options)}


def test_a_repository_is_read_at_its_newest_commit(repository, remote):
    url = repository.as_uri()
    assert read(remote, url) == {f"{url}/README.md": "# Project\n\nOne.", f"{url}/docs/guide.md": "Two."}
    (repository / "docs" / "guide.md").unlink()
    commit(repository, README="# Project\n\nThree.")
    assert read(remote, url) == {f"{url}/README.md": "# Project\n\nThree."}


def test_a_branch_is_named_after_the_address(repository, remote):
    git(repository, "checkout", "--quiet", "-b", "new/one")
    commit(repository, README="Of the branch.")
    git(repository, "checkout", "--quiet", "main")
    url = repository.as_uri()
    assert read(remote, f"{url}@new/one")[f"{url}@new/one/README.md"] == "Of the branch."
    assert read(remote, url)[f"{url}/README.md"] == "# Project\n\nOne."


def test_links_and_what_git_ignores_are_left_out(repository, remote, tmp_path):
    (tmp_path / "private.md").write_text("Private.")
    (repository / "link.md").symlink_to(tmp_path / "private.md")
    (repository / "folder").symlink_to(tmp_path)
    (repository / "kept.bin").touch()
    (repository / ".gitignore").write_text("drafts.md\n")
    commit(repository)
    (repository / "drafts.md").write_text("Draft.")
    git(repository, "add", "--force", "drafts.md")
    commit(repository)
    sources = Sources([repository.as_uri()], remote=remote, filters=Filters(exclude=("docs/",)))
    assert [each.id for each in sources] == [f"{repository.as_uri()}/README.md"]
    left_out = sources.left_out
    assert left_out.files[".bin"] == 1
    assert dict(left_out.ignored) == {"being a link in a repository": 1, ".gitignore": 1}
    assert f"{repository.as_uri()}/docs" in [each.source for each in left_out.folders]


def test_a_submodule_is_left_out_by_name(repository, remote, tmp_path):
    inner = tmp_path / "inner.git"
    inner.mkdir()
    git(inner, "init", "--quiet", ".")
    commit(inner, README="Inner.")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "part")
    commit(repository)
    sources = Sources([repository.as_uri()], remote=remote)
    assert "Inner." not in [each.text for each in sources]
    folder = next(each for each in sources.left_out.folders if each.source.endswith("/part"))
    assert "submodule" in folder.reason


def test_a_file_kept_by_lfs_is_reported(repository, remote):
    commit(repository, large=f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n")
    bad = [each for each in Sources([repository.as_uri()], remote=remote) if isinstance(each, BadDocument)]
    assert [each.source for each in bad] == [f"{repository.as_uri()}/large.md"]
    assert "Git LFS" in bad[0].reason


def test_nothing_of_a_repository_is_run(repository, remote, tmp_path):
    (repository / ".gitattributes").write_text("*.md filter=evil\n")
    (repository / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch\n')
    commit(repository, other="Text.")
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o700)
    assert f"{repository.as_uri()}/other.md" in read(remote, repository.as_uri())
    assert not (tmp_path / "ran").exists()


def test_a_repository_that_is_not_there_is_never_one_without_files(tmp_path, remote):
    source = (tmp_path / "nowhere.git").as_uri()
    with pytest.raises(TransportFailure, match=r"nowhere\.git cannot be read"):
        Sources([source], remote=remote, may_be_gone=True)


def test_a_branch_that_is_not_there_is_refused_and_what_was_fetched_stays(repository, remote):
    url = repository.as_uri()
    assert read(remote, url)
    with pytest.raises(TransportFailure, match="no-such"):
        Sources([f"{url}@no-such"], remote=remote)
    assert read(remote, url)


def test_a_damaged_copy_is_fetched_again(repository, remote, tmp_path):
    url = repository.as_uri()
    whole = read(remote, url)
    (copy,) = [each for each in (tmp_path / "cache" / "repositories").iterdir() if each.is_dir()]
    (copy / ".git" / "index.lock").touch()
    (copy / ".git" / "index").write_bytes(b"damaged")
    (copy / "README.md").unlink()
    (copy / "left behind.md").write_text("From a run that was killed.")
    assert read(remote, url) == whole


def zero(path):
    path.chmod(0o600)
    path.write_bytes(b"")


@pytest.mark.parametrize("pattern", ["HEAD", "config", "shallow", "objects/??/*", "objects/pack/*.pack", "refs"])
def test_a_copy_that_a_crash_has_damaged_is_fetched_again(repository, remote, tmp_path, pattern):
    url = repository.as_uri()
    read(remote, url)
    commit(repository, README="# Project\n\nThree.")
    (copy,) = [each for each in (tmp_path / "cache" / "repositories").iterdir() if each.is_dir()]
    for each in (copy / ".git").glob(pattern):
        if each.is_dir():
            shutil.rmtree(each)
        else:
            zero(each)
    assert read(remote, url)[f"{url}/README.md"] == "# Project\n\nThree."


def test_without_git_the_program_is_named(repository, remote, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(os.devnull)))
    with pytest.raises(BadSetting, match="git must be installed"):
        Sources([repository.as_uri()], remote=remote)
