"""Proto3 JSON, read leniently.

Every field is taken in lowerCamel and snake_case, int64 as number or string, enums as name or number; trailing commas
are forgiven (Google's own curl sample for batchEmbedContents has them).

A parser takes the fields it knows from a `Message` and then calls `close`, which refuses what is left. Errors carry
the path in proto spelling, `requests[0].task_type`, and Google's wording.

Contract: https://protobuf.dev/programming-guides/json/ and the error texts of the Gemini API.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, TypeVar, cast

import msgspec

from gemvec.errors import InvalidRequest

EnumT = TypeVar("EnumT", bound=IntEnum)

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)

# How deep a google.protobuf.Struct may nest; Google's parsers stop at the same depth.
MAX_DEPTH = 100

# What is kept (strings whole, closed or not; every comma but a trailing one), or a trailing comma, dropped. Possessive
# throughout, so that the time is linear in the body whatever it holds.
_TRAILING_COMMA = re.compile(rb'((?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^",]++|,(?!\s*+[}\]]))++)|,', re.DOTALL)

# People write trailing commas, programs do not: larger bodies are taken as they are.
_FORGIVEN_BYTES = 2**20

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_json(body: bytes) -> Any:
    """Decode a request body, forgiving trailing commas; an empty body is an empty message.

    Raises:
        InvalidRequest: the body is not JSON, is not UTF-8, or is nested too deeply.
    """
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


def parse_message(body: bytes) -> Message:
    """Decode a request body that must be one JSON object."""
    return Message(parse_json(body))


def snake_case(name: str) -> str:
    """Return the proto spelling of a JSON name: `taskType` becomes `task_type`."""
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)


@functools.cache
def camel_case(name: str) -> str:
    """Return the JSON spelling of a proto name: `task_type` becomes `taskType`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


class Message:
    """One JSON object whose fields are taken by name; names are given in proto spelling.

    Every `take` method returns None when the field is missing or null, as proto3 JSON says.
    """

    __slots__ = ("_left", "path")

    def __init__(self, value: Any, path: str = "") -> None:
        """Wrap `value`, found at `path` of the request.

        Raises:
            InvalidRequest: `value` is not an object.
        """
        if not isinstance(value, dict):
            if not path:
                raise InvalidRequest('Invalid JSON payload received. Unknown name "": Root element must be a message.')
            raise InvalidRequest(f"Invalid value at '{path}' (message), {shown(value)}", field=path)
        self._left: dict[str, Any] = dict(cast("Mapping[str, Any]", value))
        self.path = path

    def path_of(self, name: str) -> str:
        """Return the path of field `name` of this message."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> Any:
        """Return the field as it came, in either spelling; the lowerCamel one wins if both are there."""
        snake = self._left.pop(name, None)
        camel = self._left.pop(camel_case(name), None) if "_" in name else None
        return camel if camel is not None else snake

    def take_text(self, name: str) -> str | None:
        """Return a string field."""
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        raise self._invalid(name, "TYPE_STRING", value)

    def take_bool(self, name: str) -> bool | None:
        """Return a bool field; the strings `true` and `false` count."""
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value in {"true", "false"}:
            return value == "true"
        raise self._invalid(name, "TYPE_BOOL", value)

    def take_int32(self, name: str) -> int | None:
        """Return an int32 field, given as a number or a string of digits."""
        return self._take_int(name, "TYPE_INT32", INT32)

    def take_int64(self, name: str) -> int | None:
        """Return an int64 field, given as a number or a string of digits."""
        return self._take_int(name, "TYPE_INT64", INT64)

    def _take_int(self, name: str, kind: str, bounds: tuple[int, int]) -> int | None:
        value = self.take(name)
        if value is None:
            return None
        number = _whole_number(value)
        if number is None or not bounds[0] <= number <= bounds[1]:
            raise self._invalid(name, kind, value)
        return number

    def take_enum(self, name: str, kind: type[EnumT]) -> EnumT | None:
        """Return an enum field, given by name (in any case) or by number."""
        value = self.take(name)
        if value is None:
            return None
        number = _whole_number(value)
        with suppress(KeyError, ValueError):
            if number is not None:
                return kind(number)
            if isinstance(value, str):
                return kind[value.upper()]
        type_url = f"type.googleapis.com/google.ai.generativelanguage.v1beta.{kind.__name__}"
        raise self._invalid(name, type_url, value)

    def take_message(self, name: str) -> Message | None:
        """Return a field that holds another message."""
        value = self.take(name)
        return None if value is None else Message(value, self.path_of(name))

    def take_messages(self, name: str) -> list[Message]:
        """Return a repeated message field; empty when it is missing."""
        path = self.path_of(name)
        return [Message(item, f"{path}[{index}]") for index, item in enumerate(self.take_list(name))]

    def take_list(self, name: str) -> list[Any]:
        """Return a repeated field as it came; empty when it is missing."""
        value = self.take(name)
        if value is None:
            return []
        if isinstance(value, list):
            return cast("list[Any]", value)
        return [value]  # proto3 JSON parsers at Google take a single value for a repeated field

    def take_struct(self, name: str) -> dict[str, Any] | None:
        """Return a google.protobuf.Struct: any JSON object, at most `MAX_DEPTH` levels deep."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, dict) or _is_deeper(cast("dict[str, Any]", value), MAX_DEPTH):
            raise self._invalid(name, "type.googleapis.com/google.protobuf.Struct", value)
        return cast("dict[str, Any]", value)

    def take_timestamp(self, name: str) -> datetime | None:
        """Return a google.protobuf.Timestamp as an aware UTC datetime."""
        value = self.take_text(name)
        if value is None:
            return None
        try:
            return parse_timestamp(value)
        except ValueError:
            raise self._invalid(name, "type.googleapis.com/google.protobuf.Timestamp", value) from None

    def close(self) -> None:
        """Refuse the fields that nobody took.

        Raises:
            InvalidRequest: there is one.
        """
        for name in self._left:
            where = f" at '{self.path}'" if self.path else ""
            raise InvalidRequest(
                f"Invalid JSON payload received. Unknown name {shown(name)}{where}: Cannot find field.",
                field=self.path or None,
            )

    def _invalid(self, name: str, kind: str, value: Any) -> InvalidRequest:
        path = self.path_of(name)
        return InvalidRequest(f"Invalid value at '{path}' ({kind}), {shown(value)}", field=path)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value):
        return int(value)
    return None


def _is_deeper(value: dict[str, Any], limit: int) -> bool:
    """Whether objects and lists nest more than `limit` levels in `value`."""
    level: list[Any] = [value]
    for _ in range(limit):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += cast("dict[str, Any]", each).values()
            elif isinstance(each, list):
                inner += cast("list[Any]", each)
        level = inner
    return any(isinstance(each, (dict, list)) for each in level)


def shown(value: Any, most: int = 100) -> str:
    """Return `value` as an error message quotes it: at most `most` characters, containers only hinted at."""
    if isinstance(value, (dict, list)):
        return "{...}" if isinstance(value, dict) else "[...]"
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return f'"{value}"' if len(value) <= most else f'"{value[:most]}..."'


def parse_timestamp(text: str) -> datetime:
    """Return the aware UTC datetime that an RFC 3339 string names; offsets other than Z are converted.

    Raises:
        ValueError: the text is not RFC 3339.
    """
    found = _RFC3339.fullmatch(text)
    if not found:
        raise ValueError(f"not RFC 3339: {text[:40]!r}")
    date, clock, fraction, offset = found.groups()
    # datetime holds microseconds: digits beyond the sixth are dropped.
    moment = datetime.fromisoformat(f"{date}T{clock}{(fraction or '')[:7]}{offset.upper()}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"out of range: {text!r}") from error


def format_timestamp(moment: datetime) -> str:
    """Return an aware datetime in RFC 3339, in UTC with `Z` and 0, 3 or 6 fraction digits."""
    micros = moment.microsecond
    digits = "seconds" if micros == 0 else "milliseconds" if micros % 1000 == 0 else "microseconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=digits) + "Z"
