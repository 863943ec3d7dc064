"""The JSON text of Google's API: bodies, names, timestamps, and how an error message quotes a value.

Trailing commas are allowed, because Google's own curl sample for batchEmbedContents has them.

Contract: https://protobuf.dev/programming-guides/json/.
"""

from __future__ import annotations

import codecs
import functools
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from gemvec.errors import InvalidRequest

# Matches either what is kept (whole strings, closed or not; every comma but a trailing one), or a trailing comma, which
# is dropped. Only possessive quantifiers, so that the time is linear in any body.
_TRAILING_COMMA = re.compile(rb'((?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^",]++|,(?!\s*+[}\]]))++)|,', re.DOTALL)

# People write trailing commas, programs do not, so larger bodies are not changed.
_FORGIVEN_BYTES = 2**20

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
        if len(body) > _FORGIVEN_BYTES:
            raise
        try:
            return _decode(_TRAILING_COMMA.sub(rb"\1", body))
        except InvalidRequest:
            raise first from None


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise InvalidRequest("Invalid JSON payload received. It is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"Invalid JSON payload received. {error}") from error


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
