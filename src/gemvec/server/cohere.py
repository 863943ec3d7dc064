"""Cohere's embed route, for its SDKs and compatible clients."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gemvec.embedding.embed import EmbedRequest, truncated_counts
from gemvec.server.bodies import answer_many, read_body, write_vectors
from gemvec.server.embed import use_model
from gemvec.server.inputs import embed_inputs
from gemvec.wire.cohere import CohereEmbedRequest, CohereEmbedResponse, embeddings_of, meta_of
from gemvec.wire.encodings import ENCODINGS
from gemvec.wire.message import to_wire


async def embed_texts(request: Request) -> Response:
    """Embed texts."""
    asked = await read_body(request, CohereEmbedRequest)
    model, task_type = use_model(request, asked.model), asked.named_task()
    options = EmbedRequest(
        text="", task_type=task_type, output_dimensionality=asked.output_dimension, auto_truncate=asked.truncate
    )
    embeddings = await embed_inputs(request, model, asked.texts, options, field="texts", dimensions="output_dimension")
    vectors = [each.vector for each in embeddings]
    written = {name: await write_vectors(vectors, ENCODINGS[name]) for name in asked.encodings()}
    return await answer_many(
        request,
        len(vectors),
        lambda: to_wire(
            CohereEmbedResponse(
                id=request.state.request_id,
                embeddings=embeddings_of(written),
                texts=asked.texts,
                meta=meta_of(request.state.tokens, truncated_counts(embeddings)),
            )
        ),
    )
