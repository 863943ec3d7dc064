"""Shared by the routes of other services: inputs are embedded, and errors name them as the caller did."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from msgspec import structs
from starlette.requests import Request

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.server.bodies import MANY_REQUESTS, beside_loop
from gemvec.server.embed import embed, embed_tokens, reserve_answer


async def embed_inputs(
    request: Request,
    model: ServedModel,
    texts: Sequence[str],
    options: EmbedRequest,
    *,
    field: str,
    dimensions: str = "dimensions",
) -> list[Embedding]:
    """Embed while the caller waits; see `server.embed.embed`.

    Args:
        request: the HTTP request.
        model: what to embed with.
        texts: what to embed.
        options: how; its text does not count.
        field: what the caller calls its inputs.
        dimensions: what the caller calls the length of the vectors.

    Raises:
        InvalidRequest: one cannot be embedded as asked; `field` is that of the length or the place of the input, such
            as `input[1]`.
    """
    await reserve_answer(request, model, len(texts), options.output_dimensionality)
    requests = await _make_requests(texts, options)
    with _naming(field, len(texts), dimensions):
        return await embed(request, model, requests)


async def embed_tokens_of_inputs(
    request: Request, model: ServedModel, texts: Sequence[str], options: EmbedRequest, *, field: str
) -> list[Embedding]:
    """Embed the tokens of inputs while the caller waits; see `server.embed.embed_tokens` and `embed_inputs`."""
    requests = await _make_requests(texts, options)
    with _naming(field, len(texts)):
        return await embed_tokens(request, model, requests)


async def _make_requests(texts: Sequence[str], options: EmbedRequest) -> list[EmbedRequest]:
    is_large = len(texts) > MANY_REQUESTS
    return await beside_loop(is_large, lambda: [structs.replace(options, text=text) for text in texts])


@contextmanager
def _naming(field: str, texts: int, dimensions: str = "dimensions") -> Generator[None]:
    """Let an error name its input as the caller did."""
    try:
        yield
    except InvalidRequest as error:
        is_one_of_many = error.index is not None and texts > 1
        place = f"{field}[{error.index}]" if is_one_of_many else field
        error.field = dimensions if error.field == "output_dimensionality" else place
        raise
