"""Progress on standard error: how many texts are embedded, and how much of a model's weights is fetched."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from gemvec.models.progress import Progress


@contextlib.contextmanager
def show_progress(total: int, *, is_wanted: bool) -> Generator[Callable[[int], None]]:
    """Show how many of `total` texts are embedded while the block runs: with rich as a bar, else as a line of counts.

    Yields:
        A function to call, from any thread, with the number of texts that were just embedded.
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


@contextlib.contextmanager
def show_fetch() -> Generator[Progress]:
    """Show the progress of fetching weights: a bar on a terminal, else one line per source.

    Yields:
        The callback for whatever fetches them. Its first call needs rich, which is installed with what runs models.
    """
    with contextlib.ExitStack() as until_end:
        show: Progress | None = None

        def report(done_bytes: int, total_bytes: int, label: str) -> None:
            nonlocal show
            if show is None:
                from rich.console import Console

                console = Console(stderr=True)
                show = (
                    until_end.enter_context(_bar_a_source(console)) if console.is_terminal else _line_a_source(console)
                )
            show(done_bytes, total_bytes, label)

        yield report


@contextlib.contextmanager
def _bar_a_source(console: Console) -> Generator[Progress]:
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(done_bytes: int, total_bytes: int, label: str) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label)
            bars.update(tasks[label], completed=done_bytes, total=total_bytes or None)

        yield report


def _line_a_source(console: Console) -> Progress:
    labels: set[str] = set()

    def report(_done_bytes: int, total_bytes: int, label: str) -> None:
        if label not in labels:
            labels.add(label)
            size = f", {total_bytes / 1e6:.1f} MB" if total_bytes else ""
            console.print(f"fetching: {label}{size}", markup=False, highlight=False, soft_wrap=True)

    return report
