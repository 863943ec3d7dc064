"""Where bytes are kept: in a folder, or in an object store. What is done differently in the two is here.

`write_durably` of `durable.py` writes to either.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from gemvec.settings import Settings
from gemvec.storage.durable import Place, sync_folder, translate_os_errors, write_durably
from gemvec.storage.objects import ObjectPath, parse_storage

# Errors for another file system, no support of hard links, or too many links to one file.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}
_ENDLESS_BYTES = 2**63 - 1


class Stat(Protocol):
    """Size in bytes and time of the last change of a file or an object."""

    @property
    def st_size(self) -> int:
        """Size in bytes."""
        ...

    @property
    def st_mtime_ns(self) -> int:
        """Time of the last change, in nanoseconds."""
        ...


def storage_of(settings: Settings) -> Place:
    """Return where the settings keep the bytes of files and batches.

    Raises:
        BadSetting: `storage` is not a URL of an object store.
        MissingDependency: obstore is not installed.
    """
    return parse_storage(settings.storage) if settings.storage else settings.data_dir


def make_new_folder(folder: Place) -> None:
    """Make a folder whose name survives a power cut; in an object store there is nothing to make.

    Raises:
        OSError: it exists, or cannot be made.
    """
    if isinstance(folder, Path):
        folder.mkdir()
        sync_folder(folder.parent)


def list_names(folder: Place) -> set[str]:
    """Return the names in a folder; none when an object store has nothing there.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(folder, ObjectPath):
        return folder.list_names()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def remove_tree(folder: Place) -> None:
    """Remove a folder with everything in it, as far as that is possible; nothing happens when it is gone.

    Raises:
        StorageFailure: the object store failed.
    """
    if isinstance(folder, ObjectPath):
        folder.remove_tree()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def stats_of(paths: Sequence[Place]) -> list[Stat | None]:
    """Return size and time of each, None for what is not there; an object store is asked once for each folder.

    Raises:
        OSError: they cannot be read.
    """
    parents = {path.parent for path in paths if isinstance(path, ObjectPath)}
    folders = {folder: folder.list_stats() for folder in parents}
    return [folders[path.parent].get(path.name) if isinstance(path, ObjectPath) else _stat(path) for path in paths]


def _stat(path: Path) -> Stat | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def remove_files(paths: Sequence[Place]) -> None:
    """Remove files or objects; nothing happens to those that are gone. A thousand objects are one request.

    Raises:
        OSError: a file cannot be removed.
        StorageFailure: the object store failed.
    """
    objects = [path for path in paths if isinstance(path, ObjectPath)]
    if objects:
        ObjectPath.unlink_all(objects)
    for path in paths:
        if isinstance(path, Path):
            path.unlink(missing_ok=True)


def link_or_copy(source: Place, target: Place) -> None:
    """Give bytes a second name: a hard link, or a copy on another file system and in an object store.

    Raises:
        FileNotFoundError: `source` is gone.
        OSError: it cannot be done.
        StorageFull: there is no room for a copy.
    """
    if isinstance(source, ObjectPath) and isinstance(target, ObjectPath):
        source.copy_to(target)
    elif isinstance(source, Path) and isinstance(target, Path):
        _link(source, target)
    else:
        raise TypeError(f"{source} and {target} are not in the same storage")


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
        sync_folder(target.parent)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        write_durably(target, _blocks_of(source))


def _blocks_of(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while block := file.read(2**20):
            yield block


def free_bytes(folder: Place) -> int:
    """Return the free space in bytes; an object store has no end.

    Raises:
        StorageFailure: it cannot be told.
    """
    if isinstance(folder, ObjectPath):
        return _ENDLESS_BYTES
    with translate_os_errors():
        return shutil.disk_usage(folder).free


def size_of(path: Place, stat: Stat | None) -> int:
    """Return the size in what `stats_of` found for a path.

    Raises:
        FileNotFoundError: it found nothing.
    """
    if stat is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return stat.st_size


def name_below(path: Place, folder: Place) -> str:
    """Return the name of a path in a folder, with slashes.

    Raises:
        ValueError: it is somewhere else.
    """
    if isinstance(path, ObjectPath) and isinstance(folder, ObjectPath):
        return path.relative_to(folder).as_posix()
    if isinstance(path, Path) and isinstance(folder, Path):
        return path.resolve().relative_to(folder).as_posix()
    raise ValueError(f"{path} is not in {folder}")
