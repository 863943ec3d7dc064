"""models.list and models.get, in OpenAI's shape for OpenAI's clients, which call the same addresses.

Both SDKs call `/v1/models`. OpenAI's send their key as `Authorization: Bearer`, Gemini's as `x-goog-api-key` or
`?key=`; a caller that does neither gets Gemini's answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.server.auth import authenticator_of, bearer_token
from gemvec.server.bodies import answer, read_query
from gemvec.server.context import services_of
from gemvec.server.embed import use_model
from gemvec.server.errors import Dialect
from gemvec.server.key_aliases import embedder_for, embedder_of
from gemvec.server.limits import limiter_of
from gemvec.wire.message import to_wire
from gemvec.wire.models import METHODS, ListModelsResponse, Model
from gemvec.wire.names import parse_model_name
from gemvec.wire.openai import OpenAIModel, OpenAIModels
from gemvec.wire.paging import PageQuery

_PAGE_SIZE = 50
_MAX_PAGE_SIZE = 1000


async def list_models(request: Request) -> Response:
    """List the names that are served."""
    if _is_openai_client(request):
        return await list_openai_models(request)
    query = read_query(request, PageQuery)
    size, token = query.page_size or _PAGE_SIZE, query.page_token or "0"
    models = _models_for(request)
    if size < 0 or not token.isdecimal() or int(token) > len(models):
        raise InvalidRequest("* ListModelsRequest.page_token: invalid page size or token\n", field="page_token")
    end = int(token) + min(size, _MAX_PAGE_SIZE)
    page = ListModelsResponse(
        models=[_described(each) for each in models[int(token) : end]],
        next_page_token=str(end) if end < len(models) else None,  # with an empty token some SDKs would never stop
    )
    return answer(request, to_wire(page))


async def get_model(request: Request) -> Response:
    """Describe one model."""
    if _is_openai_client(request):
        return await get_openai_model(request)
    model = use_model(request, parse_model_name(request.path_params["model"], field="name"))
    return answer(request, to_wire(_described(model)))


async def list_openai_models(request: Request) -> Response:
    """List the names that are served, in OpenAI's shape."""
    models = OpenAIModels(data=[OpenAIModel(id=each.name) for each in _models_for(request)])
    return answer(request, to_wire(models))


async def get_openai_model(request: Request) -> Response:
    """Describe one model in OpenAI's shape."""
    return answer(request, to_wire(OpenAIModel(id=use_model(request, request.path_params["model"]).name)))


async def models_shown_to(request: Request) -> list[ServedModel]:
    """Return what to name where anybody may read: the models of the caller, none if a key is needed and missing."""
    caller = await authenticator_of(request).recognise(request)
    if caller is None:
        return []
    return limiter_of(request).visible(caller, embedder_for(services_of(request), caller).list_models())


def find_default(request: Request, models: Sequence[ServedModel]) -> ServedModel | None:
    """Return which of the caller's models serves a request that names none; None if the caller may not use it."""
    name = services_of(request).default_model().name
    return next((each for each in models if each.name == name), None)


def _models_for(request: Request) -> list[ServedModel]:
    """Return the names that the caller may use."""
    return limiter_of(request).visible(request.state.caller, embedder_of(request).list_models())


def _is_openai_client(request: Request) -> bool:
    """Whether the caller is OpenAI's SDK or a similar one; its errors have OpenAI's shape, too."""
    if bearer_token(request) is None or "x-goog-api-key" in request.headers or "key" in request.query_params:
        return False
    request.state.dialect = Dialect.OPENAI
    return True


def _described(model: ServedModel) -> Model:
    return Model(
        name=model.name,
        version=model.revision,
        display_name=model.display_name,
        description=model.description,
        input_token_limit=model.input_token_limit,
        output_token_limit=1,
        supported_generation_methods=METHODS,
    )
