"""models.embedContent, models.batchEmbedContents and models.countTokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gemvec.embedding.embed import Embedding, EmbedRequest, truncated_counts
from gemvec.embedding.models import ServedModel
from gemvec.errors import ApiError, InvalidRequest
from gemvec.server.bodies import (
    MANY_REQUESTS,
    answer,
    answer_many,
    beside_loop,
    read_body,
    while_caller_waits,
    write_vectors,
)
from gemvec.server.budget import ANSWER_VALUE_BYTES, TEXT_BYTES, reservation_of
from gemvec.server.context import services_of
from gemvec.server.key_aliases import embedder_of
from gemvec.server.limits import limiter_of
from gemvec.server.metrics import metrics_of
from gemvec.server.usage import usage_of
from gemvec.spans import timed
from gemvec.wire.embed import (
    BatchEmbedContentsRequest,
    BatchEmbedContentsResponse,
    EmbedContentRequest,
    EmbedContentResponse,
)
from gemvec.wire.message import to_wire
from gemvec.wire.models import CountTokensRequest, CountTokensResponse
from gemvec.wire.names import parse_model_name
from gemvec.wire.truncation import format_truncated

# Answers up to this size are not counted.
_FREE_BYTES = 8192 * ANSWER_VALUE_BYTES


async def embed_content(request: Request) -> Response:
    """Embed one content."""
    asked = await read_body(request, EmbedContentRequest)
    name = _model_named(request, asked.model, [])
    model = use_model(request, name)
    embeddings = await embed(request, model, [asked.to_embed_request()])
    vectors = await write_vectors([each.vector for each in embeddings])
    return answer(request, to_wire(EmbedContentResponse.of(vectors[0], embeddings[0])))


async def batch_embed_contents(request: Request) -> Response:
    """Embed several contents, each with options of its own."""
    return await answer_batch(request, has_statistics=False)


async def answer_batch(request: Request, *, has_statistics: bool) -> Response:
    """Embed several contents; `has_statistics` says how many tokens each of them has, whether it was cut or not."""
    asked = await read_body(request, BatchEmbedContentsRequest)
    is_large = len(asked.requests) > MANY_REQUESTS
    name = await beside_loop(is_large, lambda: _model_named(request, asked.model, asked.requests))
    model = use_model(request, name)
    if is_large:  # what is too large is refused before anything is made of it
        lengths = (each.wanted_dimensionality for each in asked.requests)
        values = await beside_loop(True, lambda: sum(_count_values(model, each) for each in lengths))
        await _reserve(request, len(asked.requests), values)
    requests = await beside_loop(is_large, asked.to_embed_requests)
    embeddings = await embed(request, model, requests, "requests[{index}].{field}")
    vectors = await write_vectors([each.vector for each in embeddings])
    return await answer_many(
        request,
        len(vectors),
        lambda: to_wire(BatchEmbedContentsResponse.of(vectors, embeddings, has_statistics=has_statistics)),
    )


async def count_tokens(request: Request) -> Response:
    """Count tokens."""
    model = use_model(request, parse_model_name(request.path_params["model"]))
    asked = await read_body(request, CountTokensRequest)
    texts = await beside_loop(len(asked.contents or ()) > MANY_REQUESTS, lambda: asked.texts)
    counting = limiter_of(request).count_tokens(request.state.caller, model, texts, embedder_of(request))
    counts = await while_caller_waits(request, counting)
    return answer(request, to_wire(CountTokensResponse.of(sum(counts))))


def use_model(request: Request, name: str) -> ServedModel:
    """Return what serves `name`, and remember it for the answer's header and the access log.

    Raises:
        ModelNotFound: nothing does.
        ModelForbidden: the caller's key may not use the model.
    """
    model = embedder_of(request).get_model(name)
    limiter_of(request).check_model(request.state.caller, model)
    request.state.model = model
    return model


async def embed(
    request: Request, model: ServedModel, requests: Sequence[EmbedRequest], path: str = "{field}"
) -> list[Embedding]:
    """Embed while the caller waits.

    Args:
        request: the HTTP request, which tells when the caller hangs up.
        model: what to embed with.
        requests: what to embed.
        path: the place of an option of request `index` in the body, with `{index}` and `{field}` to fill in.

    Raises:
        InvalidRequest: a request cannot be embedded as asked; `field` is its path in the body.
        Overloaded: there is no memory for the answer now.
        RateLimited: the caller has used up its limit for now.
    """
    embedder = embedder_of(request)
    values = await beside_loop(
        len(requests) > MANY_REQUESTS,
        lambda: sum(_count_values(model, each.output_dimensionality) for each in requests),
    )
    await _reserve(request, len(requests), values)
    try:
        requests = await limiter_of(request).admit(request.state.caller, model, requests, embedder)
        with timed() as seconds:
            embeddings = await while_caller_waits(request, embedder.embed(model, requests))
    except (ApiError, InvalidRequest) as error:
        if error.field or error.index is not None:
            error.field = path.format(index=error.index or 0, field=error.field or "content")
        raise
    await _note(request, model, embeddings, seconds)
    return embeddings


async def embed_tokens(request: Request, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[Embedding]:
    """Embed the tokens of texts while the caller waits; see `Embedder.embed_tokens`.

    The memory for the answer is taken when the tokens are counted, before any is embedded.

    Raises:
        InvalidRequest: a request cannot be embedded as asked, or the answer alone needs too much memory.
        Overloaded: there is no memory for the answer now.
        RateLimited: the caller has used up its limit for now.
    """
    embedder = embedder_of(request)
    await reserve_answer(request, model, len(requests), None)

    requests = await limiter_of(request).admit(request.state.caller, model, requests, embedder)
    reserve = partial(_reserve, request, len(requests))
    with timed() as seconds:
        computing = embedder.embed_tokens(model, requests, on_sized=reserve)
        embeddings = await while_caller_waits(request, computing)
    await _note(request, model, embeddings, seconds)
    return embeddings


async def _note(
    request: Request, model: ServedModel, embeddings: Sequence[Embedding], seconds: Mapping[str, float]
) -> None:
    """Note what was embedded for the answer's headers, the access log, metrics and the use of the key."""
    state = request.state
    state.waiting_ms = round(1000 * seconds.get("waiting", 0.0), 1)
    state.computing_ms = round(1000 * seconds.get("computing", 0.0), 1)
    tokens, truncated, unknown = await beside_loop(len(embeddings) > MANY_REQUESTS, lambda: _count(embeddings))
    state.texts, state.tokens = len(embeddings), tokens
    state.truncated = format_truncated(truncated)
    state.unknown_texts = unknown
    metrics_of(request).note_texts(model.name, len(embeddings), tokens, truncated=len(truncated))
    usage_of(request).note(state.owner, texts=len(embeddings), tokens=tokens)


def _count(embeddings: Sequence[Embedding]) -> tuple[int, dict[int, int], int]:
    """Return how many tokens were embedded, which texts were cut, and how many texts were mostly unknown."""
    unknown = sum(each.is_mostly_unknown for each in embeddings)
    return sum(each.token_count for each in embeddings), truncated_counts(embeddings), unknown


async def reserve_answer(request: Request, model: ServedModel, texts: int, dimensionality: int | None) -> None:
    """Take the memory for an answer with so many vectors of one length, before anything is made for it.

    `embed` does so, too; a caller with many texts does it earlier, before it makes requests of them.

    Raises:
        InvalidRequest: it alone needs too much.
        Overloaded: there is no memory for it now.
    """
    await _reserve(request, texts, texts * _count_values(model, dimensionality))


async def _reserve(request: Request, texts: int, values: int) -> None:
    reserved = getattr(request.state, "reserved_bytes", 0)
    size_bytes = values * ANSWER_VALUE_BYTES + texts * TEXT_BYTES
    if size_bytes > max(reserved, _FREE_BYTES):
        await reservation_of(request).grow(size_bytes - reserved, "answer")
        request.state.reserved_bytes = size_bytes


def _count_values(model: ServedModel, dimensionality: int | None) -> int:
    """Return how long a vector will be; a value that is not a length is refused later, by name."""
    asked = dimensionality or model.default_dimensionality
    return min(max(asked, 0), max(model.default_dimensionality, model.native_dim))


def _model_named(request: Request, beside: str | None, asked: Sequence[EmbedContentRequest]) -> str:
    """Return the model's name: that of the URL, which the body must not contradict unless settings let the body win.

    Args:
        request: the HTTP request.
        beside: the model that the body itself names.
        asked: the requests in the body, each of which may name a model.

    Raises:
        InvalidRequest: the body names another model, or several.
    """
    name = parse_model_name(request.path_params["model"])
    if services_of(request).settings.model_in_body:
        name = beside or next((each.model for each in asked if each.model), name)
    if beside and beside != name:
        raise _another_model("model", beside, name)
    for index, each in enumerate(asked):
        if each.model and each.model != name:
            raise _another_model(f"requests[{index}].model", each.model, name, index)
    return name


def _another_model(path: str, named: str, name: str, index: int | None = None) -> InvalidRequest:
    return InvalidRequest(
        f"* {path}: must be models/{name}, the model of this call, but is models/{named}\n", field=path, index=index
    )
