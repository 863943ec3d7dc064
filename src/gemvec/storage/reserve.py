"""A reserve of space in the data folder, so that there is a way out of a full disk.

A row cannot be removed from a full disk either: the database writes before it deletes. A file of a few MiB is kept for
that. It is given up when something that makes room, or takes rights away, has to be written, and filled again later.
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
        """Know the folder, without touching it."""
        self._path = folder / RESERVE_NAME

    @property
    def is_short(self) -> bool:
        """Whether the disk has less room than the reserve is large."""
        try:
            return shutil.disk_usage(self._path.parent).free < RESERVE_BYTES
        except OSError:
            return False

    def open(self) -> None:
        """Give the reserve up where the disk is short of room."""
        if self.is_short:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def fill(self) -> None:
        """Take the reserve from the disk, if it has twice as much; nothing happens where the reserve is there."""
        with suppress(OSError):
            if self._path.exists() or shutil.disk_usage(self._path.parent).free < 2 * RESERVE_BYTES:
                return
            try:
                self._write()
            except OSError:
                self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        # Written, not merely made long: a file of nothing but holes keeps no space.
        self._path.touch(mode=0o600)
        with self._path.open("wb") as file:
            for _ in range(RESERVE_BYTES // len(_BLOCK)):
                file.write(_BLOCK)
