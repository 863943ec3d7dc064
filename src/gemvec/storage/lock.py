"""One server on a data folder at a time.

The operating system releases the lock when the process ends for any reason, so there is never anything to clean up. The
process id beside it is only for messages.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from gemvec.errors import DataFolderLocked
from gemvec.storage.durable import make_folder, translate_os_errors

LOCK_NAME = "gemvec.lock"
PROCESS_ID_NAME = "gemvec.pid"


class FolderLock:
    """The lock of a data folder, held from construction to `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take the lock; a missing folder is made, accessible only to its owner.

        Raises:
            DataFolderLocked: another server holds it; the message names the folder and the process.
            StorageFailure: the folder cannot be used.
        """
        make_folder(folder)
        self._lock = FileLock(folder / LOCK_NAME, mode=0o600, thread_local=False)
        process_id = folder / PROCESS_ID_NAME
        with translate_os_errors():
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise DataFolderLocked(
                    f"Another gemvec server (process {_holder(process_id)}) uses the data folder {folder}."
                ) from None
        with suppress(OSError):  # the disk is full; the folder is locked anyway
            process_id.write_text(f"{os.getpid()}\n", encoding="ascii")

    def release(self) -> None:
        """Release the folder for another server."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _holder(process_id: Path) -> str:
    try:
        return process_id.read_text(encoding="ascii").strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"
