"""The lines of a chunk: read into requests, and written from answers, wherever their bytes come from and go to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gemvec.batches.lines import MAX_LINE_BYTES, MAX_OBJECT_BYTES
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.errors import InvalidRequest
from gemvec.wire.embed import EmbedContentRequest, EmbeddingStatistics
from gemvec.wire.jsonl import RequestLine, format_error_line, format_response_line, parse_request_line

_BLOCK_BYTES = 2**18  # stays in the processor's cache

_TOO_LARGE = InvalidRequest(
    f"The line is longer than {MAX_LINE_BYTES} bytes, or its JSON would take more than {MAX_OBJECT_BYTES} of memory."
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one request has no vector: name of a google.rpc.Code, and a message for its sender."""

    status: str
    message: str


# For a request that ended the process that worked on it several times.
KILLER = Failure("INTERNAL", "The server died whenever it worked on this request.")


class ChunkLines:
    """Reads lines and writes their answers, holding their keys in between."""

    def __init__(self, model: str) -> None:
        """Read the lines of a batch for the served name `model`."""
        self._model = model
        self._labels: dict[int, dict[str, Any]] = {}

    def parse(self, number: int, line: bytes | None) -> EmbedRequest | Failure:
        """Return what a line asks for, or why it is not a request.

        Args:
            number: its place in the chunk.
            line: its bytes; None stands for one that is too large.
        """
        read = RequestLine(label={}, request=_TOO_LARGE) if line is None else parse_request_line(line)
        self._labels[number] = read.label
        return _prepare(read.request, self._model)

    def format(self, answers: Sequence[Embedding | Failure]) -> Iterator[bytes]:
        """Yield the lines of the answers in blocks, so that they are not written one by one and not all held in memory.

        Args:
            answers: one for each line, in order; lines that were never parsed have no key.
        """
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


def _prepare(request: EmbedContentRequest | InvalidRequest, model: str) -> EmbedRequest | Failure:
    """Return what to ask the embedder for, or why a request cannot be embedded."""
    if isinstance(request, InvalidRequest):
        return Failure("INVALID_ARGUMENT", request.message)
    if request.model is not None and request.model != model:
        return Failure("INVALID_ARGUMENT", f"* request.model: models/{request.model} is not the batch's models/{model}")
    return request.to_embed_request()
