"""A small file system of a test's own, and how to fill it to the last byte."""

import contextlib
import subprocess

import pytest


@contextlib.contextmanager
def small_disk(folder, mebibytes):
    """Mount an empty file system of so many MiB at a folder for the length of a block; skip where that cannot be."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder, name="ballast"):
    """Fill the file system of a folder; return the file that does it."""
    ballast = folder / name
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**16))
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x")
    return ballast
