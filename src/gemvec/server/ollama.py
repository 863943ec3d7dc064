"""Ollama's routes for embeddings and models, for ollama-python and compatible clients."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

import gemvec
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.server.bodies import answer, answer_many, read_body, write_vectors
from gemvec.server.embed import use_model
from gemvec.server.inputs import embed_inputs
from gemvec.server.key_aliases import embedder_of
from gemvec.server.limits import limiter_of
from gemvec.wire.message import to_wire
from gemvec.wire.ollama import (
    OllamaDetails,
    OllamaEmbeddingsRequest,
    OllamaEmbeddingsResponse,
    OllamaEmbedRequest,
    OllamaEmbedResponse,
    OllamaModel,
    OllamaModelInfo,
    OllamaShowRequest,
    OllamaShowResponse,
    OllamaTags,
    OllamaVersion,
)

# The tag of a model that has no other; clients add it to names.
_LATEST = ":latest"


async def embed_texts(request: Request) -> Response:
    """Embed texts."""
    started = time.perf_counter_ns()
    asked = await read_body(request, OllamaEmbedRequest)
    model = _use_model(request, asked.model)
    options = EmbedRequest(
        text="",
        task_type=asked.named_task(),
        output_dimensionality=asked.dimensions or None,  # Ollama reads 0 as not given
        auto_truncate=asked.truncate,
    )
    embeddings = await _embed(request, model, asked.inputs or (), options, "input")
    wire = OllamaEmbedResponse(
        model=asked.model,
        embeddings=await write_vectors([each.vector for each in embeddings]),
        total_duration=time.perf_counter_ns() - started,
        prompt_eval_count=request.state.tokens if embeddings else 0,
    )
    return await answer_many(request, len(embeddings), lambda: to_wire(wire))


async def embed_prompt(request: Request) -> Response:
    """Embed one text, as Ollama's first clients ask."""
    asked = await read_body(request, OllamaEmbeddingsRequest)
    model, task_type = _use_model(request, asked.model), asked.named_task()
    texts = [asked.prompt] if asked.prompt else []
    options = EmbedRequest(text="", task_type=task_type, auto_truncate=asked.truncate)
    vectors = await write_vectors([each.vector for each in await _embed(request, model, texts, options, "prompt")])
    return answer(request, to_wire(OllamaEmbeddingsResponse(embedding=vectors[0] if vectors else [])))


async def list_models(request: Request) -> Response:
    """List the names that are served."""
    models = limiter_of(request).visible(request.state.caller, embedder_of(request).list_models())
    listed = [
        OllamaModel(name=each.name, model=each.name, digest=each.revision, details=_details_of(each)) for each in models
    ]
    return answer(request, to_wire(OllamaTags(models=listed)))


async def show_model(request: Request) -> Response:
    """Describe one model."""
    asked = await read_body(request, OllamaShowRequest)
    name = asked.model or asked.name
    if not name:
        raise InvalidRequest("`model` is required", field="model")
    model = _use_model(request, name)
    described = OllamaShowResponse(
        details=_details_of(model),
        model_info=OllamaModelInfo(
            context_length=model.input_token_limit, embedding_length=model.default_dimensionality
        ),
        capabilities=["embedding"],
    )
    return answer(request, to_wire(described))


async def version(request: Request) -> Response:
    """Say which version of gemvec this is."""
    return answer(request, to_wire(OllamaVersion(version=gemvec.__version__)))


async def _embed(
    request: Request, model: ServedModel, texts: Sequence[str], options: EmbedRequest, field: str
) -> Sequence[Embedding]:
    return await embed_inputs(request, model, texts, options, field=field) if texts else ()


def _use_model(request: Request, name: str) -> ServedModel:
    return use_model(request, name.removesuffix(_LATEST))


def _details_of(model: ServedModel) -> OllamaDetails:
    return OllamaDetails(family=model.weights)
