"""A reserve of disk space in the data folder, for making room on a full disk.

On a full disk, rows cannot even be deleted, because the database writes before it deletes. So a file of a few MiB is
kept. It is removed when something must be written that makes room or takes rights away, and made again later.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

RESERVE_NAME = "gemvec.reserve"
# The journal of deleting a batch of ten million requests takes about this much.
RESERVE_BYTES = 8 * 2**20
_BLOCK = bytes(2**16)


class Reserve:
    """The reserve of one folder; safe from any thread, and from several processes."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder, without touching it."""
        self._path = folder / RESERVE_NAME

    @property
    def is_short(self) -> bool:
        """Whether the disk has less free space than the size of the reserve."""
        try:
            return shutil.disk_usage(self._path.parent).free < RESERVE_BYTES
        except OSError:
            return False

    def open(self) -> None:
        """Remove the reserve when the disk is short of space."""
        if self.is_short:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def fill(self) -> None:
        """Make the reserve, if the disk has twice as much free space; do nothing if the reserve exists."""
        with suppress(OSError):
            if self._path.exists() or shutil.disk_usage(self._path.parent).free < 2 * RESERVE_BYTES:
                return
            try:
                self._write()
            except OSError:
                self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        # Written, and not only extended: a sparse file reserves no space.
        self._path.touch(mode=0o600)
        with self._path.open("wb") as file:
            for _ in range(RESERVE_BYTES // len(_BLOCK)):
                file.write(_BLOCK)
