"""text-embeddings-inference's routes, which Milvus' `tei` provider, Hugging Face's and other clients of TEI call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response

import gemvec
from gemvec.embedding.embed import EmbedRequest, TextToken
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.models.catalogue import find_known
from gemvec.server.bodies import (
    answer,
    answer_many,
    answer_matrices,
    read_body,
    to_json,
    while_caller_waits,
    write_vectors,
)
from gemvec.server.budget import reservation_of
from gemvec.server.context import services_of
from gemvec.server.embed import reserve_answer, use_model
from gemvec.server.inputs import embed_inputs, embed_tokens_of_inputs
from gemvec.server.key_aliases import embedder_of
from gemvec.server.limits import limiter_of
from gemvec.wire.inputs import Input
from gemvec.wire.message import to_wire
from gemvec.wire.tei import (
    TEIDecodeRequest,
    TEIEmbedAllRequest,
    TEIEmbedRequest,
    TEIInfo,
    TEIModelType,
    TEIPooling,
    TEISimilarityParameters,
    TEISimilarityRequest,
    TEIToken,
    TEITokenizeRequest,
)

# Number of texts that clients should send at once if there is no limit, and the most whose tokens are listed or put
# back together: as many as OpenAI takes.
_USUAL_TEXTS = 2048
# How many characters are cut into tokens at once, and how many ids are put back into texts.
_MAX_AT_ONCE = 200_000
# Most models want one token before a text and one after it.
_SPECIAL_TOKENS = 2
# Measured memory of a token, from the tokenizer's to that of the answer.
_TOKEN_BYTES = 800
# About 2 ms of writing.
_TOKENS_IN_SLICE = 200


async def embed_texts(request: Request) -> Response:
    """Embed texts with the default model."""
    asked = await read_body(request, TEIEmbedRequest)
    model = use_model(request, services_of(request).default_model().name)
    await reserve_answer(request, model, len(asked.inputs), asked.dimensions)
    options = EmbedRequest(
        text="",
        task_type=asked.named_task(),
        output_dimensionality=asked.dimensions,
        auto_truncate=asked.truncate,
    )
    texts = await _texts_of(request, model, asked.inputs)
    embeddings = await embed_inputs(request, model, texts, options, field="inputs")
    vectors = await write_vectors([each.vector for each in embeddings])
    return await answer_many(request, len(vectors), lambda: vectors)


async def embed_tokens(request: Request) -> Response:
    """Embed the tokens of texts one by one with the default model."""
    asked = await read_body(request, TEIEmbedAllRequest)
    model = use_model(request, services_of(request).default_model().name)
    options = EmbedRequest(text="", task_type=asked.named_task(), auto_truncate=asked.truncate)
    texts = await _texts_of(request, model, asked.inputs)
    embeddings = await embed_tokens_of_inputs(request, model, texts, options, field="inputs")
    return await answer_matrices(request, [each.vector for each in embeddings])


async def compare_sentences(request: Request) -> Response:
    """Compare a sentence with others."""
    asked = await read_body(request, TEISimilarityRequest)
    model = use_model(request, services_of(request).default_model().name)
    parameters = asked.parameters or TEISimilarityParameters()
    options = EmbedRequest(text="", task_type=parameters.named_task(), auto_truncate=parameters.truncate)
    texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
    try:
        source, *others = await embed_inputs(request, model, texts, options, field="inputs")
    except InvalidRequest as error:
        if error.index is not None:
            error.field = f"inputs.sentences[{error.index - 1}]" if error.index else "inputs.source_sentence"
        raise
    return answer(request, [float(each.vector @ source.vector) for each in others])


async def tokenize(request: Request) -> Response:
    """Cut texts into tokens.

    Raises:
        InvalidRequest: the texts are long: the tokens of a text take far more memory than the text.
        Overloaded: there is no memory for the tokens now.
        RateLimited: the caller has used up its limit for now.
    """
    asked = await read_body(request, TEITokenizeRequest)
    model = use_model(request, services_of(request).default_model().name)
    _check_size("inputs", len(asked.inputs), sum(map(len, asked.inputs)), "characters")
    # No vocabulary has more tokens for a text than the text has bytes.
    max_tokens = sum(len(each.encode(errors="surrogatepass")) + _SPECIAL_TOKENS for each in asked.inputs)
    await reservation_of(request).grow(max_tokens * _TOKEN_BYTES, "tokens")
    listing = limiter_of(request).list_tokens(
        request.state.caller,
        model,
        asked.inputs,
        embedder_of(request),
        special_tokens=asked.add_special_tokens,
    )
    return answer(request, await _write_tokens(await while_caller_waits(request, listing)))


async def _write_tokens(texts: Sequence[Sequence[TextToken]]) -> list[orjson.Fragment]:
    """Return the tokens of each text in a form that `answer` can just copy; the loop does other work in between."""
    written: list[orjson.Fragment] = []
    for text in texts:
        slices: list[bytes] = []
        for start in range(0, len(text), _TOKENS_IN_SLICE):
            tokens = [to_wire(TEIToken.of(each)) for each in text[start : start + _TOKENS_IN_SLICE]]
            slices.append(to_json(tokens)[1:-1])  # without the brackets of the list
            await asyncio.sleep(0)
        written.append(orjson.Fragment(b"[" + b",".join(slices) + b"]"))
    return written


async def decode(request: Request) -> Response:
    """Put token ids back into texts.

    Raises:
        InvalidRequest: there are too many ids, or one is not a token of the model.
        RateLimited: the caller has used up its limit for now.
    """
    asked = await read_body(request, TEIDecodeRequest)
    model = use_model(request, services_of(request).default_model().name)
    _check_size("ids", len(asked.ids), sum(map(len, asked.ids)), "token ids")
    decoding = limiter_of(request).decode(request.state.caller, model, asked.ids, embedder_of(request))
    try:
        return answer(request, await while_caller_waits(request, decoding))
    except InvalidRequest as error:
        error.field = f"ids[{error.index or 0}]"
        raise


def _check_size(field: str, texts: int, size: int, unit: str) -> None:
    for count, most, counted in ((texts, _USUAL_TEXTS, "texts"), (size, _MAX_AT_ONCE, unit)):
        if count > most:
            raise InvalidRequest(f"{field} have {count} {counted}; up to {most} are taken at once.", field=field)


async def _texts_of(request: Request, model: ServedModel, inputs: Sequence[Input]) -> list[str]:
    """Return the inputs as texts; token ids are those of the model's own vocabulary.

    Raises:
        InvalidRequest: an id is not a token of the model, or the model's vocabulary is not available.
    """
    places = [place for place, each in enumerate(inputs) if not isinstance(each, str)]
    if not places:
        return [str(each) for each in inputs]
    try:
        decoded = await embedder_of(request).decode(model, [each for each in inputs if not isinstance(each, str)])
    except InvalidRequest as error:
        error.index = places[error.index or 0]
        error.field = f"inputs[{error.index}]"
        raise
    texts = dict(zip(places, decoded, strict=True))
    return [texts.get(place, str(each)) for place, each in enumerate(inputs)]


async def info(request: Request) -> Response:
    """Describe the server and its default model.

    Raises:
        ModelNotFound: the caller's key gives the default model's name to a model that is not served.
    """
    services, limiter, caller = services_of(request), limiter_of(request), request.state.caller
    settings = services.settings
    model = embedder_of(request).get_model(services.default_model().name)  # what `embed_texts` uses
    record, limits = find_known(model.model_id), limiter.describe(caller, settings.max_request_bytes)
    described = TEIInfo(
        model_id=model.model_id,
        model_sha=model.revision,
        served_model_name=model.name,
        model_type=TEIModelType(embedding=TEIPooling(pooling=record.pooling if record else None)),
        max_concurrent_requests=settings.max_waiting_tokens,  # of one token each
        max_input_length=model.input_token_limit,
        max_batch_tokens=model.micro_batch_tokens or settings.max_waiting_tokens,
        max_client_batch_size=limits["texts_per_call"] or _USUAL_TEXTS,
        tokenization_workers=os.cpu_count() or 1,
        version=gemvec.__version__,
        models=[each.name for each in limiter.visible(caller, embedder_of(request).list_models())],
        limits=limits,
    )
    return answer(request, to_wire(described))
