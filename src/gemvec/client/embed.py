"""The client's side of models.batchEmbedContents: `EmbedRequest` to JSON, JSON to float32 vectors.

Most of a call's CPU goes into reading digits. The answer is cut into its rows first: a row at a time, numbers stay in
the processor's cache on their way from text to float32.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import msgspec
import numpy as np

from gemvec.embedding.embed import EmbedRequest, Float32Array
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadAnswer, InvalidRequest
from gemvec.wire.embed import EmbedContentRequest, embed_request_to_wire

# Vectors whose squared length is this near to 1 are unit vectors that lost digits on their way.
_UNIT_TOLERANCE = 1e-4

_encode = msgspec.json.Encoder().encode


_VALUES = b'"values"'


class _Embedding(msgspec.Struct):
    values: int  # which row stood there


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int = 0


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[_Embedding] = msgspec.field(default_factory=list[_Embedding])  # proto3 JSON leaves empty lists out
    usage_metadata: _Usage | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_decode_row = msgspec.json.Decoder(list[float]).decode


def encode_request(model: str, request: EmbedRequest, index: int) -> bytes:
    """Return one EmbedContentRequest as JSON.

    Raises:
        InvalidRequest: the text, number `index` of the call, is not Unicode.
    """
    is_specified = request.task_type is not TaskType.TASK_TYPE_UNSPECIFIED
    wire = embed_request_to_wire(
        EmbedContentRequest(
            text=request.text,
            model=model,
            task_type=request.task_type if is_specified else None,
            title=request.title,
            output_dimensionality=request.output_dimensionality,
            auto_truncate=request.auto_truncate,
        )
    )
    try:
        return _encode(wire)
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{{field}} is not Unicode: {error.reason}.", field="content", index=index) from error


def join_requests(requests: Sequence[bytes]) -> bytes:
    """Return the BatchEmbedContentsRequest of encoded requests."""
    return b'{"requests":[' + b",".join(requests) + b"]}"


def decode_answer(body: bytes, texts: int) -> tuple[list[Float32Array], int]:
    """Read a BatchEmbedContentsResponse.

    Args:
        body: the JSON.
        texts: how many embeddings it must have.

    Returns:
        The vectors, each float32[dim] and normalised, and how many tokens the server counted (0 if it does not count).

    Raises:
        BadAnswer: the answer is not what the API promises.
    """
    rest, rows = _cut_rows(body)
    try:
        answer = _decode(rest)
        vectors = [_to_array(_decode_row(rows[each.values])) for each in answer.embeddings]
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError) as error:
        raise BadAnswer(f"The answer is no BatchEmbedContentsResponse: {error}") from error
    if len(vectors) != texts:
        raise BadAnswer(f"Asked for {texts} embeddings and got {len(vectors)}.")
    token_count = answer.usage_metadata.prompt_token_count if answer.usage_metadata else 0
    return [normalised(vector) for vector in vectors], token_count


def normalised(vector: Float32Array) -> Float32Array:
    """Return the vector with length 1; one that has it already, or is all zeros, comes back as it is.

    Google's older models answer with other lengths when fewer values are asked for than they make.

    Raises:
        BadAnswer: the vector is empty or holds an infinity.
    """
    wide = vector.astype(np.float64)  # squares of float32 may be beyond float32
    square = float(np.dot(wide, wide))
    if not vector.size or not math.isfinite(square):
        raise _not_finite()
    if square == 0 or abs(square - 1) <= _UNIT_TOLERANCE:
        return vector
    return (wide / math.sqrt(square)).astype(np.float32)


def _not_finite() -> BadAnswer:
    return BadAnswer("An embedding has no values, or values that are not finite.")


def _cut_rows(body: bytes) -> tuple[bytes, list[memoryview]]:
    """Return the JSON with a number in place of each flat array called `values`, and those arrays.

    In JSON the bytes `"values"` are a name or a whole string, never part of one: quotes inside strings are escaped.
    """
    view = memoryview(body)
    rows: list[memoryview] = []
    rest: list[bytes] = []
    position = 0
    while (found := body.find(_VALUES, position)) >= 0:
        after = found + len(_VALUES)
        start = body.find(b"[", after)
        end = body.find(b"]", start) + 1
        is_flat = 0 < start < end and body.find(b"[", start + 1, end) < 0
        is_row = is_flat and body[after:start].strip() == b":"
        rest.append(body[position:after])
        position = after
        if is_row:
            rest.append(b":%d" % len(rows))
            rows.append(view[start:end])
            position = end
    rest.append(body[position:])
    return b"".join(rest), rows


def _to_array(values: list[float]) -> Float32Array:
    # Faster than numpy.array(values, dtype=float32), and the result is writable.
    data = bytearray(4 * len(values))
    try:
        struct.pack_into(f"{len(values)}f", data, 0, *values)
    except OverflowError as error:  # Python 3.14; earlier ones make it an infinity
        raise _not_finite() from error
    return np.frombuffer(data, dtype=np.float32)
