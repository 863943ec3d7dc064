"""Shared by the routes of other services: inputs are embedded, and errors name them as the caller did."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.server.embed import embed


async def embed_inputs(
    request: Request,
    model: ServedModel,
    requests: Sequence[EmbedRequest],
    *,
    field: str,
    dimensions: str = "dimensions",
) -> list[Embedding]:
    """Embed while the caller waits; see `server.embed.embed`.

    Args:
        request: the HTTP request.
        model: what to embed with.
        requests: what to embed.
        field: what the caller calls its inputs.
        dimensions: what the caller calls the length of the vectors.

    Raises:
        InvalidRequest: one cannot be embedded as asked; `field` is that of the length or the place of the input, such
            as `input[1]`.
    """
    try:
        return await embed(request, model, requests)
    except InvalidRequest as error:
        is_one_of_many = error.index is not None and len(requests) > 1
        place = f"{field}[{error.index}]" if is_one_of_many else field
        error.field = dimensions if error.field == "output_dimensionality" else place
        raise
