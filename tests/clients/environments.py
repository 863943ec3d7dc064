"""Where client programs run: a virtual environment per requirements file, one folder of Node.js packages.

They are made in threads, so that the first clients run while the environments of others are still being installed.

Made once and kept in the user's cache, under a name that changes with the pins. `python tests/clients/environments.py`
makes them all.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
KEPT = Path.home() / ".cache" / "gemvec" / "test-clients"


_makers = ThreadPoolExecutor(os.cpu_count())
_begun = {}


def begin(requirements):
    """Begin to make the environments of these requirements files, in this order."""
    for each in requirements:
        if each not in _begun:
            _begun[each] = _makers.submit(_make, each)


def python_of(requirements):
    """Return the interpreter of the environment that has what `requirements/<name>.txt` pins."""
    begin([requirements])
    return _begun[requirements].result()


def _make(requirements):
    pins = HERE / "requirements" / f"{requirements}.txt"
    folder = _folder(requirements, pins.read_bytes() + sys.version.encode())
    python = folder / "bin" / "python"
    # Made by an interpreter that was removed meanwhile, it has none.
    if not ((folder / "complete").exists() and python.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "-r", pins]
        subprocess.run(install, check=True)
        (folder / "complete").touch()
    return python


def node_folder():
    """Return a folder that has the pinned Node.js packages and the programs beside them; None without npm."""
    if not (shutil.which("npm") and shutil.which("node")):
        return None
    folder = _folder("node", (HERE / "node" / "package.json").read_bytes())
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(HERE / "node" / "package.json", folder)
        install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--no-package-lock"]
        subprocess.run(install, cwd=folder, check=True)
        (folder / "complete").touch()
    for program in (HERE / "node").glob("*.mjs"):
        shutil.copy(program, folder)
    return folder


def _folder(name, pins):
    return KEPT / f"{name}-{hashlib.sha256(pins).hexdigest()[:12]}"


def make_all():
    """Make every environment, one after the other."""
    node_folder()
    for pins in sorted((HERE / "requirements").glob("*.txt")):
        _make(pins.stem)


if __name__ == "__main__":
    make_all()
