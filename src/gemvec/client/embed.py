"""The client's side of models.batchEmbedContents: `EmbedRequest` to JSON, JSON to float32 vectors.

Most of a call's CPU time goes into parsing digits. The answer is first cut into its rows: one row at a time, the
numbers stay in the processor's cache on their way from text to float32.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from gemvec.embedding.embed import EmbedRequest, Float32Array
from gemvec.errors import BadAnswer, InvalidRequest
from gemvec.wire.embed import EmbedContentRequest
from gemvec.wire.message import to_wire

# Vectors whose squared length is this close to 1 are unit vectors that lost digits on their way.
_UNIT_TOLERANCE = 1e-4

_encode = msgspec.json.Encoder().encode


_VALUES = b'"values"'
_ROW_START = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")


class _Embedding(msgspec.Struct):
    values: list[float]


class _CutEmbedding(msgspec.Struct):
    values: int  # the row that was there


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int = 0


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[_Embedding] = msgspec.field(default_factory=list[_Embedding])  # proto3 JSON leaves empty lists out
    usage_metadata: _Usage | None = None


class _CutAnswer(msgspec.Struct, rename="camel"):
    embeddings: list[_CutEmbedding] = msgspec.field(default_factory=list[_CutEmbedding])
    usage_metadata: _Usage | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_decode_cut = msgspec.json.Decoder(_CutAnswer).decode
_decode_row = msgspec.json.Decoder(list[float]).decode


def encode_request(model: str, request: EmbedRequest, index: int) -> bytes:
    """Return one EmbedContentRequest as JSON.

    Raises:
        InvalidRequest: the text, number `index` of the call, is not Unicode.
    """
    wire = to_wire(EmbedContentRequest.from_embed_request(request, model=model))
    try:
        return _encode(wire)
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{{field}} is not Unicode: {error.reason}.", field="content", index=index) from error


def join_requests(requests: Sequence[bytes]) -> bytes:
    """Return the BatchEmbedContentsRequest of encoded requests."""
    return b'{"requests":[' + b",".join(requests) + b"]}"


def decode_answer(body: bytes, dimensionalities: Sequence[int | None]) -> tuple[list[Float32Array], int]:
    """Read a BatchEmbedContentsResponse.

    Args:
        body: the JSON.
        dimensionalities: for each requested embedding, how many values it must have; all embeddings with None must have
            the same number.

    Returns:
        The vectors, each float32[dim] and normalised, and the number of tokens by the server's count (0 if it has
        none).

    Raises:
        BadAnswer: the answer is not what the API promises.
    """
    try:
        rows, usage = _decode_rows(body)
        vectors = [_to_array(row) for row in rows]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"The answer is not a BatchEmbedContentsResponse: {error}") from error
    if len(vectors) != len(dimensionalities):
        raise BadAnswer(f"Wrong number of embeddings: expected {len(dimensionalities)}, got {len(vectors)}.")
    _check_dimensionalities(vectors, dimensionalities)
    token_count = usage.prompt_token_count if usage else 0
    if token_count < 0:
        raise BadAnswer(f"promptTokenCount is {token_count}.")
    return [normalised(vector) for vector in vectors], token_count


def _decode_rows(body: bytes) -> tuple[Iterator[list[float]], _Usage | None]:
    """Return the values of each embedding, and the token count by the server."""
    if (cut := _cut_rows(body)) is None:
        answer = _decode(body)
        return (each.values for each in answer.embeddings), answer.usage_metadata
    rest, rows = cut
    cut_answer = _decode_cut(rest)
    return (_decode_row(rows[each.values]) for each in cut_answer.embeddings), cut_answer.usage_metadata


def _check_dimensionalities(vectors: Sequence[Float32Array], wanted: Sequence[int | None]) -> None:
    usual = next((vector.size for vector, each in zip(vectors, wanted, strict=True) if each is None), None)
    for index, (vector, each) in enumerate(zip(vectors, wanted, strict=True)):
        expected = usual if each is None else each
        if vector.size != expected:
            raise BadAnswer(f"Embedding {index} of the answer has {vector.size} values, expected {expected}.")


def normalised(vector: Float32Array) -> Float32Array:
    """Return the vector with length 1; a vector of length 1 or of zeros is returned unchanged.

    Google's older models return other lengths if the dimensionality is below their own.

    Raises:
        BadAnswer: the vector is empty or holds an infinity.
    """
    wide = vector.astype(np.float64)  # squares of float32 may overflow float32
    square = float(np.dot(wide, wide))
    if not vector.size or not math.isfinite(square):
        raise _not_finite()
    if square == 0 or abs(square - 1) <= _UNIT_TOLERANCE:
        return vector
    return (wide / math.sqrt(square)).astype(np.float32)


def _not_finite() -> BadAnswer:
    return BadAnswer("An embedding has no values, or values that are not finite.")


def _cut_rows(body: bytes) -> tuple[bytes, list[memoryview]] | None:
    """Return the JSON with a number in place of each flat array called `values`, and those arrays.

    None if such a number could be confused with one from the server: something else is called `values`, or a name is
    written with a backslash. In other JSON the bytes `"values"` are a name or a whole string, never part of one: quotes
    inside strings are escaped. The time is linear in the size of the body, whatever it contains.
    """
    view = memoryview(body)
    rows: list[memoryview] = []
    rest: list[bytes] = []
    position = end = inner = 0  # positions of the next `]`, and of the next `[` after a row's first
    while (found := body.find(_VALUES, position)) >= 0:
        after = found + len(_VALUES)
        start = _ROW_START.match(body, after)
        if start is None:
            return None
        first = start.end()
        end = body.find(b"]", first) if end < first else end
        inner = body.find(b"[", first) if 0 <= inner < first else inner
        if end < 0 or 0 <= inner < end:
            return None
        rest += (body[position:after], b":%d" % len(rows))
        rows.append(view[first - 1 : end + 1])
        position = end + 1
    rest.append(body[position:])
    joined = b"".join(rest)
    return None if b"\\" in joined else (joined, rows)


def _to_array(values: list[float]) -> Float32Array:
    # Faster than numpy.array(values, dtype=float32), and the result is writable.
    data = bytearray(4 * len(values))
    try:
        struct.pack_into(f"{len(values)}f", data, 0, *values)
    except OverflowError as error:  # Python 3.14; earlier versions make it an infinity
        raise _not_finite() from error
    return np.frombuffer(data, dtype=np.float32)
