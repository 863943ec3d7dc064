"""A Git repository fetched into a folder of the cache: `fetch_repository`, by the `git` program."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock

from gemvec.documents.address import Address
from gemvec.documents.ignore import Filters
from gemvec.documents.walk import LeftOut, LeftOutFolder, Walk
from gemvec.errors import BadSetting, TransportFailure
from gemvec.settings import process_environ

_POLL_SECONDS = 0.2
# A connection with less than this for this long is given up.
_SLOWEST_BYTES, _SLOW_SECONDS = 1_000, 60
_TOLD_CHARACTERS = 300
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_REDIRECTED = re.compile(r"returned error: 30\d")
# Without a terminal ssh never asks; a server that is silent for this long is given up.
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15"
_SUBMODULE_MODE = "160000"
# What interrupted runs of git leave behind. Nobody else works in the folder: it has a lock of ours.
_STALE_LOCKS = ("index.lock", "shallow.lock", "HEAD.lock", "config.lock")
LINK, SUBMODULE = "being a link in a repository", "a submodule of Git, which is another repository"


def fetch_repository(address: Address, folder: Path, closing: threading.Event) -> Path:
    """Bring the newest state of a repository's branch into a folder, without its history, and return the folder.

    When nothing has changed, nothing is sent. Nothing that the repository contains is run: no hooks, no filters, no
    submodules.

    Args:
        address: of the repository.
        folder: where repositories are kept.
        closing: ends git when it is set.

    Raises:
        BadSetting: there is no `git`.
        TransportFailure: it did not come; the message says why.
    """
    git = shutil.which("git")
    if git is None:
        raise BadSetting(f"To read {address.url}, the program git must be installed; it is not on the path.")
    place = folder / blake2b(address.url.encode(), digest_size=16).hexdigest()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(place.with_suffix(".lock")):
        run = _Git(git, place, address, closing)
        is_copy = place.exists()
        try:
            run.update()
        except TransportFailure:
            if not is_copy or not run.is_there():
                raise
            shutil.rmtree(place)  # so the fault is the copy's, damaged by a crash or a full disk
            run.update()
    return place


class _Git:
    """Runs git for one repository."""

    def __init__(self, git: str, place: Path, address: Address, closing: threading.Event) -> None:
        self._git = git
        self._place = place
        self._address = address
        self._closing = closing
        self._environ = self._make_environ()
        self._set_ssh()

    def is_there(self) -> bool:
        """Say whether the repository answers, and has the branch; a commit is not looked for."""
        ref = "HEAD" if _COMMIT.fullmatch(self._address.ref) else self._ref
        try:
            self._run(
                "ls-remote", "--quiet", "--exit-code", "--", self._address.location, ref, folder=self._place.parent
            )
        except TransportFailure:
            return False
        return True

    @property
    def _ref(self) -> str:
        return self._address.ref or "HEAD"

    def update(self) -> None:
        """Bring the newest state into the folder."""
        self._place.mkdir(exist_ok=True, mode=0o700)
        for name in _STALE_LOCKS:
            (self._place / ".git" / name).unlink(missing_ok=True)
        self._run("init", "--quiet", ".")
        options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--force")
        self._run("fetch", *options, "--", self._address.location, self._ref)
        self._run("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        self._run("clean", "--quiet", "-ffdx")

    def _run(self, *arguments: str, folder: Path | None = None) -> None:
        # A redirect could lead into a private network.
        options = [
            "http.followRedirects=false",
            f"http.lowSpeedLimit={_SLOWEST_BYTES}",
            f"http.lowSpeedTime={_SLOW_SECONDS}",
        ]
        options += ["core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false", "gc.auto=0"]
        words = [self._git, *(word for each in options for word in ("-c", each)), *arguments]
        with subprocess.Popen(  # noqa: S603 # git itself, and an address that was checked
            words,
            cwd=folder or self._place,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            said = self._wait(process)
        if process.returncode:
            raise TransportFailure(f"The repository {self._address.url} cannot be read: {self._explain(said)}")

    def _wait(self, process: subprocess.Popen[str]) -> str:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=_POLL_SECONDS)[1]
            if self._closing.is_set():
                process.terminate()

    def _make_environ(self) -> dict[str, str]:
        """Return the environment: nobody is asked for a password, and git gets it where other users cannot see it."""
        environ = {
            name: value
            for name, value in process_environ().items()
            if not name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))
        }
        for name in ("GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            environ.pop(name, None)
        scheme, is_url, _ = self._address.location.partition("://")
        environ |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GCM_INTERACTIVE": "never"}
        environ |= {"SSH_ASKPASS": "false", "SSH_ASKPASS_REQUIRE": "force"}
        environ |= {"GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C", "GIT_ALLOW_PROTOCOL": scheme if is_url else "ssh"}
        environ["GIT_CEILING_DIRECTORIES"] = str(self._place.parent)
        if self._address.credentials:
            secret = base64.b64encode(self._address.credentials.encode()).decode()
            header = {"http.extraHeader": f"Authorization: Basic {secret}"}
            for number, (name, value) in enumerate(header.items()):
                environ |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
            environ["GIT_CONFIG_COUNT"] = str(len(header))
        return environ

    def _set_ssh(self) -> None:
        """Choose how ssh is called, unless the user has said it by a variable or in git's settings."""
        if self._environ["GIT_ALLOW_PROTOCOL"] != "ssh" or {"GIT_SSH", "GIT_SSH_COMMAND"} & self._environ.keys():
            return
        words = [self._git, "config", "--get", "core.sshCommand"]
        found = subprocess.run(  # noqa: S603 # git itself
            words, cwd=self._place.parent, env=self._environ, capture_output=True, check=False
        )
        if not found.stdout.strip():
            self._environ["GIT_SSH_COMMAND"] = _SSH

    def _explain(self, said: str) -> str:
        if self._closing.is_set():
            return "the run was ended"
        if _REDIRECTED.search(said):
            return "it answers with a redirect, which is not followed; name the address that it leads to"
        lines = [line.removeprefix("fatal: ").strip() for line in said.splitlines() if line.strip()]
        return "; ".join(lines)[:_TOLD_CHARACTERS] or "git failed and does not say why"


def find_files(clone: Path, filters: Filters) -> tuple[list[Path], LeftOut]:
    """Return the files of a fetched repository that are to be read, and what is left out.

    Links are left out: they may lead to files of this machine.
    """
    walk = Walk(filters=filters)
    files: list[Path] = []
    for path in walk.find(clone):
        if path.is_symlink():
            walk.left_out.ignored[LINK] += 1
        else:
            files.append(path)
    walk.left_out.folders = [_name_folder(each, clone) for each in walk.left_out.folders]
    walk.left_out.folders += [
        LeftOutFolder(source=name, reason=SUBMODULE) for name in _find_submodules(clone) if (clone / name).is_dir()
    ]
    ignored = walk.left_out.ignored
    for rule in [each for each in ignored if Path(each).is_relative_to(clone)]:
        ignored[Path(rule).relative_to(clone).as_posix()] += ignored.pop(rule)
    return files, walk.left_out


def _name_folder(folder: LeftOutFolder, clone: Path) -> LeftOutFolder:
    name = Path(folder.source).relative_to(clone).as_posix()
    return LeftOutFolder(source=name, reason=folder.reason.replace(f"{clone}/", ""))


def _find_submodules(clone: Path) -> Iterator[str]:
    git = shutil.which("git") or "git"
    words: Sequence[str] = [git, "ls-files", "--stage", "-z"]
    found = subprocess.run(words, cwd=clone, capture_output=True, check=False)  # noqa: S603 # git itself
    for entry in found.stdout.split(b"\0"):
        head, _, name = entry.partition(b"\t")
        if head.startswith(_SUBMODULE_MODE.encode()):
            yield name.decode(errors="surrogateescape")
