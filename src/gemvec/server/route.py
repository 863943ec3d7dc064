"""What the route table says about one route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from gemvec.server.errors import Dialect
from gemvec.wire.paging import Query

# The last is Vertex AI's.
VERSIONS = ("/v1beta", "/v1", "/v1alpha", "/v1beta1")

Handler = Callable[[Request], Awaitable[Response]]

# Who may call: callers with a key; with an admin key; callers who know the URL, which is itself the secret; anybody.
Access = Literal["key", "admin", "url", "anybody"]

Body = Literal["call", "batch", "stream"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One route.

    Attributes:
        group: its heading in the documentation.
        method: HTTP method.
        path: without version prefix; `{name}` stands for one segment up to its colon.
        handler: what answers.
        summary: one sentence.
        request: name of the body's schema, None without a body.
        response: name of the answer's schema, None if it is not JSON.
        query: its query parameters.
        example: a body for the documentation's curl command.
        versioned: whether it also answers under the version prefixes.
        shown_under: the version prefix in the documentation.
        access: who may call.
        dialect: the API whose clients call, which decides the shape of its errors.
        body: what bounds the body. `call`: `max_request_bytes`, and Google's limit if it is on. `batch`: only
            `max_request_bytes`, because it is one body of many calls. `stream`: the handler, which takes it in pieces.
        is_api: whether clients call it, so that a stopping server refuses it, `--inject` applies and traces show it;
            False for monitoring and documentation.
    """

    group: str
    method: str
    path: str
    handler: Handler
    summary: str
    request: str | None = None
    response: str | None = None
    query: type[Query] | None = None
    example: Any = None
    versioned: bool = True
    shown_under: str = VERSIONS[0]
    access: Access = "key"
    dialect: Dialect = Dialect.GEMINI
    body: Body = "call"
    is_api: bool = True
