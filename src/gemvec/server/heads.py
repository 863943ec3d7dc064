"""The heads of requests that are refused, beyond what the HTTP parser refuses, and the form of such a refusal.

h11 bounds a head that is still arriving, but not one that came whole in a single read. It also takes a body with both a
length and a transfer coding, and two servers in a row may disagree about the end of such a body (request smuggling, RFC
9112 section 6.1).
"""

from __future__ import annotations

import re
from http import HTTPStatus

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.wire.status import error_to_wire

_MAX_HEADERS = 100
_VERSIONS = {"1.0", "1.1"}
# The scheme and host that a client puts before the path when it thinks the server is a proxy (RFC 9112 section 3.2.2).
_ORIGIN = re.compile(r"https?://[^/]*", re.IGNORECASE)

_STATUS_NAMES = {
    HTTPStatus.REQUEST_TIMEOUT: "DEADLINE_EXCEEDED",
    HTTPStatus.NOT_IMPLEMENTED: "UNIMPLEMENTED",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
}


def refusal_body(code: HTTPStatus, message: str) -> bytes:
    """Return the body of an answer to something that is not a valid request."""
    return orjson.dumps(error_to_wire(code, _STATUS_NAMES.get(code, "INVALID_ARGUMENT"), message))


class HeadRules:
    """Refuses heads that break a rule and closes their connection; shortens an address to its path."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refused = self._find_fault(scope) if scope["type"] == "http" else None
        if refused is None:
            if scope["type"] == "http" and (origin := _ORIGIN.match(scope["path"])):
                scope["path"] = scope["path"][origin.end() :] or "/"
            await self._app(scope, receive, send)
            return
        code, message = refused
        headers = {"connection": "close", "content-type": "application/json; charset=utf-8"}
        await Response(refusal_body(code, message), code, headers)(scope, receive, send)

    def _find_fault(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if len(headers) > _MAX_HEADERS:
            message = f"The request has {len(headers)} headers; at most {_MAX_HEADERS} are taken."
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message
        target_bytes = len(scope["raw_path"]) + len(scope["query_string"])
        if target_bytes + sum(len(name) + len(value) for name, value in headers) > self._max_bytes:
            message = f"The request's head is larger than {self._max_bytes} bytes."
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message
        return _find_framing_fault(scope["http_version"], {name for name, _ in headers})


def _find_framing_fault(version: str, names: set[bytes]) -> tuple[HTTPStatus, str] | None:
    if version not in _VERSIONS:
        return HTTPStatus.BAD_REQUEST, f"HTTP/{version} is not supported; use HTTP/1.1."
    if b"transfer-encoding" not in names:
        return None
    if b"content-length" in names:
        return HTTPStatus.BAD_REQUEST, "The request has both Content-Length and Transfer-Encoding; send one."
    if version == "1.0":
        return HTTPStatus.BAD_REQUEST, "Transfer-Encoding is not a header of HTTP/1.0."
    return None
