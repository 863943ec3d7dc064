"""Git repositories over HTTP, HTTPS and SSH as sources: the real `git http-backend`, sshd and `git`."""

import shutil
import subprocess
from base64 import b64encode

import pytest
import trustme

from gemvec.documents import Remote, Sources
from gemvec.errors import InvalidRequest, TransportFailure
from git_servers import SSHD, running_git_site, running_sshd

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
README = "# Project\n\nOne."


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder, text):
    (folder / "README.md").write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "served" / "team" / "project.git"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", ".")
    commit(folder, README)
    return folder


@pytest.fixture
def site(tmp_path, repository):
    with running_git_site(tmp_path / "served") as running:
        yield running


@pytest.fixture
def remote(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))  # not that of the machine
    with Remote(tmp_path / "cache") as opened:
        yield opened


def read(remote, source):
    return {each.id: each.text for each in Sources([source], remote=remote)}


def test_a_repository_is_read_over_http_and_only_what_is_new_is_sent(site, repository, remote):
    url = f"{site.url}/team/project.git"
    assert read(remote, url) == {f"{url}/README.md": README}
    packs = sum("upload-pack" in each and "info" not in each for each in site.asked)
    assert read(remote, f"git+{url}") == {f"{url}/README.md": README}
    commit(repository, "Two.")
    assert read(remote, url) == {f"{url}/README.md": "Two."}
    assert packs > 0


@pytest.mark.parametrize("trusted", [True, False])
def test_the_certificate_of_a_server_is_checked(tmp_path, repository, remote, monkeypatch, trusted):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if trusted:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "ca.pem"))
    with running_git_site(tmp_path / "served", authority.issue_cert("127.0.0.1")) as site:
        url = f"{site.url}/team/project.git"
        if trusted:
            assert read(remote, url) == {f"{url}/README.md": README}
        else:
            with pytest.raises(TransportFailure, match="certificate"):
                read(remote, url)


@pytest.mark.parametrize("user", ["user:pa55%3Aword", "t0ken"])
def test_user_password_and_token_are_sent_and_never_shown(site, remote, tmp_path, user):
    sent = {"user:pa55%3Aword": b"user:pa55:word", "t0ken": b"t0ken:"}[user]
    site.authorization = f"Basic {b64encode(sent).decode()}"
    url = f"{site.url}/team/project.git"
    assert read(remote, url.replace("://", f"://{user}@")) == {f"{url}/README.md": README}
    assert set(site.authorizations) == {site.authorization}
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert not any(secret in kept for secret in (b"pa55", b"t0ken", b64encode(sent)))


@pytest.mark.parametrize("user", ["", "user:hidden@"])
def test_a_server_that_refuses_is_told_and_nobody_is_asked_for_a_password(site, remote, tmp_path, monkeypatch, user):
    program = tmp_path / "ask"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\n")
    program.chmod(0o700)
    monkeypatch.setenv("GIT_ASKPASS", str(program))
    site.authorization = "Basic other"
    with pytest.raises(
        TransportFailure, match=r"project\.git cannot be read: .*(could not read|Authentication)"
    ) as told:
        read(remote, f"http://{user}{site.host}/team/project.git")
    assert "hidden" not in str(told.value)
    assert not (tmp_path / "asked").exists()


def test_a_redirect_is_not_followed(site, remote, tmp_path):
    """It could lead into a private network, or send a password to another host."""
    with running_git_site(tmp_path / "served") as other:
        site.redirects["/moved"] = f"{other.url}/team"
        with pytest.raises(TransportFailure, match="redirect, which is not followed"):
            read(remote, f"http://user:hidden@{site.host}/moved/project.git")
        assert other.asked == []


def test_a_repository_that_is_gone_is_refused(site, remote):
    for name in ("team/nowhere.git", "team"):
        with pytest.raises(TransportFailure, match="not found"):
            read(remote, f"git+{site.url}/{name}")


def test_a_branch_a_tag_and_a_commit_are_named_after_the_address(site, repository, remote):
    url = f"{site.url}/team/project.git"
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "-a", "v1", "-m", "x")
    git(repository, "checkout", "--quiet", "-b", "new")
    commit(repository, "Two.")
    git(repository, "checkout", "--quiet", "main")
    commit(repository, "Three.")
    for ref, text in {"v1": README, first: README, "new": "Two.", "main": "Three."}.items():
        assert read(remote, f"{url}@{ref}") == {f"{url}@{ref}/README.md": text}
    with pytest.raises(TransportFailure, match=f"remote ref {first[:8]}"):
        read(remote, f"{url}@{first[:8]}")


def test_a_damaged_copy_of_a_commit_is_fetched_again(site, repository, remote, tmp_path):
    url = f"{site.url}/team/project.git@{git(repository, 'rev-parse', 'HEAD')}"
    read(remote, url)
    (copy,) = [each for each in (tmp_path / "cache" / "repositories").iterdir() if each.is_dir()]
    (copy / ".git" / "HEAD").write_bytes(b"")
    assert read(remote, url) == {f"{url}/README.md": README}


def test_a_branch_that_was_pushed_by_force_and_another_default_branch_are_followed(site, repository, remote):
    url = f"{site.url}/team/project.git"
    commit(repository, "Two.")
    assert read(remote, url) == {f"{url}/README.md": "Two."}
    git(repository, "reset", "--quiet", "--hard", "HEAD~1")
    commit(repository, "Instead.")
    assert read(remote, url) == {f"{url}/README.md": "Instead."}
    git(repository, "branch", "-m", "main", "trunk")
    commit(repository, "Of the trunk.")
    assert read(remote, url) == {f"{url}/README.md": "Of the trunk."}
    with pytest.raises(TransportFailure, match="remote ref main"):
        read(remote, f"{url}@main")


@pytest.fixture
def sshd(tmp_path, repository):
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("sshd or ssh is not installed")
    (tmp_path / "ssh").mkdir()
    with running_sshd(tmp_path / "ssh", tmp_path / "served") as running:
        yield running


def test_a_repository_is_read_over_ssh(sshd, repository, remote, monkeypatch):
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command)
    url = f"ssh://127.0.0.1{repository}"
    assert read(remote, f"ssh://root@127.0.0.1{repository}") == {f"{url}/README.md": README}
    commit(repository, "Two.")
    assert read(remote, f"ssh://root@127.0.0.1{repository}") == {f"{url}/README.md": "Two."}


def test_a_short_ssh_address_begins_in_the_home_folder_as_in_git(sshd, remote, monkeypatch):
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command)
    assert read(remote, "root@127.0.0.1:team/project.git") == {
        "ssh://127.0.0.1/team/project.git/README.md": README,
    }


def test_the_ssh_command_of_gits_settings_is_used(sshd, remote, tmp_path):
    git(tmp_path, "config", "--file", str(tmp_path / "gitconfig"), "core.sshCommand", sshd.command)
    assert read(remote, "root@127.0.0.1:team/project.git")


@pytest.mark.parametrize("lacks", ["the host's key", "a key"])
def test_what_ssh_would_ask_for_is_refused_at_once(sshd, remote, monkeypatch, tmp_path, lacks):
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command)
    if lacks == "a key":
        (tmp_path / "ssh" / "authorized_keys").write_text("")
    else:
        sshd.known_hosts.unlink()
    expected = {"a key": "Permission denied", "the host's key": "Host key verification failed"}[lacks]
    with pytest.raises(TransportFailure, match=expected):
        read(remote, "root@127.0.0.1:team/project.git")


def test_a_repository_that_is_not_there_is_refused_over_ssh(sshd, remote, monkeypatch):
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command)
    with pytest.raises(TransportFailure, match="does not appear to be a git repository"):
        read(remote, "root@127.0.0.1:team/nowhere.git")


def test_a_password_in_an_ssh_address_is_refused():
    with pytest.raises(InvalidRequest, match="password") as told:
        Sources(["ssh://git:hidden@127.0.0.1/team/project.git"])
    assert "hidden" not in str(told.value)


def test_without_ssh_the_program_is_named(repository, remote, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(TransportFailure, match="ssh"):
        read(remote, "git@127.0.0.1:team/project.git")
