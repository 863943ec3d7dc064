"""Results of an ended batch, one for every request, in order: as the parts of a file, or as elements of a JSON array.

What was computed is in part files. Every other request has an error at its place: the batch's own error, or that its
data is lost. What is left of a damaged batch is better than nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from gemvec.batches.folder import BatchFolder
from gemvec.batches.job import Chunk, ChunkState, Job
from gemvec.batches.lines import open_kept, read_lines
from gemvec.errors import DataLost
from gemvec.storage.durable import Checksum, Place, crc32_of, translate_os_errors, write_durably
from gemvec.storage.places import stats_of
from gemvec.wire.jsonl import error_line_to_wire, parse_request_line

_BLOCK_BYTES = 2**20
_LOST = ("DATA_LOSS", "The request or its result is damaged.")


@dataclass(frozen=True, slots=True)
class FileOutput:
    """The results of a batch as files or objects.

    Attributes:
        parts: path and CRC-32 of each, in order; together they have one line for every request.
        successful_count: requests that have a response in them.
    """

    parts: tuple[tuple[Place, int | None], ...]
    successful_count: int


def finished_output(folder: BatchFolder, job: Job, chunks: Sequence[Chunk]) -> FileOutput:
    """Return the results of a batch whose chunks are all done."""
    parts = tuple((_part_path(folder, job, chunk), chunk.part_crc32) for chunk in chunks)
    return FileOutput(parts, sum(chunk.successful_count for chunk in chunks))


def write_output(folder: BatchFolder, job: Job, chunks: Sequence[Chunk]) -> FileOutput:
    """Write durably the missing results of a batch that ends without success; return all of its results.

    Args:
        folder: where the part files are.
        job: a batch that is ending and has its error.
        chunks: all of its chunks, in order.

    Raises:
        StorageFull: there is no room; calling again starts from the beginning.
        StorageFailure: something cannot be written.
    """
    parts: list[tuple[Place, int | None]] = []
    successful_count = 0
    for is_there, run in groupby(chunks, lambda chunk: _is_there(folder, job, chunk)):
        group = list(run)
        if is_there:
            parts += ((_part_path(folder, job, chunk), chunk.part_crc32) for chunk in group)
            successful_count += sum(chunk.successful_count for chunk in group)
        else:
            path = folder.errors_path(job.batch_id, group[0].chunk_index)
            checksum = Checksum()
            write_durably(path, checksum.of(_with_feeds(_errors(folder, job, chunk)) for chunk in group))
            parts.append((path, checksum.value))
    return FileOutput(tuple(parts), successful_count)


def inline_responses(
    folder: BatchFolder, job: Job, chunks: Sequence[Chunk], check: Callable[[], object]
) -> Iterator[bytes]:
    """Yield the responses of an ended batch as elements of a JSON array, commas included.

    Args:
        folder: where the part files are.
        job: an ended batch.
        chunks: all of its chunks, in order.
        check: called when a file is gone; raises when the batch is, too.
    """
    comma = b""
    for chunk in chunks:
        for block in _responses(folder, job, chunk, check):
            yield comma + block
            comma = b""
        comma = b","


def inline_bytes(folder: BatchFolder, job: Job, chunks: Sequence[Chunk]) -> int:
    """Return the size of the computed responses of an ended batch."""
    paths = [_part_path(folder, job, chunk) for chunk in chunks if chunk.state is ChunkState.DONE]
    with translate_os_errors():
        return sum(stat.st_size for stat in stats_of(paths) if stat is not None)


def _part_path(folder: BatchFolder, job: Job, chunk: Chunk) -> Place:
    return folder.part_path(job.batch_id, chunk.chunk_index, chunk.lease)


def _is_there(folder: BatchFolder, job: Job, chunk: Chunk) -> bool:
    with translate_os_errors():
        return chunk.state is ChunkState.DONE and is_whole(_part_path(folder, job, chunk), chunk)


def is_whole(part: Place, chunk: Chunk) -> bool:
    """Say whether a part file is there, with the bytes that were written.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return chunk.part_crc32 in {None, crc32_of(part)}
    except FileNotFoundError:
        return False


def _responses(folder: BatchFolder, job: Job, chunk: Chunk, check: Callable[[], object]) -> Iterator[bytes]:
    """Yield the responses of one chunk; a missing file is noticed before the first of them."""
    if chunk.state is ChunkState.DONE:
        part = _part_path(folder, job, chunk)
        with translate_os_errors():
            has_all = is_whole(part, chunk)
        if has_all:
            try:
                yield from _with_commas(part)
            except DataLost:
                check()
                raise
        else:
            check()
            yield b",".join(_errors(folder, job, chunk))
    else:
        if not folder.input_path(job.batch_id).exists():
            check()
        yield b",".join(_errors(folder, job, chunk))


def _with_commas(part: Place) -> Iterator[bytes]:
    """Yield a part file with commas for the line feeds between lines: JSON has no line feed inside a line."""
    with translate_os_errors(), open_kept(part) as file:
        block = file.read(_BLOCK_BYTES)
        while block:
            following = file.read(_BLOCK_BYTES)
            yield (block if following else block.rstrip(b"\n")).replace(b"\n", b",")
            block = following


def _with_feeds(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _errors(folder: BatchFolder, job: Job, chunk: Chunk) -> list[bytes]:
    """Return an error for each request of a chunk that has no results, with its key where the input is still there."""
    if chunk.state is ChunkState.DONE:  # its part file is gone
        status, message = _LOST
    else:
        status, message = job.error_status or "CANCELLED", job.error_message or "The request was not computed."
    try:
        lines = list(read_lines(folder.input_path(job.batch_id), chunk.input_offset, chunk.input_bytes))
        labels = [{} if line is None else parse_request_line(line).label for line in lines]
    except DataLost:
        labels = []
    if len(labels) != chunk.request_count:
        return [msgspec.json.encode(error_line_to_wire({}, *_LOST))] * chunk.request_count
    return [msgspec.json.encode(error_line_to_wire(label, status, message)) for label in labels]
