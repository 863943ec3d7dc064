"""Cohere's embed routes, for its SDKs and compatible clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gemvec.embedding.embed import Embedding, EmbedRequest, truncated_counts
from gemvec.server.bodies import answer_many, read_body, write_vectors
from gemvec.server.context import services_of
from gemvec.server.embed import use_model
from gemvec.server.inputs import embed_inputs
from gemvec.wire.cohere import (
    CohereEmbedRequest,
    CohereEmbedResponse,
    CohereMeta,
    CohereTexts,
    CohereV1EmbedRequest,
    CohereV1EmbedResponse,
    embeddings_of,
    meta_of,
)
from gemvec.wire.encodings import ENCODINGS
from gemvec.wire.message import to_wire


async def embed_texts(request: Request) -> Response:
    """Embed texts."""
    asked = await read_body(request, CohereEmbedRequest)
    embeddings = await _embed(request, asked, asked.model)
    written = await _write(embeddings, asked.encodings())
    return await answer_many(
        request,
        len(embeddings),
        lambda: to_wire(
            CohereEmbedResponse(
                id=request.state.request_id,
                embeddings=embeddings_of(written),
                texts=asked.texts,
                meta=_meta_of(request, embeddings, version="2"),
            )
        ),
    )


async def embed_texts_for_v1(request: Request) -> Response:
    """Embed texts as Cohere's first route does: without encodings in the request, vectors are a list."""
    asked = await read_body(request, CohereV1EmbedRequest)
    embeddings = await _embed(request, asked, asked.model or services_of(request).default_model().name)
    written = await _write(embeddings, asked.encodings())
    is_by_type = bool(asked.embedding_types)
    return await answer_many(
        request,
        len(embeddings),
        lambda: to_wire(
            CohereV1EmbedResponse(
                id=request.state.request_id,
                response_type="embeddings_by_type" if is_by_type else "embeddings_floats",
                embeddings=embeddings_of(written) if is_by_type else written["float"],
                texts=asked.texts,
                meta=_meta_of(request, embeddings, version="1"),
            )
        ),
    )


async def _embed(request: Request, asked: CohereTexts, name: str) -> list[Embedding]:
    model, task_type = use_model(request, name), asked.named_task()
    options = EmbedRequest(
        text="", task_type=task_type, output_dimensionality=asked.output_dimension, auto_truncate=asked.truncate
    )
    return await embed_inputs(request, model, asked.texts, options, field="texts", dimensions="output_dimension")


async def _write(embeddings: Sequence[Embedding], encodings: Sequence[str]) -> dict[str, Sequence[Any]]:
    vectors = [each.vector for each in embeddings]
    return {name: await write_vectors(vectors, ENCODINGS[name]) for name in encodings}


def _meta_of(request: Request, embeddings: Sequence[Embedding], *, version: str) -> CohereMeta:
    return meta_of(request.state.tokens, truncated_counts(embeddings), version=version)
