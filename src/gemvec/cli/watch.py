"""When to index again: `watch`, which notices changes of files below some sources."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from gemvec.errors import InvalidRequest, MissingDependency

# Changes within this time are handled together; they are handled after this time without a change.
_DEBOUNCE_MS, _STEP_MS = 1_600, 100
# How often to yield without a change, so that a failed run is retried.
_PAUSE_MS = 1_000


def watch(sources: Sequence[str], own: Collection[Path]) -> Iterator[bool]:
    """Yield when the watch has started, and whenever something may have to be done, until Ctrl-C.

    Nothing that changes after the first time is missed.

    Args:
        sources: files, folders and globs.
        own: files and folders that gemvec writes itself.

    Yields:
        Whether files have changed; otherwise a pause has passed.

    Raises:
        InvalidRequest: standard input cannot be watched.
    """
    try:
        from watchfiles import Change
        from watchfiles import watch as watch_files
    except ImportError as error:
        raise MissingDependency("Watching needs more packages.", extra="milvus") from error
    places = [_find_place(source) for source in sources]
    files = (path for source in sources if (path := Path(source).expanduser()).is_file())
    places += [path.resolve().parent for path in files if path.is_symlink()]
    ours, named = ([Path(each).expanduser().resolve() for each in paths] for paths in (own, sources))

    def concerns(_: Change, name: str) -> bool:
        written = Path(name)
        path = written.parent.resolve() / written.name  # a source may be a link
        if any(path.is_relative_to(each) for each in ours):
            return False
        return path in named or _may_be_read(path, places)

    watch_places = partial(
        watch_files,
        watch_filter=concerns,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_PAUSE_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
        recursive=any(Path(source).expanduser().is_dir() or glob.has_magic(source) for source in sources),
    )
    return _follow(places, watch_places)


def _follow(places: Sequence[Path], watch_places: Callable[..., Generator[set[Any]]]) -> Iterator[bool]:
    """Watch the folders that have these names: one may be removed or replaced, and its watch would go with it."""
    has_moved = False
    while True:
        watched = [_identify(place) for place in places]
        here = [place for place, identity in zip(places, watched, strict=True) if identity]
        try:
            with closing(watch_places(*here) if here else _wait()) as found:
                for changes in found:
                    yield bool(changes) or has_moved
                    has_moved = [_identify(place) for place in places] != watched
                    if has_moved:
                        break
        except FileNotFoundError:  # a folder was removed just before its watch began
            has_moved = True


def _wait() -> Generator[set[Any]]:
    while True:
        time.sleep(_PAUSE_MS / 1_000)
        yield set()


def _identify(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another one of its name; None if there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _may_be_read(path: Path, places: Sequence[Path]) -> bool:
    """Say whether a walk of a place might read a file, or the rules in it: nothing in hidden folders and the like."""
    from gemvec.documents.ignore import IGNORE_FILES
    from gemvec.documents.walk import NAMED_FOLDERS

    for place in map(Path.resolve, places):
        if path.is_relative_to(place):
            *folders, name = path.relative_to(place).parts or ("",)
            if name in IGNORE_FILES or not name.startswith("."):
                return not any(each.startswith(".") or each in NAMED_FOLDERS for each in folders)
    return False


def _find_place(source: str) -> Path:
    """Return the folder to watch: a file may be replaced by another one of its name, so its folder is watched."""
    from gemvec.documents.address import is_address

    if source == "-":
        raise InvalidRequest("Standard input cannot be watched.", field="source")
    if is_address(source):
        raise InvalidRequest("Only files and folders can be watched, no addresses.", field="source")
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    parts = path.parts
    fixed = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    folder = Path(*parts[:fixed])
    if not folder.is_dir():
        raise InvalidRequest(f"There is no folder {str(folder)!r} to watch.", field="source")
    return folder
