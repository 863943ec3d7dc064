"""The progress of a fetch, measured by the size of the files in its folder."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator
from pathlib import Path

# Called with the bytes so far, the total (0 if unknown) and a label such as `Python package wordllama==0.4.0.post1`;
# from another thread, but never twice at the same time.
Progress = Callable[[int, int, str], None]

_INTERVAL_SECONDS = 0.1


@contextlib.contextmanager
def watched(folder: Path, total_bytes: int, label: str, progress: Progress | None) -> Generator[None]:
    """Report how `folder` grows while the block runs, and that everything is here if it ends without an error."""
    if progress is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_INTERVAL_SECONDS):
            here = size_bytes(folder)
            progress(min(here, total_bytes) if total_bytes else here, total_bytes, label)

    progress(0, total_bytes, label)
    watcher = threading.Thread(target=watch, name="gemvec-fetch-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    progress(total_bytes, total_bytes, label)


def size_bytes(folder: Path) -> int:
    """Return the bytes of all files below `folder`; files that vanish meanwhile are ignored."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total
