"""Objects of a bucket, used as files of a folder are used: `ObjectPath`.

S3, Google Cloud Storage and Azure, through obstore. An object has all of its bytes or does not exist, without a rename.
A folder is only what names begin with. Nothing is ever appended to an object.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from gemvec.errors import BadSetting, MissingDependency, StorageFailure
from gemvec.logs import get_logger
from gemvec.storage.object_failures import explain_credentials, explain_failure, first_line, is_without_bucket

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore, RetryConfig

SCHEMES = ("s3", "gs", "az")
# How much one request reads. A slow download holds this much.
_READ_BYTES = 2**20
# A larger object is sent in parts of this size; two are under way at a time.
_PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 2
# A store that does not answer is asked again for this long; then the caller hears of it and tries again later.
_RETRY_SECONDS = 20
_RETRIES = 5

_log = get_logger("storage")


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """Size and time of the last change, named as in the results of `Path.stat`; `e_tag` is empty in some lists."""

    st_size: int
    st_mtime_ns: int
    e_tag: str = ""


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """The place of an object, or of all objects whose names begin with it and a slash.

    Its methods raise FileNotFoundError as those of `Path` do, and StorageFailure when the store fails. It can be sent
    to another process.

    Attributes:
        url: the root, such as `s3://bucket/prefix`.
        key: the name below the root; "" is the root itself.
    """

    url: str
    key: str = ""

    @property
    def name(self) -> str:
        """The part of the name after the last slash."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """The folder."""
        return ObjectPath(self.url, self.key.rpartition("/")[0])

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.url, f"{self.key}/{name}" if self.key else name)

    def __str__(self) -> str:
        return f"{self.url}/{self.key}"

    def resolve(self) -> ObjectPath:
        """Return itself: an object has one name."""
        return self

    def relative_to(self, folder: ObjectPath) -> PurePosixPath:
        """Return the name below a folder.

        Raises:
            ValueError: it is somewhere else.
        """
        if self.url != folder.url:
            raise ValueError(f"{self} is not in {folder}")
        return PurePosixPath(self.key).relative_to(folder.key)

    def stat(self) -> ObjectStat:
        """Return the object's size and time."""
        import obstore

        with self._translated():
            found = obstore.head(_open_store(self.url), self.key)
        return _to_stat(found)

    def exists(self) -> bool:
        """Return whether there is such an object."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def open(self, mode: Literal["rb"] = "rb", buffering: int = -1) -> io.BufferedReader:  # noqa: ARG002 - as of `Path`
        """Open the object to read it from any position; a missing one is noticed here."""
        reader = _Reader(self)
        reader.look()
        return io.BufferedReader(reader, _READ_BYTES)

    def read_range(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes from `start` on; fewer only at the end of the object."""
        import obstore
        from obstore.exceptions import GenericError

        with self._translated():
            try:
                return bytes(obstore.get_range(_open_store(self.url), self.key, start=start, length=size))
            except GenericError:
                if self.stat().st_size > start:  # stores refuse a range that begins at the end
                    raise
                return b""

    def write(self, blocks: Iterable[bytes]) -> int:
        """Write the object; until this returns, it has what it had before, even if `blocks` raises. Return its size."""
        import obstore

        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for block in _in_parts(blocks):
                size += len(block)
                yield block

        parts = counted()
        first = next(parts, b"")
        following = next(parts, None)
        with self._translated():
            if following is None:
                obstore.put(_open_store(self.url), self.key, first, use_multipart=False)
            else:
                obstore.put(
                    _open_store(self.url),
                    self.key,
                    chain((first, following), parts),
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
        return size

    def copy_to(self, target: ObjectPath) -> None:
        """Copy the object inside the store; its bytes do not come here."""
        import obstore

        with self._translated():
            obstore.copy(_open_store(self.url), self.key, target.key)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the object."""
        import obstore

        with self._translated():
            try:
                obstore.delete(_open_store(self.url), self.key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    @staticmethod
    def unlink_all(paths: Sequence[ObjectPath]) -> None:
        """Remove objects of one store; nothing happens to those that are gone."""
        with paths[0]._translated():  # noqa: SLF001 - of the same class
            _delete(_open_store(paths[0].url), [path.key for path in paths])

    def list_names(self) -> set[str]:
        """Return the names directly below this one: of objects, and of what longer names begin with."""
        import obstore

        with self._translated():
            found = obstore.list_with_delimiter(_open_store(self.url), prefix=self.key or None)
        keys = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        return {key.rpartition("/")[2] for key in keys}

    def list_stats(self) -> dict[str, ObjectStat]:
        """Return the name, size and time of each object directly below this one."""
        import obstore

        with self._translated():
            found = obstore.list_with_delimiter(_open_store(self.url), prefix=self.key or None)["objects"]
        return {
            each["path"].rpartition("/")[2]: ObjectStat(each["size"], int(each["last_modified"].timestamp() * 1e9))
            for each in found
        }

    def list_tree(self, report: Callable[[str, str], None]) -> Iterator[tuple[str, ObjectStat]]:
        """Yield the name below this one, and what is known, of each object whose name begins with this one.

        Names that obstore cannot express (`a//b`, `a/../b`, control characters) hide the others in the same folder.

        Args:
            report: told about each folder that cannot be listed for this reason: its name, and why.
        """
        import obstore
        from obstore.exceptions import InvalidPathError

        with self._translated():
            try:
                found = [each for some in obstore.list(_open_store(self.url), prefix=self.key or None) for each in some]
            except InvalidPathError:
                yield from self._list_folder(self.key, report)
                return
        for each in found:
            yield self._name_below(each["path"]), _to_stat(each)

    def _list_folder(self, folder: str, report: Callable[[str, str], None]) -> Iterator[tuple[str, ObjectStat]]:
        import obstore
        from obstore.exceptions import InvalidPathError

        with self._translated():
            try:
                found = obstore.list_with_delimiter(_open_store(self.url), prefix=folder or None)
            except InvalidPathError as error:
                report(self._name_below(folder), first_line(str(error)))
                return
        for each in found["objects"]:
            yield self._name_below(each["path"]), _to_stat(each)
        for inner in found["common_prefixes"]:
            yield from self._list_folder(inner, report)

    def _name_below(self, key: str) -> str:
        return key.removeprefix(self.key).lstrip("/")

    def read_bytes(self) -> bytes:
        """Return the whole object."""
        import obstore

        with self._translated():
            return bytes(obstore.get(_open_store(self.url), self.key).bytes())

    def copy_to_file(self, target: Path) -> None:
        """Write the object to a file, piece by piece."""
        import obstore

        with self._translated(), target.open("wb") as file:
            for block in obstore.get(_open_store(self.url), self.key).stream(min_chunk_size=_READ_BYTES):
                file.write(block)

    def remove_tree(self) -> None:
        """Remove every object below this name; others may be doing the same."""
        import obstore

        with self._translated():
            store = _open_store(self.url)
            for objects in obstore.list(store, prefix=self.key):
                _delete(store, [each["path"] for each in objects])

    @contextmanager
    def _translated(self) -> Generator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and not is_without_bucket(error):
                raise
            _log.info("the object store failed", extra={"object": self.key, "reason": first_line(str(error))})
            raise StorageFailure(f"The object store failed: {explain_failure(error, self.url)}.") from error


def _to_stat(found: ObjectMeta) -> ObjectStat:
    return ObjectStat(found["size"], int(found["last_modified"].timestamp() * 1e9), found["e_tag"] or "")


def is_refused(failure: StorageFailure) -> bool:
    """Whether the store answered, and does not let the caller do this."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    return isinstance(failure.__cause__, PermissionDeniedError | UnauthenticatedError)


class _Reader(io.RawIOBase):
    """Reads an object range by range."""

    def __init__(self, path: ObjectPath) -> None:
        self._path = path
        self._position = 0
        self._size = 0

    def look(self) -> None:
        """Ask for the size."""
        self._size = self._path.stat().st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] # as it is called
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        block = self._path.read_range(self._position, wanted)
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)

    def readall(self) -> bytes:  # the usual one asks for 8 KiB at a time
        return b"".join(iter(partial(self.read, _READ_BYTES), b""))


def open_bucket_path(url: str) -> ObjectPath:
    """Return the place that a URL such as `s3://bucket/prefix` names, to read from; nothing is asked yet.

    Raises:
        BadSetting: the environment does not say how to reach it.
        MissingDependency: obstore is not installed.
    """
    path = ObjectPath(url)
    _open_store(url)
    return path


def parse_storage(url: str) -> ObjectPath:
    """Return the place that a URL such as `s3://bucket/prefix` names; nothing is asked yet.

    Raises:
        BadSetting: it is another kind of URL.
        MissingDependency: obstore is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not rest.strip("/"):
        expected = ", ".join(f"{each}://" for each in SCHEMES)
        raise BadSetting(f"--storage {url}: expected a bucket and what names begin with, after one of {expected}.")
    path = ObjectPath(url.rstrip("/"))
    _open_store(path.url)
    return path


@lru_cache(maxsize=8)
def _open_store(url: str) -> ObjectStore:
    try:
        from obstore.store import MemoryStore, from_url
    except ModuleNotFoundError as error:
        raise MissingDependency("An object store needs obstore.", extra="objects") from error
    if url.startswith("memory:"):
        return MemoryStore()
    retries: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
    try:
        return from_url(url, retry_config=retries)  # pyright: ignore[reportCallIssue] # declared per kind of store
    except Exception as error:
        hint = explain_credentials(url)
        raise BadSetting(f"The object store {url} cannot be used: {first_line(str(error))}. Hint: {hint}.") from error


def _delete(store: ObjectStore, keys: list[str]) -> None:
    """Remove objects. Google and Azure refuse the whole list if one of them is gone already, and S3 does not."""
    import obstore

    try:
        obstore.delete(store, keys)
    except FileNotFoundError:
        for key in keys:
            with suppress(FileNotFoundError):
                obstore.delete(store, key)


def _in_parts(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks joined to at least the size of a part; an object without bytes is one empty block."""
    held: list[bytes] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size >= _PART_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if size or not held:
        yield b"".join(held)
