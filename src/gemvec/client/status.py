"""Error answers: what a server says went wrong, when to come back, and which request it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import msgspec

from gemvec.client.transport import Response
from gemvec.embedding.positions import renumbered
from gemvec.errors import ApiError
from gemvec.wire.status import HTTP_STATUSES

_KEY_CODES = {401, 403}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)s")  # google.protobuf.Duration in JSON
_REQUEST = re.compile(r"\brequests\[([0-9]+)\]")
_SHOWN_CHARACTERS = 300


class _Error(msgspec.Struct):
    message: str = ""
    status: str = ""
    details: list[Any] = msgspec.field(default_factory=list[Any])


class _Body(msgspec.Struct):
    error: _Error


_decode_body = msgspec.json.Decoder(_Body).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """What an error answer says.

    Attributes:
        code: HTTP status code.
        status: canonical status name.
        message: for people.
        details: `error.details`, as they came.
    """

    code: int
    status: str
    message: str
    details: Sequence[Any] = ()

    @property
    def retry_after_seconds(self) -> float | None:
        """What the RetryInfo among the details asks for."""
        for detail in self._of_type("RetryInfo"):
            if found := _DURATION.fullmatch(str(detail.get("retryDelay", ""))):
                return float(found[1])
        return None

    @property
    def request_index(self) -> int | None:
        """Which of the `requests` is meant, read from the field violations, else from the message."""
        violations = [each.get("fieldViolations") for each in self._of_type("BadRequest")]
        found = _REQUEST.search(" ".join([*map(str, violations), self.message]))
        return int(found[1]) if found else None

    def _of_type(self, name: str) -> list[Mapping[str, Any]]:
        details = [cast("Mapping[str, Any]", each) for each in self.details if isinstance(each, dict)]
        return [each for each in details if str(each.get("@type")).endswith(f"google.rpc.{name}")]

    def to_error(self, *, start: int = 0, texts: int | None = None) -> ApiError:
        """Return the exception to raise.

        Args:
            start: position of the micro-batch's first text among those of the call.
            texts: how many texts the micro-batch has; None when the request embeds nothing.
        """
        within = self.request_index
        if within is None or texts is None or within >= texts:
            return ApiError(self.code, self.status, self.message, list(self.details))
        index = start + within
        message = f"{renumbered(self.message, within, index).rstrip()} (text {index} of this call)"
        details = renumbered(list(self.details), within, index)
        return ApiError(self.code, self.status, message, details, index=index)


def is_about_the_key(error: ApiError) -> bool:
    """Whether the server takes no request with this key; Google says 400 where others say 401."""
    reasons = [cast("Mapping[str, Any]", each).get("reason") for each in error.details if isinstance(each, dict)]
    return error.code in _KEY_CODES or "API_KEY_INVALID" in reasons


def parse_error(response: Response) -> ErrorAnswer:
    """Read an error answer; one that is not in Google's form is shown as it came."""
    try:
        error = _decode_body(response.body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = _Error(message=response.body[:_SHOWN_CHARACTERS].decode(errors="replace").strip())
    return ErrorAnswer(
        code=response.code,
        status=error.status or HTTP_STATUSES.get(response.code, "UNKNOWN"),
        message=error.message or _phrase(response.code),
        details=error.details,
    )


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "no reason given"
