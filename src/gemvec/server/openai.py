"""OpenAI's `POST embeddings`, for openai-python and compatible clients.

Token arrays are read as OpenAI's own `cl100k_base` ids, because that is what clients send: LangChain tokenizes every
text this way, for any model. Reading them as ids of the served model would silently give vectors of other texts.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import InvalidRequest
from gemvec.server.bodies import MANY_REQUESTS, answer_many, beside_loop, read_body, write_vectors
from gemvec.server.context import services_of
from gemvec.server.embed import reserve_answer, use_model
from gemvec.server.inputs import embed_inputs
from gemvec.wire.inputs import Input
from gemvec.wire.message import to_wire
from gemvec.wire.openai import OpenAIEmbeddingsRequest, OpenAIEmbeddingsResponse


async def create_embeddings(request: Request) -> Response:
    """Embed texts."""
    asked = await read_body(request, OpenAIEmbeddingsRequest)
    model = use_model(request, _model_named(request, asked.model))
    dimensions, write = asked.wanted_dimensions(), asked.writer()
    options = EmbedRequest(
        text="",
        task_type=asked.named_task(),
        output_dimensionality=dimensions,
        auto_truncate=asked.is_cut(),
    )
    await reserve_answer(request, model, len(asked.inputs), dimensions)
    texts = await _texts_of(asked.inputs)
    embeddings = await embed_inputs(request, model, texts, options, field="input", dimensions=asked.dimensions_field())
    values = await write_vectors([each.vector for each in embeddings], write)
    return await answer_many(
        request,
        len(values),
        lambda: to_wire(OpenAIEmbeddingsResponse.of(values, model=model.name, token_count=request.state.tokens)),
    )


def _model_named(request: Request, in_body: str | None) -> str:
    """Return the model's name: that of the URL where it has one, as Azure's do; else the body's, else the default."""
    name: str | None = request.path_params.get("model") or in_body
    return (name or services_of(request).default_model().name).removeprefix("models/")


async def _texts_of(inputs: Sequence[Input]) -> list[str]:
    """Return the inputs as texts, token ids decoded.

    Raises:
        InvalidRequest: an id is not a token, or this server cannot decode ids.
    """
    texts = await beside_loop(len(inputs) > MANY_REQUESTS, lambda: [each for each in inputs if isinstance(each, str)])
    return texts if len(texts) == len(inputs) else await asyncio.to_thread(_decode, inputs)


def _decode(inputs: Sequence[Input]) -> list[str]:
    encoding = _load_encoding()
    texts: list[str] = []
    for index, each in enumerate(inputs):
        try:
            texts.append(each if isinstance(each, str) else encoding.decode(each))
        except (KeyError, OverflowError) as error:
            raise InvalidRequest(
                f"'input[{index}]' has an id that is not a cl100k_base token.", field=f"input[{index}]", index=index
            ) from error
    return texts


@functools.cache
def _load_encoding() -> Any:
    """Load the vocabulary of `cl100k_base`: 0.5 s and 100 MiB, so only for the first caller who needs it."""
    try:
        import bpe_openai  # pyright: ignore[reportMissingImports] # a separate extra, 40 MB
    except ImportError as error:
        raise InvalidRequest(
            "'input' holds token ids, which this server cannot decode: the extra `tokens` is not installed "
            "there. Send texts instead (LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False)).",
            field="input",
        ) from error
    return bpe_openai.get_encoding("cl100k_base")
