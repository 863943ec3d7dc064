"""Rows that Milvus imports by itself, from Parquet files that are put where it reads: `BulkImport`.

A file is written, its import is started and watched, and the file is removed when its rows are there. Nothing else is
kept: the files that are left say what an earlier run has not finished, and Milvus says which of them it has
imported. No row is imported twice: a file without a job that Milvus remembers is compared with the rows.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from gemvec.errors import StorageFailure
from gemvec.milvus.import_jobs import ImportJob, ImportJobs
from gemvec.milvus.parquet import count_rows_per_group, open_writer, read_keys
from gemvec.milvus.schema import Row
from gemvec.milvus.version import CollectionVersion
from gemvec.storage.durable import Place, translate_os_errors, write_durably
from gemvec.storage.objects import SCHEMES, parse_storage
from gemvec.storage.places import list_names, remove_files

# Bytes of rows in a file: a killed run embeds those of one file again, or finds them in the cache.
PART_BYTES = 256 * 2**20
_POLL_SECONDS = 1.0
_BLOCK_BYTES = 2**20
_SUFFIX = ".parquet"


def parse_place(text: str) -> Place:
    """Return the place that `--bulk` names: a bucket of an object store, or a folder.

    Raises:
        BadSetting: it is a URL of another kind.
        MissingDependency: obstore is not installed.
    """
    return parse_storage(text) if text.startswith(tuple(f"{each}://" for each in SCHEMES)) else Path(text).absolute()


@dataclass(frozen=True, slots=True)
class _Import:
    """A file and the job that imports it."""

    path: Place
    job_id: str


class BulkImport:
    """Gives the rows of one version to Milvus' bulk import.

    Args:
        place: what Milvus reads: a folder, or where objects go in its own bucket.
        jobs: the import jobs of the server.
        say: called with what the user should know.
    """

    def __init__(self, place: Place, jobs: ImportJobs, say: Callable[[str], None]) -> None:
        self._place = place
        self._jobs = jobs
        self._say = say
        self._part: _Part | None = None
        self._under_way: list[_Import] = []

    async def open(self, version: CollectionVersion) -> None:
        """Finish what earlier runs have left; then rows can be added.

        Raises:
            FailedPrecondition: this Milvus has no bulk import.
            StorageFailure: a file cannot be read or imported.
            TransportFailure: Milvus does not answer.
        """
        self._version = version
        self._folder = self._place / version.name
        names = await asyncio.to_thread(self._find_left)
        if names:
            self._say(f"Files of an earlier run that Milvus imports first: {len(names):,}.")
            jobs = await self._list_jobs()
            await asyncio.to_thread(self._take_up_all, names, jobs)
            await self._wait()

    async def _list_jobs(self) -> list[ImportJob]:
        """Return the jobs of the collection. One that has just been started names no files for a moment."""
        while True:
            ids = await asyncio.to_thread(self._jobs.list_ids, self._version.name)
            jobs = [await asyncio.to_thread(self._jobs.describe, each) for each in ids]
            if all(each.files or each.is_completed or each.has_failed for each in jobs):
                return jobs
            await asyncio.sleep(_POLL_SECONDS)

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows that the collection does not have; runs in a thread.

        Raises:
            StorageFull, StorageFailure: a file cannot be written, or Milvus refuses it.
        """
        if not rows:
            return
        self._part = self._part or _Part(self._version)
        self._part.add(rows)
        if self._part.size_bytes >= PART_BYTES:
            self._publish()

    async def finish(self) -> None:
        """Wait until all rows are there.

        Raises:
            StorageFailure: Milvus could not import a file; the next run tries it again.
        """
        await asyncio.to_thread(self._publish)
        await self._wait()

    def close(self) -> None:
        """Forget the rows that are in no complete file yet."""
        if self._part is not None:
            self._part.close()
            self._part = None
        self._jobs.close()

    def _publish(self) -> None:
        if self._part is None:
            return
        path = self._folder / f"{uuid4().hex}{_SUFFIX}"
        try:
            written = self._part.end()
            with translate_os_errors():
                if isinstance(self._folder, Path):
                    self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(path, _blocks_of(written))
        finally:
            self._part.close()
            self._part = None
        self._start(path)

    def _start(self, path: Place) -> None:
        self._under_way.append(_Import(path, self._jobs.start(self._version.name, _name_for_milvus(path))))

    def _find_left(self) -> list[str]:
        """Return the names of the files that earlier runs have left."""
        self._jobs.list_ids(self._version.name)  # refused where Milvus cannot import, also if there is no file
        with translate_os_errors():
            try:
                return sorted(name for name in list_names(self._folder) if name.endswith(_SUFFIX))
            except FileNotFoundError:
                return []

    def _take_up_all(self, names: Sequence[str], jobs: Sequence[ImportJob]) -> None:
        for name in names:
            self._take_up(self._folder / name, [each for each in jobs if name in each.files])

    def _take_up(self, path: Place, jobs: Sequence[ImportJob]) -> None:
        under_way = next((each for each in jobs if not each.has_failed), None)
        if under_way is not None:
            self._under_way.append(_Import(path, under_way.job_id))
            return
        with _local(path) as file:
            is_imported = bool(self._version.find_keys(read_keys(file)))
        # Rows of an import are there together or not at all. What was deleted since, the run finds missing.
        if is_imported:
            remove_files([path])
        else:
            self._start(path)

    async def _wait(self) -> None:
        while self._under_way:
            for each in list(self._under_way):
                job = await asyncio.to_thread(self._jobs.describe, each.job_id)
                if job.has_failed:
                    raise StorageFailure(f"Milvus could not import {each.path}: {job.reason or 'it gives no reason'}.")
                if job.is_completed:
                    await asyncio.to_thread(remove_files, [each.path])
                    self._under_way.remove(each)
            if self._under_way:
                await asyncio.sleep(_POLL_SECONDS)


class _Part:
    """A file that is being written, on this machine."""

    def __init__(self, version: CollectionVersion) -> None:
        self._version = version
        self._rows_per_group = count_rows_per_group(version.fingerprint)
        self._rows: list[Row] = []
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gemvec-"))
        self._path = Path(folder) / "rows.parquet"
        self._writing = ExitStack()
        self._write = self._writing.enter_context(
            open_writer(self._path, version.fingerprint, version.indexing, fields=version.row_fields)
        )
        self.size_bytes = 0

    def add(self, rows: Sequence[Row]) -> None:
        self._rows.extend(rows)
        self.size_bytes += sum(each.size_bytes for each in rows)
        if len(self._rows) >= self._rows_per_group:
            self._flush()

    def end(self) -> Path:
        """Return the complete file."""
        self._flush()
        self._writing.close()
        return self._path

    def close(self) -> None:
        self._stack.close()

    def _flush(self) -> None:
        if self._rows:
            self._write([self._version.to_entity(row) for row in self._rows])
            self._rows = []


@contextmanager
def _local(path: Place) -> Generator[Path]:
    """Yield a file of this machine with the same bytes."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="gemvec-") as folder:
        copy = Path(folder) / "rows.parquet"
        path.copy_to_file(copy)
        yield copy


def _name_for_milvus(path: Place) -> str:
    """Return what Milvus calls a file: the name of an object in the bucket, or a path."""
    if isinstance(path, Path):
        return str(path)
    return "/".join(part for part in (urlsplit(path.url).path.strip("/"), path.key) if part)


def _blocks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
