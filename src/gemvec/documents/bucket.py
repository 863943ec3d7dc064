"""Objects of a bucket as places of documents: `ObjectPlace`, and `open_bucket`, which finds them."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from gemvec.documents.address import Address
from gemvec.documents.document import BadDocument, Document, UnreadDocument, explain_unread
from gemvec.documents.ignore import Filters
from gemvec.documents.languages import CODE_NOT_ASKED_FOR
from gemvec.documents.place import Found, digest_of, make_document
from gemvec.documents.readers import find_reader, open_file
from gemvec.documents.records import RECORD_SUFFIXES, RecordFields, read_records
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.walk import HIDDEN, NAMED_FOLDERS, NO_SUFFIX, SUFFIXES, LeftOut
from gemvec.errors import GemvecError, StorageFailure
from gemvec.storage.objects import ObjectPath, ObjectStat, is_refused, open_bucket_path


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """One object.

    Attributes:
        path: where it is.
        name: see `Place`.
        stat: what the bucket says about it.
    """

    path: ObjectPath
    name: str
    stat: ObjectStat

    @property
    def size_bytes(self) -> int:
        """The size of the object."""
        return self.stat.st_size

    def read(self, fields: RecordFields) -> Iterator[Found]:
        """Yield its documents; an object that is one document is not fetched yet."""
        suffix = PurePosixPath(self.name).suffix.lower()
        if suffix in RECORD_SUFFIXES:
            yield from self._read_records(suffix, fields)
            return
        reader = find_reader(Path(self.name))
        yield UnreadDocument(
            id=self.name,
            source=self.name,
            content=reader.digest(self._version),
            read=self.parse,
            read_bytes=self.size_bytes,
            read_elsewhere=partial(_parse_equal, self),
        )

    @property
    def _version(self) -> bytes:
        """What is the same as long as the object is."""
        return digest_of(self.stat.e_tag or self.stat.st_mtime_ns, self.stat.st_size)

    def parse(self) -> Document | BadDocument:
        """Fetch and read an object that is one document."""
        try:
            reader = find_reader(Path(self.name))
            reader.refuse_large(self.size_bytes)
            with self._fetch() as path, open_file(path) as file:
                return make_document(file, reader, self.name, content=reader.digest(self._version))
        except Exception as error:  # noqa: BLE001 # a broken document fails anywhere inside the library that reads it
            return explain_unread(error, self.name, self.name)

    def is_equal(self, stat: ObjectStat) -> bool:
        """Whether `stat` is of the same object, with the same content."""
        has_tag = bool(self.stat.e_tag)
        is_same = _bare(stat.e_tag) == _bare(self.stat.e_tag) if has_tag else stat.st_mtime_ns == self.stat.st_mtime_ns
        return is_same and stat.st_size == self.stat.st_size

    @contextmanager
    def _fetch(self, suffix: str = "") -> Generator[Path]:
        """Fetch the object into a file."""
        with tempfile.TemporaryDirectory(prefix="gemvec-") as folder:
            path = Path(folder) / f"object{suffix}"
            with _costs_itself():
                self.path.copy_to_file(path)
            yield path

    def _read_records(self, suffix: str, fields: RecordFields) -> Iterator[Document | BadDocument]:
        with self._fetch(suffix) as path:
            yield from read_records(path, self.name, fields)


def _bare(e_tag: str) -> str:
    """Return an ETag without its quotes, which Azure leaves out in lists."""
    return e_tag.strip('"')


def _parse_equal(place: ObjectPlace) -> Document | BadDocument | None:
    """Read an object on another machine; None if that machine finds another one, or none, under this name."""
    try:
        is_equal = place.is_equal(place.path.stat())
    except (FileNotFoundError, GemvecError):
        return None
    return place.parse() if is_equal else None


@contextmanager
def _costs_itself() -> Generator[None]:
    """Turn what concerns one object into `UnreadableDocument`; a store that fails ends the run."""
    try:
        yield
    except FileNotFoundError:
        raise UnreadableDocument("it was deleted during the run") from None
    except StorageFailure as failure:
        if is_refused(failure):
            raise UnreadableDocument("the bucket does not let you read it") from failure
        raise


@dataclass(slots=True, kw_only=True)
class BucketObjects:
    """The objects of a bucket that are to be read.

    Attributes:
        places: in the order of their names.
        left_out: numbers of objects that are not read, by what says so.
        bad: parts of the bucket that could not be listed.
    """

    places: list[ObjectPlace] = field(default_factory=list[ObjectPlace])
    left_out: LeftOut = field(default_factory=LeftOut)
    bad: list[BadDocument] = field(default_factory=list[BadDocument])
    is_empty: bool = False


def open_bucket(address: Address, filters: Filters) -> BucketObjects:
    """Return the objects that an address stands for: one object, or all whose names begin with it and a slash.

    Args:
        address: of a bucket.
        filters: which objects are meant; patterns are relative to the address.

    Raises:
        BadSetting: the store cannot be used.
        StorageFailure: the store does not answer, or refuses.
        MissingDependency: obstore is not installed.
    """
    try:
        return _find_objects(address, filters)
    except StorageFailure as failure:
        raise StorageFailure(f"{address.url} cannot be read: {failure.message}") from failure


def _find_objects(address: Address, filters: Filters) -> BucketObjects:
    found = BucketObjects()
    root = open_bucket_path(address.url)
    if (stat := _find_object(address)) is not None:
        if filters.reads(PurePosixPath(address.url)):
            found.places.append(ObjectPlace(_split(address)[0], address.url, stat))
        else:
            found.bad.append(BadDocument(source=address.url, id=address.url, reason=CODE_NOT_ASKED_FOR))
        return found
    listed = dict(root.list_tree(lambda folder, reason: found.bad.append(_unlisted(address, folder, reason))))
    found.is_empty = not listed and not found.bad
    folders = {str(parent) for key in listed for parent in PurePosixPath(key).parents}
    for key in sorted(listed):
        stat = listed[key]
        if stat.st_size == 0 and (key in folders or not PurePosixPath(key).suffix):
            continue  # the mark of a folder
        if _reads(PurePosixPath(key), filters, found.left_out):
            found.places.append(ObjectPlace(root / key, f"{address.url}/{key}", stat))
    return found


def _find_object(address: Address) -> ObjectStat | None:
    """Return what the bucket says about the object of this very name; None if it is not one."""
    path, key = _split(address)
    if not key or PurePosixPath(key).suffix.lower() not in SUFFIXES:
        return None
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _split(address: Address) -> tuple[ObjectPath, str]:
    """Return the place of the object of an address, below its bucket, and its name there."""
    scheme, _, rest = address.url.partition("://")
    bucket, _, key = rest.partition("/")
    return replace(open_bucket_path(f"{scheme}://{bucket}"), key=key), key


def _unlisted(address: Address, folder: str, reason: str) -> BadDocument:
    source = f"{address.url}/{folder}".rstrip("/")
    return BadDocument(source=source, reason=f"its objects cannot be listed: {reason}")


def _reads(key: PurePosixPath, filters: Filters, left_out: LeftOut) -> bool:
    if any(part.startswith(".") for part in key.parts):
        left_out.files[HIDDEN] += 1
        return False
    if named := next((part for part in key.parts[:-1] if part in NAMED_FOLDERS), None):
        left_out.ignored[f"being in {named}"] += 1
        return False
    if reason := filters.find_reason(key):
        left_out.ignored[reason] += 1
        return False
    suffix = key.suffix.lower()
    if suffix not in SUFFIXES or not filters.reads(key):
        left_out.files[suffix or NO_SUFFIX] += 1
        return False
    return True
