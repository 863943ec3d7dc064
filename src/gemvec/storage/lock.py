"""One server on a data folder at a time.

The operating system holds the lock and lets go of it when the process ends, however it ends; nothing is ever left to
clean up. The process id in the file is only there to be told.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from gemvec.errors import DataFolderLocked
from gemvec.storage.durable import make_folder, translate_os_errors

LOCK_NAME = "gemvec.lock"


class FolderLock:
    """The lock of a data folder, held from construction to `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take the lock; the folder is made when missing, for its owner alone.

        Raises:
            DataFolderLocked: another server holds it; the message names the folder and the process.
            StorageFailure: the folder cannot be used; StorageFull when there is no room in it.
        """
        make_folder(folder)
        with translate_os_errors():
            self._descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise DataFolderLocked(f"Another gemvec server (process {holder}) uses the data folder {folder}.") from None
        try:
            with translate_os_errors():
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let another server have the folder."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
