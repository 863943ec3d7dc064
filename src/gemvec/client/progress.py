"""A progress bar on standard error: rich's where it is installed, else a line of counts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator


@contextlib.contextmanager
def show_progress(total: int, *, is_wanted: bool) -> Generator[Callable[[int], None]]:
    """Show how many of `total` texts are embedded while the block runs.

    Yields:
        A function to call, from any thread, with the number of texts just done.
    """
    if not is_wanted or total == 0:
        yield _show_nothing
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield _plain(total)
        return
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TextColumn("texts"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)


def _show_nothing(_: int) -> None:
    pass


def _plain(total: int) -> Callable[[int], None]:
    finished = 0

    def advance(done: int) -> None:
        nonlocal finished
        finished += done
        sys.stderr.write(f"\rembedding {finished}/{total} texts" + ("\n" if finished >= total else ""))

    return advance
