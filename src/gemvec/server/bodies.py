"""Reading requests and writing answers: wire messages on one side, bytes on the other.

Nothing here blocks the event loop for long: large bodies are parsed in a thread of their own, one after the other
(several at once would take the interpreter's lock from the loop without being faster), and vectors are written in
slices, with the loop's other work in between. (A thread would not help there: orjson keeps the interpreter's lock while
it writes, and 100 vectors of 3072 values stall every other request for 8 ms.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from gemvec.embedding.embed import Float32Array
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.memory import json_bytes
from gemvec.models.catalogue import WIDE_MODELS
from gemvec.server.budget import FREE_BYTES, MAX_JSON_BYTES, reservation_of
from gemvec.wire.message import MessageT, read, read_large
from gemvec.wire.proto_json import FORGIVEN_BYTES, parse_json
from gemvec.wire.truncation import TRUNCATED_HEADER

T = TypeVar("T")

# Parsing a text of common length takes about 6 us: up to this size, of the body or of its JSON as objects, a thread
# would cost more than it saves.
_LARGE_BYTES = 256 * 1024
_large = ThreadPoolExecutor(1, thread_name_prefix="gemvec-json")
# More requests than this are looked through in that thread.
MANY_REQUESTS = 1000

_MEDIA_TYPE = "application/json; charset=utf-8"

# About 0.4 ms of writing.
_SLICE_FLOATS = 16 * 1024
_SLICE_VECTORS = 256
# Most calls are answered before anything is gained by watching whether the caller is still there.
_WATCHED_AFTER_SECONDS = 0.02


async def read_body(request: Request, kind: type[MessageT]) -> MessageT:
    """Return the message in the request's body.

    Raises:
        InvalidRequest: the body is not a JSON object, would take too much memory, or is not this message.
        Overloaded: there is no memory for it now.
    """
    body = await request.body()
    size_bytes = 0
    if len(body) > FREE_BYTES:
        size_bytes = await beside_loop(len(body) > _LARGE_BYTES, lambda: json_bytes(body))
        if size_bytes > MAX_JSON_BYTES:
            raise InvalidRequest(
                f"The JSON of this request would take {size_bytes} bytes of memory, and that of one request may take "
                f"{MAX_JSON_BYTES}. Send less at once."
            )
        await reservation_of(request).grow(size_bytes, "JSON")
    if len(body) > FORGIVEN_BYTES:
        return await beside_loop(True, lambda: read_large(kind, body))
    return await beside_loop(size_bytes > _LARGE_BYTES, lambda: read(kind, parse_json(body)))


async def beside_loop(is_large: bool, work: Callable[[], T]) -> T:
    """Return what `work` returns; large work is done in a thread, after that of others."""
    return await asyncio.get_running_loop().run_in_executor(_large, work) if is_large else work()


def read_query(request: Request, kind: type[MessageT]) -> MessageT:
    """Return the query parameters as a message.

    Raises:
        InvalidRequest: one of them has a value that is not allowed.
    """
    return read(kind, dict(request.query_params))


async def write_vectors(
    vectors: Sequence[Float32Array], write: Callable[[Float32Array], Any] | None = None
) -> list[Any]:
    """Return each vector in a form that `answer` can just copy.

    Args:
        vectors: float32[dim] each.
        write: how to write one; as a JSON list when None.
    """
    written: list[Any] = []
    floats = 0
    for vector in vectors:
        written.append(orjson.Fragment(to_json(vector)) if write is None else write(vector))
        floats += vector.size
        if floats >= _SLICE_FLOATS or not len(written) % _SLICE_VECTORS:
            floats = 0
            await asyncio.sleep(0)
    return written


async def answer_matrices(request: Request, matrices: Sequence[Float32Array]) -> Response:
    """Return the answer with a list of lists of vectors, written in slices and sent in pieces.

    Args:
        request: what is answered.
        matrices: float32[vectors, dim] each.
    """
    pieces = [b"["]
    for index, matrix in enumerate(matrices):
        pieces.append(b",[" if index else b"[")
        rows = max(1, _SLICE_FLOATS // max(1, matrix.shape[1]))
        for start in range(0, len(matrix), rows):
            pieces.append((b"," if start else b"") + to_json(matrix[start : start + rows])[1:-1])
            await asyncio.sleep(0)
        pieces.append(b"]")
    pieces.append(b"]")
    return _answer_pieces(request, pieces)


def to_json(wire: Any) -> bytes:
    """Return `wire` as JSON; numpy arrays are written as lists, float32 in its shortest form."""
    return orjson.dumps(wire, option=orjson.OPT_SERIALIZE_NUMPY)


def answer(request: Request, wire: Any) -> Response:
    """Return the answer with body `wire`."""
    return Response(to_json(wire), headers=_headers(request), media_type=_MEDIA_TYPE)


async def answer_many(request: Request, count: int, make_wire: Callable[[], Any]) -> Response:
    """Return the answer with what `make_wire` returns; a large one is made, written and sent in pieces.

    Args:
        request: what is answered.
        count: how many results the answer has.
        make_wire: makes the body: a list, or an object with lists.
    """
    if count <= MANY_REQUESTS:
        return answer(request, make_wire())
    pieces = [piece async for piece in _write_pieces(await beside_loop(True, make_wire))]
    return _answer_pieces(request, pieces)


def _answer_pieces(request: Request, pieces: list[bytes]) -> Response:
    """Return the answer with this JSON, sent piece by piece."""
    headers = {**_headers(request), "content-length": str(sum(map(len, pieces)))}
    return StreamingResponse(_each(pieces), headers=headers, media_type=_MEDIA_TYPE)


async def _write_pieces(wire: Any) -> AsyncGenerator[bytes]:
    """Yield `wire` as JSON: the items of its lists slice by slice, with the loop's other work in between."""
    if isinstance(wire, dict):
        yield b"{"
        for index, (name, value) in enumerate(cast("dict[str, Any]", wire).items()):
            yield (b"," if index else b"") + to_json(name) + b":"
            async for piece in _write_pieces(value):
                yield piece
        yield b"}"
    elif isinstance(wire, list):
        items = cast("list[Any]", wire)
        yield b"["
        for start in range(0, len(items), _SLICE_VECTORS):
            yield (b"," if start else b"") + to_json(items[start : start + _SLICE_VECTORS])[1:-1]
            await asyncio.sleep(0)
        yield b"]"
    else:
        yield to_json(wire)


async def _each(pieces: list[bytes]) -> AsyncGenerator[bytes]:
    """Yield the pieces and forget each."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()


def _headers(request: Request) -> dict[str, str]:
    """Return the headers that say what served an answer.

    They name the weights, the texts that were cut, and the number of texts of a kind for which the model was not made.
    """
    model, truncated = getattr(request.state, "model", None), getattr(request.state, "truncated", "")
    headers = {"x-gemvec-model": model.weights} if model else {}
    if truncated:
        headers[TRUNCATED_HEADER] = truncated
    if model and (unknown := getattr(request.state, "unknown_texts", 0)):
        headers["x-gemvec-warning"] = _warn_of_unknown(unknown, request.state.texts, model)
    return headers


def _warn_of_unknown(unknown: int, texts: int, model: ServedModel) -> str:
    """Return what to tell a caller whose texts the model was not made for, in ASCII."""
    languages = f" (for {model.languages})" if model.languages.isascii() and model.languages else ""
    other = next(each for each in WIDE_MODELS if each != model.model_id)
    return (
        f"{unknown} of {texts} texts mostly unknown to {model.model_id}{languages}, so that the vectors mean little;"
        f" for other languages: gemvec serve --model {other}"
    )


async def while_caller_waits(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; cancel it when the caller hangs up. The request's body must have been read.

    Raises:
        ClientDisconnect: the caller hung up.
    """
    this = asyncio.current_task()
    assert this is not None
    has_left = False

    async def watch() -> None:
        nonlocal has_left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        has_left = True
        this.cancel()

    watchers: list[asyncio.Task[None]] = []
    due = asyncio.get_running_loop().call_later(
        _WATCHED_AFTER_SECONDS, lambda: watchers.append(asyncio.create_task(watch()))
    )
    try:
        return await work
    except asyncio.CancelledError:
        if not has_left:
            raise
        this.uncancel()
        raise ClientDisconnect from None
    finally:
        due.cancel()
        for each in watchers:
            each.cancel()
