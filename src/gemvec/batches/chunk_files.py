"""The two ends of a chunk: its lines, read into requests, and its part file, written from answers."""

from __future__ import annotations

from collections.abc import Sequence

from gemvec.batches.chunk_lines import ChunkLines, Failure
from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.batches.lines import estimate_objects, read_lines
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.errors import DataLost
from gemvec.storage.durable import Checksum, Hook, crc32_of, translate_os_errors, write_durably

# A vector's value while a chunk is computed: a float32, once as the network gave it and once as it was asked for.
_VALUE_BYTES = 8


class ChunkFiles:
    """Reads and writes one chunk, holding its keys in between; called from threads, `read` before `write`."""

    def __init__(self, task: ChunkTask, *, hook: Hook | None = None) -> None:
        """Prepare; `hook` is called with each step of writing the part file, for crash tests."""
        self._task = task
        self._hook = hook
        self._lines = ChunkLines(task.model)

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
            asked.append(self._lines.parse(number, line))
        check_count(task, count)
        return asked

    def write(self, answers: Sequence[Embedding | Failure]) -> ChunkResult:
        """Write the part file, durable; one answer for each line, in order. Lines never read have no key.

        Raises:
            StorageFull: there is no room; nothing is left behind.
            StorageFailure: it cannot be written; nothing is left behind.
        """
        checksum = Checksum()
        write_durably(self._task.part_path, checksum.of(self._lines.format(answers)), hook=self._hook)
        token_counts = [answer.token_count for answer in answers if isinstance(answer, Embedding)]
        return ChunkResult(
            successful_count=len(token_counts),
            failed_count=len(answers) - len(token_counts),
            token_count=sum(token_counts),
            part_crc32=checksum.value,
        )


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


def check_count(task: ChunkTask, count: int) -> None:
    """Make sure that a chunk has as many lines as when the batch was made.

    Raises:
        DataLost: it has not.
    """
    if count != task.request_count:
        raise _changed(task)


def _changed(task: ChunkTask) -> DataLost:
    end = task.input_offset + task.input_bytes
    return DataLost(
        f"The input of batches/{task.batch_id} has changed between the bytes {task.input_offset} and {end}."
    )
