"""Files that are complete after a crash, or not there at all.

In a folder: write to a temporary name, fsync, rename, fsync the folder. Each step has a name; a crash test passes a
`hook` that ends the process at one of them. An object store does the same in one call. Disk-full conditions of the
operating system become StorageFull here.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from gemvec.errors import StorageFailure, StorageFull
from gemvec.storage.objects import ObjectPath

# What has just been done. The next operation follows directly, so these are all the moments at which a crash matters.
Step = Literal["started", "written", "synced", "renamed", "folder_synced"]
Hook = Callable[[Step], None]

# Where bytes are: a file, or an object with the same methods.
Place = Path | ObjectPath

TEMPORARY_SUFFIX = ".part"
_BLOCK_BYTES = 2**20

# No space, over quota, beyond a size limit of the process or the file system.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_durably(path: Place, content: bytes | Iterable[bytes], *, hook: Hook | None = None) -> int:
    """Write a file or an object so that after a crash `path` has either all of `content` or what it had before.

    Args:
        path: where to write; its folder exists. The caller must not write the same path from two threads at once.
        content: the bytes, whole or in blocks.
        hook: called with the name of each step.

    Returns:
        Number of bytes written.

    Raises:
        StorageFull: there is no room; nothing is left behind.
        StorageFailure: writing failed for another reason; nothing is left behind.
    """
    step, blocks = hook or _pass, [content] if isinstance(content, bytes) else content
    if isinstance(path, ObjectPath):
        return _write_object(path, blocks, step)
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with translate_os_errors():
        try:
            step("started")
            size = _write_synced(temporary, blocks, step)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        step("renamed")
        sync_folder(path.parent)
        step("folder_synced")
    return size


class Checksum:
    """CRC-32 of blocks as they pass: enough to notice a flipped bit, and cheap."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self.value = 0

    def of(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the blocks and add them to the checksum."""
        for block in blocks:
            self.value = zlib.crc32(block, self.value)
            yield block


def crc32_of(path: Place, size_bytes: int | None = None, *, offset: int = 0) -> int:
    """Return the CRC-32 of a file from `offset` on, or of that many bytes there.

    Raises:
        OSError: it cannot be read.
    """
    checksum, left = 0, size_bytes
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while left != 0 and (block := file.read(_BLOCK_BYTES if left is None else min(left, _BLOCK_BYTES))):
            checksum = zlib.crc32(block, checksum)
            left = None if left is None else left - len(block)
    return checksum


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path to write to; it replaces `path` at the end, and on an error `path` stays as it was.

    For files that a user can ask for again: unlike `write_durably`, it does not wait for the disk.

    Raises:
        StorageFull: there is no room.
        StorageFailure: writing failed for another reason.
    """
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    with translate_os_errors():
        try:
            yield temporary
            if temporary.exists():
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def make_folder(folder: Place) -> None:
    """Make a folder if it is missing; its name survives a power cut. Only its owner may read it, also if it existed.

    A folder that everybody may write to by design, such as /tmp, stays as it is. An object store has no folders.

    Raises:
        StorageFailure: it cannot be made.
    """
    if isinstance(folder, ObjectPath):
        return
    with translate_os_errors():
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)
        elif not folder.stat().st_mode & stat.S_ISVTX:
            keep_private(folder, 0o700)


def keep_private(path: Path, mode: int) -> None:
    """Deny a file or folder to all but its owner; somebody else's is left as it is."""
    if path.stat().st_mode & 0o077:
        with suppress(PermissionError):
            path.chmod(mode)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def translate_os_errors() -> Generator[None]:
    """Turn an OSError into StorageFull when the disk is full, otherwise into StorageFailure."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from error
        raise StorageFailure(f"A file could not be read or written: {error}") from error


def _pass(step: Step) -> None:
    """Do nothing: the hook of everyday writing."""


def _write_object(path: ObjectPath, blocks: Iterable[bytes], step: Hook) -> int:
    """Write an object: it is there, whole and durable, when the store has answered."""
    with translate_os_errors():
        step("started")
        size = path.write(blocks)
        step("folder_synced")
    return size


def _write_synced(path: Path, blocks: Iterable[bytes], step: Hook) -> int:
    with path.open("wb") as file:
        size = sum(file.write(block) for block in blocks)
        file.flush()
        step("written")
        os.fsync(file.fileno())
        step("synced")
    return size
