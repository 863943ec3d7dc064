"""Error answers: what went wrong, which text is meant, and when to retry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import msgspec

from gemvec.client.transport import Response
from gemvec.errors import ApiError
from gemvec.wire.status import HTTP_STATUSES

_KEY_CODES = {401, 403}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)s")  # google.protobuf.Duration in JSON
_REQUEST = re.compile(r"\brequests\[([0-9]{1,9})\](?:\.(\w+))?")
_MAX_SHOWN_BYTES = 300


class _Error(msgspec.Struct):
    message: str = ""
    status: str = ""
    details: list[Any] = msgspec.field(default_factory=list[Any])


class _Body(msgspec.Struct):
    error: _Error


_decode_body = msgspec.json.Decoder(_Body).decode


def parse_error(response: Response) -> ApiError:
    """Read an error answer; one that is not in Google's format is shown as it is.

    The error's `index` is the position among the requests that the server got.
    """
    try:
        error = _decode_body(response.body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = _Error(message=response.body[:_MAX_SHOWN_BYTES].decode(errors="replace").strip())
    status = error.status or HTTP_STATUSES.get(response.code, "UNKNOWN")
    index, field = _place_of(error)
    return ApiError(
        response.code, status, error.message or _phrase(response.code), error.details, index=index, field=field
    )


def retry_delay_of(error: ApiError) -> float | None:
    """Return the seconds in the RetryInfo among the details, None if there is no RetryInfo."""
    for detail in _of_type(error.details, "RetryInfo"):
        if found := _DURATION.fullmatch(str(detail.get("retryDelay", ""))):
            return float(found[1])
    return None


def is_about_the_key(error: ApiError) -> bool:
    """Whether the server refuses every request with this key; Google answers 400 where others answer 401."""
    reasons = [cast("Mapping[str, Any]", each).get("reason") for each in error.details if isinstance(each, dict)]
    return error.code in _KEY_CODES or "API_KEY_INVALID" in reasons


def _place_of(error: _Error) -> tuple[int | None, str | None]:
    """Return the request and its field that are meant, from the field violations, else from the message."""
    violations = [each.get("fieldViolations") for each in _of_type(error.details, "BadRequest")]
    found = _REQUEST.search(" ".join([*map(str, violations), error.message]))
    return (int(found[1]), found[2]) if found else (None, None)


def _of_type(details: Sequence[Any], name: str) -> list[Mapping[str, Any]]:
    given = [cast("Mapping[str, Any]", each) for each in details if isinstance(each, dict)]
    return [each for each in given if str(each.get("@type")).endswith(f"google.rpc.{name}")]


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "no reason given"
