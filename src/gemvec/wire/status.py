"""google.rpc.Status: the form of every error, as `{"error": ...}` or inside an operation or a batch response."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, cast

from gemvec.wire.message import Field, ProtoMessage, to_wire

# google.rpc.Code numbers, used inside operations and batch responses; HTTP answers have the HTTP number instead.
RPC_CODES = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}

# Names for HTTP numbers, if an error does not have its own.
HTTP_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_DETAIL = "type.googleapis.com/google.rpc."


class Status(ProtoMessage, frozen=True, kw_only=True):
    """google.rpc.Status."""

    code: Annotated[int | None, Field("A google.rpc.Code number.")] = None
    message: Annotated[str | None, Field("For people.")] = None


class HttpStatus(Status, frozen=True, kw_only=True):
    """google.rpc.Status in an HTTP answer."""

    code: Annotated[int | None, Field("The HTTP status.")] = None
    status: Annotated[str | None, Field("The canonical name, such as INVALID_ARGUMENT.")] = None
    details: Annotated[
        list[dict[str, Any]] | None, Field("google.rpc messages: BadRequest, RetryInfo, ErrorInfo, RequestInfo.")
    ] = None


class Error(ProtoMessage, frozen=True, kw_only=True):
    """What went wrong."""

    error: Annotated[HttpStatus | None, Field("The error.")] = None


class Empty(ProtoMessage, frozen=True, kw_only=True):
    """Nothing."""


def error_to_wire(code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the body of an HTTP error: `{"error": {code, message, status, details}}`."""
    return to_wire(Error(error=HttpStatus(code=code, message=message, status=status, details=details or None)))


def status_to_wire(status: str, message: str) -> dict[str, Any]:
    """Return a google.rpc.Status for operations and batch responses: `{code, message}`."""
    return {"code": RPC_CODES[status], "message": message}


def bad_request_detail(field: str, description: str) -> dict[str, Any]:
    """Return a google.rpc.BadRequest that names the offending field."""
    return {"@type": _DETAIL + "BadRequest", "fieldViolations": [{"field": field, "description": description}]}


def is_bad_request_detail(detail: Any) -> bool:
    """Whether a detail is a google.rpc.BadRequest."""
    return isinstance(detail, dict) and cast("dict[str, Any]", detail).get("@type") == _DETAIL + "BadRequest"


def retry_info_detail(seconds: float) -> dict[str, Any]:
    """Return a google.rpc.RetryInfo that says when to retry."""
    return {"@type": _DETAIL + "RetryInfo", "retryDelay": f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"}


def error_info_detail(reason: str) -> dict[str, Any]:
    """Return a google.rpc.ErrorInfo as Google sends it with key errors."""
    return {
        "@type": _DETAIL + "ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }


def localized_message_detail(message: str) -> dict[str, Any]:
    """Return a google.rpc.LocalizedMessage in English."""
    return {"@type": _DETAIL + "LocalizedMessage", "locale": "en-US", "message": message}


def request_info_detail(request_id: str) -> dict[str, Any]:
    """Return a google.rpc.RequestInfo, which identifies a log line."""
    return {"@type": _DETAIL + "RequestInfo", "requestId": request_id}


def quota_failure_detail(violations: Iterable[tuple[str, str, str, int]]) -> dict[str, Any]:
    """Return a google.rpc.QuotaFailure as Google sends it; a violation is (metric, quota id, model, limit).

    The model is "" where the limit is not for one model.
    """
    return {
        "@type": _DETAIL + "QuotaFailure",
        "violations": [
            {
                "quotaMetric": metric,
                "quotaId": quota_id,
                "quotaDimensions": {"location": "global"} | ({"model": model} if model else {}),
                "quotaValue": str(limit),
            }
            for metric, quota_id, model, limit in violations
        ],
    }


def help_detail(description: str, url: str) -> dict[str, Any]:
    """Return a google.rpc.Help with one link."""
    return {"@type": _DETAIL + "Help", "links": [{"description": description, "url": url}]}
