"""Results as they are served: part files one after the other, or as the elements of one JSON array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from gemvec.batches.folder import BatchFolder
from gemvec.batches.job import Chunk, ChunkState, Job
from gemvec.batches.lines import open_kept, read_lines
from gemvec.errors import DataLost
from gemvec.storage.durable import translate_os_errors
from gemvec.wire.jsonl import error_line_to_wire, parse_request_line

_BLOCK_BYTES = 2**20


def inline_responses(
    folder: BatchFolder, job: Job, chunks: Sequence[Chunk], check: Callable[[], object]
) -> Iterator[bytes]:
    """Yield the responses of an ended batch as elements of a JSON array, commas included.

    Args:
        folder: where the part files are.
        job: an ended batch.
        chunks: all of its chunks, in order. For those that are not done, each request gets the batch's error.
        check: called when a file is gone; raises when the batch is, too. Otherwise each request of the chunk gets an
            error: what is left of a damaged batch is better than none.
    """
    comma = b""
    for chunk in chunks:
        for block in _responses(folder, job, chunk, check):
            yield comma + block
            comma = b""
        comma = b","


def _responses(folder: BatchFolder, job: Job, chunk: Chunk, check: Callable[[], object]) -> Iterator[bytes]:
    """Yield the responses of one chunk; that its file is gone shows before the first of them."""
    try:
        if chunk.state is ChunkState.DONE:
            yield from _with_commas(folder.part_path(job.batch_id, chunk.chunk_index, chunk.lease))
        else:
            yield b",".join(_errors(folder.input_path(job.batch_id), job, chunk))
    except DataLost:
        check()
        lost = error_line_to_wire({}, "DATA_LOSS", "The request or its result is damaged.")
        yield b",".join([msgspec.json.encode(lost)] * chunk.request_count)


def _with_commas(part: Path) -> Iterator[bytes]:
    """Yield a part file with commas for the line feeds between lines: JSON has no line feed inside a line."""
    with translate_os_errors(), open_kept(part) as file:
        block = file.read(_BLOCK_BYTES)
        while block:
            following = file.read(_BLOCK_BYTES)
            yield (block if following else block.rstrip(b"\n")).replace(b"\n", b",")
            block = following


def _errors(path: Path, job: Job, chunk: Chunk) -> Iterator[bytes]:
    status, message = job.error_status or "CANCELLED", job.error_message or "The request was not computed."
    for line in read_lines(path, chunk.input_offset, chunk.input_bytes):
        label = {} if line is None else parse_request_line(line).label
        yield msgspec.json.encode(error_line_to_wire(label, status, message))
