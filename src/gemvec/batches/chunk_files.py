"""The two ends of a chunk: its lines, read into requests, and its part file, written from answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.batches.lines import MAX_LINE_BYTES, MAX_OBJECT_BYTES, estimate_objects, read_lines
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.errors import DataLost, InvalidRequest
from gemvec.storage.durable import Checksum, Hook, crc32_of, translate_os_errors, write_durably
from gemvec.wire.embed import EmbedContentRequest, EmbeddingStatistics
from gemvec.wire.jsonl import RequestLine, format_error_line, format_response_line, parse_request_line

_BLOCK_BYTES = 2**18  # stays in the processor's cache

# A vector's value while a chunk is computed: a float32, once as the network gave it and once as it was asked for.
_VALUE_BYTES = 8

_TOO_LARGE = InvalidRequest(
    f"The line is longer than {MAX_LINE_BYTES} bytes, or its JSON would take more than {MAX_OBJECT_BYTES} of memory."
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one request has no vector: name of a google.rpc.Code, and a message for its sender."""

    status: str
    message: str


class ChunkFiles:
    """Reads and writes one chunk, holding its keys in between; called from threads, `read` before `write`."""

    def __init__(self, task: ChunkTask, *, hook: Hook | None = None) -> None:
        """Prepare; `hook` is called with each step of writing the part file, for crash tests."""
        self._task = task
        self._hook = hook
        self._labels: dict[int, dict[str, Any]] = {}

    def read(self, wanted: range | None = None) -> list[EmbedRequest | Failure]:
        """Return what each line asks for, or why it is not a request.

        Args:
            wanted: numbers of the lines to read, all of them when None; other lines are not parsed.

        Raises:
            DataLost: the input has changed.
            StorageFailure: it cannot be read.
        """
        task, asked, count = self._task, list[EmbedRequest | Failure](), 0
        check_input(task)
        for number, line in enumerate(read_lines(task.input_path, task.input_offset, task.input_bytes)):
            count += 1
            if wanted is not None and number not in wanted:
                continue
            read = RequestLine(label={}, request=_TOO_LARGE) if line is None else parse_request_line(line)
            self._labels[number] = read.label
            asked.append(_prepare(read.request, task.model))
        if count != task.request_count:
            raise _changed(task)
        return asked

    def write(self, answers: Sequence[Embedding | Failure]) -> ChunkResult:
        """Write the part file, durable; one answer for each line, in order. Lines never read have no key.

        Raises:
            StorageFull: there is no room; nothing is left behind.
            StorageFailure: it cannot be written; nothing is left behind.
        """
        checksum = Checksum()
        write_durably(self._task.part_path, checksum.of(self._blocks(answers)), hook=self._hook)
        token_counts = [answer.token_count for answer in answers if isinstance(answer, Embedding)]
        return ChunkResult(
            successful_count=len(token_counts),
            failed_count=len(answers) - len(token_counts),
            token_count=sum(token_counts),
            part_crc32=checksum.value,
        )

    def _blocks(self, answers: Sequence[Embedding | Failure]) -> Iterator[bytes]:
        """Yield the lines in blocks, so that they are not written one by one and not all held in memory."""
        block: list[bytes] = []
        size = 0
        for number, answer in enumerate(answers):
            label = self._labels.get(number, {})
            if isinstance(answer, Failure):
                parts = (format_error_line(label, answer.status, answer.message),)
            else:
                values = orjson.dumps(answer.vector, option=orjson.OPT_SERIALIZE_NUMPY)
                statistics = EmbeddingStatistics.of_cut(answer)
                parts = format_response_line(label, values, answer.token_count, statistics)
            block += parts
            size += sum(map(len, parts))
            if size >= _BLOCK_BYTES:
                yield b"".join(block)
                block, size = [], 0
        yield b"".join(block)


def estimate_bytes(task: ChunkTask, model: ServedModel) -> int:
    """Estimate how much memory a chunk takes: the objects of its lines, and its vectors.

    Raises:
        DataLost: the input is gone, or shorter than it was.
        StorageFailure: it cannot be read.
    """
    objects = estimate_objects(task.input_path, task.input_offset, task.input_bytes)
    values = max(model.default_dimensionality, model.native_dim)
    return objects + task.request_count * values * _VALUE_BYTES


def check_input(task: ChunkTask) -> None:
    """Make sure that the bytes of a chunk's lines are as they were when the batch was made.

    Raises:
        DataLost: they are not, or are gone.
        StorageFailure: they cannot be read.
    """
    if task.input_crc32 is None:
        return
    with translate_os_errors():
        try:
            found = crc32_of(task.input_path, task.input_bytes, offset=task.input_offset)
        except FileNotFoundError as error:
            raise DataLost(f"The input of batches/{task.batch_id} is gone.") from error
    if found != task.input_crc32:
        raise _changed(task)


def _changed(task: ChunkTask) -> DataLost:
    end = task.input_offset + task.input_bytes
    return DataLost(
        f"The input of batches/{task.batch_id} has changed between the bytes {task.input_offset} and {end}."
    )


def _prepare(request: EmbedContentRequest | InvalidRequest, model: str) -> EmbedRequest | Failure:
    """Return what to ask the embedder for, or why a request cannot be embedded."""
    if isinstance(request, InvalidRequest):
        return Failure("INVALID_ARGUMENT", request.message)
    if request.model is not None and request.model != model:
        return Failure("INVALID_ARGUMENT", f"* request.model: models/{request.model} is not the batch's models/{model}")
    return request.to_embed_request()
