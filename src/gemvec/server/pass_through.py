"""Calls that another server answers (`--pass-through`): those without a route here, and those about names of its own.

A key that this server checks never leaves it. Calls about embeddings are never passed on: vectors of two models in one
collection would be wrong in silence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gemvec.errors import (
    BatchNotFound,
    FailedPrecondition,
    InvalidRequest,
    ModelForbidden,
    ModelNotFound,
    UploadedFileNotFound,
)
from gemvec.server.auth import Caller, presented_keys
from gemvec.server.bodies import while_caller_waits
from gemvec.server.budget import reservation_of
from gemvec.server.context import services_of
from gemvec.server.key_aliases import key_alias_in
from gemvec.server.keys import PREFIX
from gemvec.server.limits import limiter_of
from gemvec.server.route import Handler, Route

if TYPE_CHECKING:
    from gemvec.gateway.pass_through import Answer, PassThrough

# Says in an answer which server made it.
HEADER = "x-gemvec-passed-to"

_MODEL = re.compile(r"/models/([^/:]+)")
_SLASHES = re.compile(r"//+")


async def pass_on(request: Request) -> Response:
    """Answer with what the other server answers.

    Raises:
        InvalidRequest: the path names a model by a name that only the caller's key knows.
        ModelForbidden: the caller's key may use only some models, and the call names none of them.
        FailedPrecondition: the caller's key is one of this server's, and the call would go with it.
        RateLimited: the caller has used up its limit for now.
        Overloaded: there is no memory for the answer now.
        TransportFailure: the other server does not answer.
    """
    from gemvec.gateway.pass_through import ANSWER_BYTES, Call

    pass_through = _pass_through_of(request)
    await _check_model(request)
    if pass_through.sends_callers_key and _has_key_of_ours(request):
        raise FailedPrecondition(
            f"This call would go to {pass_through.host} with its own key, which is a key of this server and stays "
            "here: send a key of that server."
        )
    await reservation_of(request).grow(ANSWER_BYTES, "answer")
    call = Call(
        method=request.method,
        path=_SLASHES.sub("/", request.scope["raw_path"].decode("ascii")),
        query=request.scope["query_string"].decode("ascii"),
        headers=dict(request.headers),
        body=await request.body(),
    )
    answer = await while_caller_waits(request, pass_through.send(call))
    return _PassedAnswer(answer, pass_through.host)


def passing_on(handler: Handler) -> Handler:
    """Return a handler that passes on calls about what is not here, if there is a server for them."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except (ModelNotFound, BatchNotFound, UploadedFileNotFound):
            if services_of(request).pass_through is None or key_alias_in(request):
                raise
            return await pass_on(request)

    return handle


# Every call without a route.
REST = Route(
    group="Pass-through",
    method="POST",
    path="/*",
    handler=pass_on,
    summary="Let another server answer.",
    body="batch",
)


class _PassedAnswer(StreamingResponse):
    """The other server's answer; ends the exchange with it when the caller hangs up."""

    def __init__(self, answer: Answer, host: str) -> None:
        super().__init__(answer.blocks(), answer.code, answer.headers | {HEADER: host})
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.close()


def _pass_through_of(request: Request) -> PassThrough:
    pass_through = services_of(request).pass_through
    assert pass_through is not None
    return pass_through


async def _check_model(request: Request) -> None:
    """Count the call as one text, and refuse one that names a model which the caller's key may not use.

    A name of the key alone is refused too: the other server would find something else under it, or nothing.
    """
    caller: Caller = request.state.caller
    if alias := key_alias_in(request):
        raise InvalidRequest(
            f"models/{alias} is a name of this API key alone, for a model of this server; a call that "
            f"{_pass_through_of(request).host} answers cannot have it.",
            field="model",
        )
    names, limiter = _MODEL.findall(request.scope["path"]), limiter_of(request)
    for name in names:
        limiter.check_name(caller, name)
    if not names and caller.is_bound_to_models:
        raise ModelForbidden("The API key may use only some models, and the path of this call names none.")
    await limiter.spend_call(caller)


def _has_key_of_ours(request: Request) -> bool:
    return bool(request.state.owner) or any(each.startswith(PREFIX) for each in presented_keys(request))
