"""How an error is answered: one table from classes to statuses, and the shapes that clients expect.

The clients of each API read errors in its own shape; the route says which. Messages of the server's own faults (5xx)
are logged and never sent: they may name files of this machine. An error that is not a `GemvecError` is INTERNAL, and
its message is not even logged, because it may quote the caller's text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from gemvec import errors
from gemvec.errors import (
    ApiError,
    GemvecError,
    InvalidRequest,
    KeyInvalid,
    KeyMissing,
    ModelNotFound,
    QuotaExceeded,
    RateLimited,
)
from gemvec.logs import get_logger
from gemvec.wire import cohere, ollama, openai, status, tei
from gemvec.wire.embed import empty_text

log = get_logger("server")

# Also below a project and a location, where Vertex AI has its models.
_METHOD_OF_A_MODEL = re.compile(
    r"(?:/(?P<version>v1|v1beta|v1alpha|v1beta1))?(?:/projects/[^/]+/locations/[^/]+)?(?:/publishers/google)?"
    r"/models/(?P<model>[^/:]+):\w+"
)
_WAY_OUT = "This server embeds; gemvec serve --pass-through google passes other calls on to Google."
# Routes of other services that this server cannot have.
_WHY_NOT = {
    "/embed_sparse": " Models here return dense vectors only.",
    "/predict": " Models here do not classify.",
}
# How much of a path that is not found is said in the answer.
_SHOWN_PATH = 100
_ABOUT_QUOTAS = ("Learn more about Gemini API quotas", "https://ai.google.dev/gemini-api/docs/rate-limits")


class Status(NamedTuple):
    """What an error is answered with: the HTTP status code and the canonical name beside it."""

    http_code: int
    name: str


INVALID_ARGUMENT = Status(400, "INVALID_ARGUMENT")
FAILED_PRECONDITION = Status(400, "FAILED_PRECONDITION")
PERMISSION_DENIED = Status(403, "PERMISSION_DENIED")
NOT_FOUND = Status(404, "NOT_FOUND")
ALREADY_EXISTS = Status(409, "ALREADY_EXISTS")
RESOURCE_EXHAUSTED = Status(429, "RESOURCE_EXHAUSTED")
INTERNAL = Status(500, "INTERNAL")
UNAVAILABLE = Status(503, "UNAVAILABLE")

STATUSES: dict[type[GemvecError], Status] = {
    GemvecError: INTERNAL,
    errors.BadSetting: INTERNAL,
    errors.MissingDependency: INTERNAL,
    errors.InvalidRequest: INVALID_ARGUMENT,
    errors.BadResourceName: INVALID_ARGUMENT,
    errors.BadDimensionality: INVALID_ARGUMENT,
    errors.EmptyText: INVALID_ARGUMENT,
    errors.FileTooLarge: INVALID_ARGUMENT,
    errors.InputTooLong: INVALID_ARGUMENT,
    errors.TextNotComputed: INVALID_ARGUMENT,
    errors.TitleNotAllowed: INVALID_ARGUMENT,
    errors.UnsupportedTaskType: INVALID_ARGUMENT,
    errors.KeyMissing: PERMISSION_DENIED,
    errors.KeyInvalid: INVALID_ARGUMENT,
    errors.ModelForbidden: PERMISSION_DENIED,
    errors.AdminKeyNeeded: PERMISSION_DENIED,
    errors.OriginForbidden: PERMISSION_DENIED,
    errors.KeyChangesForbidden: PERMISSION_DENIED,
    errors.NotFound: NOT_FOUND,
    errors.ModelNotFound: NOT_FOUND,
    errors.UploadedFileNotFound: NOT_FOUND,
    errors.UploadNotFound: NOT_FOUND,
    errors.BatchNotFound: NOT_FOUND,
    errors.CollectionNotFound: NOT_FOUND,
    errors.AlreadyExists: ALREADY_EXISTS,
    errors.FileAlreadyExists: ALREADY_EXISTS,
    errors.FailedPrecondition: FAILED_PRECONDITION,
    errors.UploadNotActive: FAILED_PRECONDITION,
    errors.BatchNotCancellable: FAILED_PRECONDITION,
    errors.FingerprintMismatch: FAILED_PRECONDITION,
    errors.DataFolderLocked: FAILED_PRECONDITION,
    errors.StoreMismatch: FAILED_PRECONDITION,
    errors.QuotaExceeded: RESOURCE_EXHAUSTED,
    errors.Overloaded: RESOURCE_EXHAUSTED,
    errors.RateLimited: RESOURCE_EXHAUSTED,
    errors.ShuttingDown: UNAVAILABLE,
    errors.ModelUnavailable: UNAVAILABLE,
    errors.ChecksumMismatch: UNAVAILABLE,
    errors.WeightsMissing: UNAVAILABLE,
    errors.UnsupportedModel: UNAVAILABLE,
    errors.ClusterUnavailable: UNAVAILABLE,
    errors.StorageFailure: UNAVAILABLE,
    errors.StorageFull: UNAVAILABLE,
    errors.HoldLost: UNAVAILABLE,
    errors.BeingRepaired: UNAVAILABLE,
    errors.DataLost: INTERNAL,
    errors.TransportFailure: UNAVAILABLE,
    errors.ApiError: Status(502, "UNAVAILABLE"),  # `of_error` passes on the answer of an upstream server
    errors.BadAnswer: Status(502, "INTERNAL"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An error on its way out, before it takes the shape that the client reads.

    Attributes:
        status: code and name.
        message: for the caller.
        error: what was raised.
        details: google.rpc messages.
        headers: HTTP headers beside the usual ones.
        is_googles: whether the server has Google's limits, and so Google's words on OpenAI's routes too.
    """

    status: Status
    message: str
    error: Exception
    details: list[dict[str, Any]]
    headers: dict[str, str]
    is_googles: bool = False


def error_response(error: Exception, scope: Scope) -> Response:
    """Return the answer to a failed request, in the shape of the route's dialect; log the server's own faults."""
    answer = of_error(error, scope)
    state = scope["state"]
    state |= {"error": answer.status.name, "reason": "injected" if state.get("is_injected") else type(error).__name__}
    is_ours = answer.status.http_code >= INTERNAL.http_code and not isinstance(error, errors.ShuttingDown)
    if is_ours and not state.get("is_injected"):
        _log(error, answer.status, scope)
    shape = scope["state"].get("dialect", Dialect.GEMINI).shape
    code, body = shape(answer)
    return Response(orjson.dumps(body), code, answer.headers, "application/json; charset=utf-8")


def of_error(error: Exception, scope: Scope) -> Answer:
    """Return the answer to `error`."""
    answered, message = _status_and_message(error, scope)
    details = _details(error, message)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    retry_after: float | None = getattr(error, "retry_after_seconds", None)
    if retry_after is not None:
        details.append(status.retry_info_detail(retry_after))
        headers["retry-after"] = str(max(1, math.ceil(retry_after)))
    if request_id := scope["state"].get("request_id"):
        details.append(status.request_info_detail(request_id))
    is_googles = "app" in scope and scope["app"].state.limiter.has_googles_words
    return Answer(
        status=answered, message=message, error=error, details=details, headers=headers, is_googles=is_googles
    )


def _details(error: Exception, message: str) -> list[dict[str, Any]]:
    match error:
        case InvalidRequest(field=str(field)):
            return [status.bad_request_detail(field, message)]
        case KeyInvalid():
            return [status.error_info_detail("API_KEY_INVALID"), status.localized_message_detail(message)]
        case QuotaExceeded() | RateLimited():
            return _details_of_quota(error)
        case ApiError(field=str(field), index=int()):
            others = [each for each in error.details if not status.is_bad_request_detail(each)]
            return [*others, status.bad_request_detail(field, message)]
        case ApiError():
            return list(error.details)
        case _:
            return []


def _details_of_quota(error: QuotaExceeded | RateLimited) -> list[dict[str, Any]]:
    if isinstance(error, RateLimited):
        return [status.help_detail(*_ABOUT_QUOTAS), status.quota_failure_detail(error.violations)]
    quota_id = error.limit.title().replace("_", "") + "PerKey"
    return [status.quota_failure_detail([(f"gemvec/{error.limit}", quota_id, "", error.most)])] if error.limit else []


def _status_and_message(error: Exception, scope: Scope) -> tuple[Status, str]:
    if isinstance(error, HTTPException):
        return _not_routed(error, scope)
    if isinstance(error, ModelNotFound):
        return STATUSES[ModelNotFound], _model_not_found(error.name, scope)
    if isinstance(error, ApiError):
        return Status(error.code, error.status), _words_of(error)
    if not isinstance(error, GemvecError):
        return INTERNAL, "Internal error encountered."
    answered = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    is_ours = answered.http_code >= INTERNAL.http_code
    return answered, type(error).summary() if is_ours else error.message


def _words_of(error: ApiError) -> str:
    """Return the upstream server's answer, with the position of the text in this call instead of the upstream one."""
    return error.reason if error.index is None else f"{error.field or 'content'}: {error.reason}"


def _not_routed(error: HTTPException, scope: Scope) -> tuple[Status, str]:
    """Answer that there is no such route, or that it does not support this HTTP method."""
    if error.status_code != NOT_FOUND.http_code:
        allowed = (error.headers or {}).get("allow", "another method")
        return Status(error.status_code, "UNIMPLEMENTED"), f"This route supports only {allowed}."
    if found := _METHOD_OF_A_MODEL.fullmatch(scope["path"]):  # generateContent and the like
        scope["state"]["version"] = found["version"]
        return NOT_FOUND, f"{_model_not_found(found['model'], scope)} {_WAY_OUT}"
    reason = _WHY_NOT.get(scope["path"], "")
    nearest = scope["state"].get("nearest_route")
    if nearest and not reason:
        reason = f" The nearest is {nearest}."
    path = scope["path"] if len(scope["path"]) <= _SHOWN_PATH else scope["path"][:_SHOWN_PATH] + "..."
    told = f"There is no route {scope['method']} {path} here.{reason}"
    return NOT_FOUND, f"{told} GET /openapi.json lists the routes, /docs shows them."


def _model_not_found(name: str, scope: Scope) -> str:
    version, method = scope["state"].get("version") or "v1beta", scope["path"].rpartition(":")[2]
    if scope["state"].get("dialect") is Dialect.OPENAI and scope.get("method") == "POST":
        method = "embedContent"
    elif ":" not in scope["path"]:
        return f"Model is not found: models/{name} for api version {version}"
    return (
        f"models/{name} is not found for API version {version}, or is not supported for {method}. Call ListModels to "
        "see the list of available models and their supported methods."
    )


def _log(error: Exception, answered: Status, scope: Scope) -> None:
    extra = {"request_id": scope["state"].get("request_id", ""), "error": type(error).__name__, "status": answered.name}
    if isinstance(error, GemvecError):
        log.error(error.message, extra=extra)
        return
    shown = RuntimeError(f"{type(error).__name__}; its message may quote the caller's text and is withheld")
    log.error("internal error", extra=extra, exc_info=(RuntimeError, shown, error.__traceback__))


def _gemini(answer: Answer) -> tuple[int, dict[str, Any]]:
    code, name = answer.status
    return code, status.error_to_wire(code, name, answer.message, answer.details)


_OPENAI_KINDS = {429: "rate_limit_exceeded", 401: "authentication_error"}
_OPENAI_NAMES: dict[type[Exception], str] = {
    KeyInvalid: "invalid_api_key",
    KeyMissing: "invalid_api_key",
    ModelNotFound: "model_not_found",
}
_UNAUTHENTICATED = 401


def _code_for_keys(answer: Answer) -> int:
    """For all clients but Gemini's a bad key is 401; for those it is 400 or 403."""
    return _UNAUTHENTICATED if isinstance(answer.error, (KeyInvalid, KeyMissing)) else answer.status.http_code


def _openai(answer: Answer) -> tuple[int, dict[str, Any]]:
    code, error = _code_for_keys(answer), answer.error
    kind = _OPENAI_KINDS.get(code, "invalid_request_error" if code < INTERNAL.http_code else "server_error")
    message = answer.message
    if answer.is_googles and isinstance(error, errors.EmptyText):
        message = empty_text("content").message
    elif isinstance(error, ModelNotFound) and not answer.is_googles:
        message = f"The model '{error.name}' does not exist. GET /v1/models lists those that do."
    param = error.field if isinstance(error, InvalidRequest) else None
    return code, openai.error_to_wire(message, kind, param=param, code=_OPENAI_NAMES.get(type(error)))


_TEI_KINDS = {429: "Overloaded", 503: "Unhealthy", 500: "Backend", 502: "Backend"}


def _tei(answer: Answer) -> tuple[int, dict[str, Any]]:
    code = _code_for_keys(answer)
    return code, tei.error_to_wire(answer.message, _TEI_KINDS.get(code, "Validation"))


def _ollama(answer: Answer) -> tuple[int, dict[str, Any]]:
    error = answer.error
    is_unknown = isinstance(error, ModelNotFound)
    message = f"model '{error.name}' not found; GET /api/tags lists those that are" if is_unknown else answer.message
    return _code_for_keys(answer), ollama.error_to_wire(message)


def _cohere(answer: Answer) -> tuple[int, dict[str, Any]]:
    error = answer.error
    is_unknown = isinstance(error, ModelNotFound)
    message = f"model '{error.name}' not found; GET /v1/models lists those that are" if is_unknown else answer.message
    return _code_for_keys(answer), cohere.error_to_wire(message)


class Dialect(Enum):
    """The API whose clients call a route, which decides the shape of its errors."""

    GEMINI = "gemini"
    OPENAI = "openai"
    TEI = "tei"
    OLLAMA = "ollama"
    COHERE = "cohere"

    @property
    def shape(self) -> Callable[[Answer], tuple[int, dict[str, Any]]]:
        """Return the function that gives an answer this dialect's HTTP code and body."""
        return {
            Dialect.GEMINI: _gemini,
            Dialect.OPENAI: _openai,
            Dialect.TEI: _tei,
            Dialect.OLLAMA: _ollama,
            Dialect.COHERE: _cohere,
        }[self]
