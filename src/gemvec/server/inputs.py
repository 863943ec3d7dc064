"""Shared by the routes of other services: inputs are embedded, and errors name them as the caller did."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs
from starlette.requests import Request

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.server.bodies import MANY_REQUESTS, beside_loop
from gemvec.server.embed import embed, reserve_answer


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
    is_large = len(texts) > MANY_REQUESTS
    requests = await beside_loop(is_large, lambda: [structs.replace(options, text=text) for text in texts])
    try:
        return await embed(request, model, requests)
    except InvalidRequest as error:
        is_one_of_many = error.index is not None and len(requests) > 1
        place = f"{field}[{error.index}]" if is_one_of_many else field
        error.field = dimensions if error.field == "output_dimensionality" else place
        raise
