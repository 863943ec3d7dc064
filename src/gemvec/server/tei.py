"""text-embeddings-inference's routes, which Milvus' `tei` provider, Hugging Face's and other clients of TEI call."""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import Response

import gemvec
from gemvec.embedding.embed import EmbedRequest
from gemvec.models.catalogue import find_known
from gemvec.server.bodies import answer, read_body, write_vectors
from gemvec.server.context import services_of
from gemvec.server.embed import embed, use_model
from gemvec.server.limits import limiter_of
from gemvec.server.openai import texts_of
from gemvec.wire.message import to_wire
from gemvec.wire.tei import TEIEmbedRequest, TEIInfo, TEIModelType, TEIPooling

# What clients that ask are told to send at once where any number is taken: as many as OpenAI takes.
_USUAL_TEXTS = 2048


async def embed_inputs(request: Request) -> Response:
    """Embed texts with the default model."""
    asked = await read_body(request, TEIEmbedRequest)
    model = use_model(request, services_of(request).default_model().name)
    task_type = asked.named_task()
    requests = [
        EmbedRequest(
            text=text,
            task_type=task_type,
            output_dimensionality=asked.dimensions,
            auto_truncate=asked.truncate,
        )
        for text in await texts_of(asked.inputs, field="inputs")
    ]
    embeddings = await embed(request, model, requests)
    return answer(request, await write_vectors([each.vector for each in embeddings]))


async def info(request: Request) -> Response:
    """Describe the server and its default model."""
    services, limiter, caller = services_of(request), limiter_of(request), request.state.caller
    model, settings = services.default_model(), services.settings
    record, limits = find_known(model.model_id), limiter.describe(caller, settings.max_request_bytes)
    described = TEIInfo(
        model_id=model.model_id,
        model_sha=model.revision,
        served_model_name=model.name,
        model_type=TEIModelType(embedding=TEIPooling(pooling=record.pooling if record else None)),
        max_concurrent_requests=settings.max_waiting_tokens,  # of one token each
        max_input_length=model.input_token_limit,
        max_batch_tokens=settings.token_budget,
        max_client_batch_size=limits["texts_per_call"] or _USUAL_TEXTS,
        tokenization_workers=os.cpu_count() or 1,
        version=gemvec.__version__,
        models=[each.name for each in limiter.visible(caller, services.embedder.list_models())],
        limits=limits,
    )
    return answer(request, to_wire(described))
