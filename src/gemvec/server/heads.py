"""Heads of requests: those that are refused, beyond what the HTTP parser refuses, and those with a whole address.

The parser bounds a head that is still arriving, but not one that came whole in a single read. It also takes transfer
codings that this server does not know, and some that HTTP/1.0 does not have, and two servers in a row may disagree
about the end of such a body (request smuggling, RFC 9112 section 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import unquote

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.wire.status import error_to_wire

_MAX_HEADERS = 100
_VERSIONS = {"1.0", "1.1"}
# The scheme and host that a client puts before the path when it thinks the server is a proxy (RFC 9112 section 3.2.2).
_ORIGIN = re.compile(rb"(https?)://([^/]*)", re.IGNORECASE)
# Without a name or password before the host, which servers should not trust (RFC 9110 section 4.2.4).
_HOST = re.compile(rb"(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)

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
            if scope["type"] == "http" and (origin := _ORIGIN.match(scope["raw_path"])):
                _shorten(scope, origin)
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
        origin = _ORIGIN.match(scope["raw_path"])
        if origin and not _HOST.fullmatch(origin[2]):
            return HTTPStatus.BAD_REQUEST, "The host in the request's address is not valid."
        return _find_fault_of_version(scope["http_version"], headers)


def _shorten(scope: Scope, origin: re.Match[bytes]) -> None:
    """Keep only the path of an address that has a scheme and a host; they count instead of the Host header."""
    path = scope["raw_path"][origin.end() :] or b"/"
    scope["raw_path"], scope["path"] = path, unquote(path.decode("ascii"))
    if origin[1].lower() == b"https":  # behind http there may be https, as a proxy says in a header
        scope["scheme"] = "https"
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    scope["headers"] = [(b"host", origin[2]), *others]


def _find_fault_of_version(version: str, headers: Sequence[tuple[bytes, bytes]]) -> tuple[HTTPStatus, str] | None:
    if version not in _VERSIONS:
        return HTTPStatus.BAD_REQUEST, f"HTTP/{version} is not supported; use HTTP/1.1."
    hosts, codings = 0, 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings += 1
            if value.lower() != b"chunked":
                return HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding is supported as chunked only."
    if hosts > 1 or (not hosts and version == "1.1"):
        return HTTPStatus.BAD_REQUEST, f"The request has {hosts} Host headers; send one."
    if codings and version == "1.0":
        return HTTPStatus.BAD_REQUEST, "Transfer-Encoding is not a header of HTTP/1.0."
    return None
