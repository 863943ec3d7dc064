"""Vertex AI's routes for embeddings, for google-genai with `vertexai=True` and a base URL.

Clients call embedContent and batchEmbedContents for names with `gemini`, and predict for any other. Every answer says
how many tokens each text has and whether it was cut.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gemvec.errors import InvalidRequest
from gemvec.server import embed
from gemvec.server.bodies import MANY_REQUESTS, answer_many, beside_loop, read_body, write_vectors
from gemvec.wire.message import to_wire
from gemvec.wire.names import parse_model_name
from gemvec.wire.vertex import VertexPredictRequest, VertexPredictResponse


async def batch_embed_contents(request: Request) -> Response:
    """Embed several contents."""
    return await embed.answer_batch(request, has_statistics=True)


async def predict(request: Request) -> Response:
    """Embed texts."""
    asked = await read_body(request, VertexPredictRequest)
    model = embed.use_model(request, parse_model_name(request.path_params["model"]))
    try:
        requests = await beside_loop(len(asked.instances) > MANY_REQUESTS, asked.to_embed_requests)
        embeddings = await embed.embed(request, model, requests, "instances[{index}].{field}")
    except InvalidRequest as error:
        if error.field and error.field.endswith(".output_dimensionality"):
            error.field = "parameters.output_dimensionality"
        raise
    vectors = await write_vectors([each.vector for each in embeddings])
    return await answer_many(request, len(vectors), lambda: to_wire(VertexPredictResponse.of(vectors, embeddings)))
