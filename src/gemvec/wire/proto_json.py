"""The JSON text of Google's API: bodies, names, timestamps, and how an error message quotes a value.

Trailing commas are allowed, because Google's own curl sample for batchEmbedContents has them.

Contract: https://protobuf.dev/programming-guides/json/.
"""

from __future__ import annotations

import codecs
import functools
import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from gemvec.errors import InvalidRequest

_Value = TypeVar("_Value")

# Matches either what is kept (whole strings, closed or not; every comma but a trailing one), or a trailing comma, which
# is dropped. Only possessive quantifiers, so that the time is linear in any body.
_TRAILING_COMMA = re.compile(rb'((?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^",]++|,(?!\s*+[}\]]))++)|,', re.DOTALL)

# The first escape of half a surrogate pair, behind whole pairs and other escapes; linear in any body, too.
_HALF_PAIR = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
    rb"(\\u[dD][89a-fA-F])"
)

# People write trailing commas, programs do not, so larger bodies are not changed.
FORGIVEN_BYTES = 2**20

_HALF = "half of a surrogate pair, as where a program cut a text inside an emoji"

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_json(body: bytes) -> Any:
    """Decode a request body; trailing commas and a byte order mark are allowed, and an empty body is an empty message.

    Raises:
        InvalidRequest: the body is not JSON, is not UTF-8, or is nested too deeply.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        return {}
    try:
        return _decode(body)
    except InvalidRequest as first:
        if len(body) > FORGIVEN_BYTES:
            raise
        try:
            return _decode(_TRAILING_COMMA.sub(rb"\1", body))
        except InvalidRequest:
            raise first from None


def parse_object(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """Return the fields of a JSON object, each not decoded yet; None if it is something else than an object.

    Raises:
        InvalidRequest: it is not JSON, or is nested too deeply.
    """
    return _decoded(_object, body) if _starts_with(body, b"{") else None


def parse_list(value: msgspec.Raw) -> list[msgspec.Raw] | None:
    """Return the items of a JSON list, each not decoded yet; None if it is something else than a list."""
    return _decoded(_list, value) if _starts_with(value, b"[") else None


def parse_value(value: msgspec.Raw) -> Any:
    """Decode a JSON value.

    Raises:
        InvalidRequest: it is not UTF-8.
    """
    return _decoded(_any, value)


_any, _list, _object = (
    msgspec.json.Decoder(),
    msgspec.json.Decoder(list[msgspec.Raw]),
    msgspec.json.Decoder(dict[str, msgspec.Raw]),
)


def _starts_with(text: bytes | msgspec.Raw, bracket: bytes) -> bool:
    return bytes(memoryview(text)[:64]).lstrip()[:1] == bracket


def _decode(body: bytes) -> Any:
    return _decoded(_any, body)


def _decoded(decoder: msgspec.json.Decoder[_Value], body: bytes | msgspec.Raw) -> _Value:
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise InvalidRequest("Invalid JSON payload received. It is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        half = _HALF_PAIR.match(memoryview(body))
        reason = f"At byte {half.start(1)} there is {_HALF}." if half else error
        raise InvalidRequest(f"Invalid JSON payload received. {reason}") from error


def snake_case(name: str) -> str:
    """Return the proto spelling of a JSON name: `taskType` becomes `task_type`."""
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)


@functools.cache
def camel_case(name: str) -> str:
    """Return the JSON spelling of a proto name: `task_type` becomes `taskType`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def shown(value: Any, most: int = 100) -> str:
    """Return `value` as quoted in an error message: at most `most` characters, containers without their content."""
    if isinstance(value, (dict, list)):
        return "{...}" if isinstance(value, dict) else "[...]"
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return f'"{value}"' if len(value) <= most else f'"{value[:most]}..."'


def parse_timestamp(text: str) -> datetime:
    """Return the aware UTC datetime in an RFC 3339 string; offsets other than Z are converted.

    Raises:
        ValueError: the text is not RFC 3339.
    """
    found = _RFC3339.fullmatch(text)
    if not found:
        raise ValueError(f"not RFC 3339: {text[:40]!r}")
    date, clock, fraction, offset = found.groups()
    # datetime has microseconds: digits after the sixth are dropped.
    moment = datetime.fromisoformat(f"{date}T{clock}{(fraction or '')[:7]}{offset.upper()}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"out of range: {text!r}") from error


def format_timestamp(moment: datetime) -> str:
    """Return an aware datetime in RFC 3339, in UTC with `Z` and 0, 3 or 6 fractional digits."""
    micros = moment.microsecond
    digits = "seconds" if micros == 0 else "milliseconds" if micros % 1000 == 0 else "microseconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=digits) + "Z"
