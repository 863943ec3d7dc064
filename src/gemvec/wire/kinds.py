"""How single values are read and written: `Kind`, and the kinds of proto3 JSON.

A kind reads one value of decoded JSON, writes it canonically, and knows its JSON Schema. It refuses a wrong value
(`Refused`) without knowing its place: the messages around it add the path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any, cast

from gemvec.errors import InvalidRequest
from gemvec.wire.proto_json import format_timestamp, parse_timestamp, shown

Schema = dict[str, Any]
Read = Callable[[Any], Any]
Write = Callable[[Any], Any]

# How deep a google.protobuf.Struct may nest; Google's parsers stop at the same depth.
MAX_DEPTH = 100

INVALID = "Invalid value at '{path}' (%s), {value}"
_INVALID_MESSAGE = INVALID % "message"
_NOT_AN_OBJECT = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
_GOOGLES_TYPE = "type.googleapis.com/google."


class Refused(Exception):
    """A value that cannot be read, before its place is known; `message.read` turns it into an `InvalidRequest`.

    Attributes:
        path: the fields and positions that lead to it, innermost first.
    """

    def __init__(
        self,
        words: str,
        value: Any = None,
        *,
        at: Sequence[str | int] = (),
        error: type[InvalidRequest] = InvalidRequest,
    ) -> None:
        """Record what is wrong.

        Args:
            words: the message; `{path}`, `{at}` (` at 'path'`) and `{value}` are filled in.
            value: the refused value.
            at: the fields and positions that lead to it from the message that refuses it.
            error: the class of error to raise.
        """
        super().__init__(words)
        self._words, self._value, self._error = words, value, error
        self.path: list[str | int] = list(reversed(at))

    def to_error(self, root: str) -> InvalidRequest:
        """Return the error to raise; `root` is the path of the message."""
        path = root
        for step in reversed(self.path):
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        words = _NOT_AN_OBJECT if not path and self._words == _INVALID_MESSAGE else self._words
        at = f" at '{path}'" if path else ""
        return self._error(words.format(path=path, at=at, value=shown(self._value)), field=path or None)


@dataclass(frozen=True, slots=True)
class Kind:
    """How the values of a field are read and written.

    Attributes:
        read: turns a JSON value into the field's value; raises `Refused`.
        write: turns the field's value into a JSON value, or None to leave the field out; None if both are the same.
        schema: JSON Schema of the canonical form.
        is_kept: whether reading gives a value that can be written.
        is_nullable: whether null is written if there is no value.
        is_list: whether it reads a list item by item, so that the value may be an iterator.
    """

    read: Read
    write: Write | None
    schema: Schema
    is_kept: bool = True
    is_nullable: bool = False
    is_list: bool = False


def not_an_object(value: Any) -> Refused:
    """Return the refusal of a value that should be a message."""
    return Refused(_INVALID_MESSAGE, value)


def _read_text(value: Any) -> str:
    if type(value) is str:
        return value
    raise Refused(INVALID % "TYPE_STRING", value)


def _read_bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value in {"true", "false"}:
        return value == "true"
    raise Refused(INVALID % "TYPE_BOOL", value)


def _read_int(value: Any, bits: int) -> int:
    number = value if type(value) is int else _whole_number(value)
    if number is None or not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise Refused(INVALID % f"TYPE_INT{bits}", value)
    return number


def _read_number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Refused(INVALID % "TYPE_DOUBLE", value)


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


def _read_timestamp(value: Any) -> datetime:
    try:
        return parse_timestamp(_read_text(value))
    except ValueError:
        raise Refused(INVALID % f"{_GOOGLES_TYPE}protobuf.Timestamp", value) from None


def _read_struct(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or _is_deeper(cast("dict[str, Any]", value), MAX_DEPTH):
        raise Refused(INVALID % f"{_GOOGLES_TYPE}protobuf.Struct", value)
    return cast("dict[str, Any]", value)


def _is_deeper(value: dict[str, Any], limit: int) -> bool:
    """Whether objects and lists in `value` are nested more than `limit` levels deep."""
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


TEXT = Kind(_read_text, None, {"type": "string"})
FILLED_TEXT = Kind(_read_text, lambda text: text or None, TEXT.schema)  # an empty one is left out
BOOL = Kind(_read_bool, None, {"type": "boolean"})
INT32 = Kind(lambda value: _read_int(value, 32), None, {"type": "integer", "format": "int32"})
NUMBER = Kind(_read_number, None, {"type": "number"})
INT64 = Kind(lambda value: _read_int(value, 64), str, {"type": "string", "format": "int64"})
TIMESTAMP = Kind(_read_timestamp, format_timestamp, {"type": "string", "format": "date-time"})
STRUCT = Kind(_read_struct, None, {"type": "object"})
ANY = Kind(lambda value: value, None, {})
IGNORED = Kind(lambda _: None, None, {}, is_kept=False)


def _read_values(value: Any) -> list[float]:
    if type(value) is not list:
        raise Refused(INVALID % "TYPE_FLOAT", value)
    return cast("list[float]", value)  # checking each value would cost more than the rest of an answer


# The values of a vector; written unchanged, may be an array or finished JSON.
VALUES = Kind(_read_values, None, {"type": "array", "items": {"type": "number", "format": "float"}})


def _read_count(value: Any) -> int:
    if type(value) is int and 0 <= value < 1 << _COUNT_BITS:
        return value
    raise Refused(INVALID % "TYPE_INT64", value)


_COUNT_BITS = 63

# A number of things, which other services than Google's write as a number.
COUNT = Kind(_read_count, None, {"type": "integer", "minimum": 0, "maximum": (1 << _COUNT_BITS) - 1})


def _numbers(types: tuple[type, ...], schema: Schema) -> Kind:
    """Return the kind of a list of numbers, each of which is looked at."""

    def read(value: Any) -> list[Any]:
        if type(value) is not list or not all(type(each) in types for each in cast("list[Any]", value)):
            raise Refused(INVALID % "TYPE_FLOAT", value)
        return cast("list[Any]", value)

    return Kind(read, None, {"type": "array", "items": schema})


def _list_of_lists(item: Kind) -> Kind:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Refused(INVALID % "TYPE_FLOAT", value)
        return [item.read(each) for each in cast("list[Any]", value)]

    return Kind(read, None, {"type": "array", "items": item.schema})


# Vectors of other services' answers; read in tests only, and written as they are, like VALUES.
VECTOR = _numbers((int, float), VALUES.schema["items"])
VECTORS = _list_of_lists(VECTOR)
INTEGER_VECTORS = _list_of_lists(_numbers((int,), {"type": "integer"}))


def only(kind: Kind, served: Any, words: str) -> Kind:
    """Return the kind of a field that may only have the value `served`, since nothing else is done."""

    def read(value: Any) -> Any:
        if kind.read(value) != served:
            raise Refused(f"`{{path}}`: {words}")
        return served

    return Kind(read, None, {**kind.schema, "enum": [served]})


def refused(words: str) -> Kind:
    """Return the kind of a field that is refused, since without it other things would be answered than asked for."""

    def refuse(_: Any) -> None:
        raise Refused(f"`{{path}}`: {words}")

    return Kind(refuse, None, {"not": {}}, is_kept=False)


def only_empty(words: str) -> Kind:
    """Return the kind of a text that is refused unless it is empty, since nothing is done with it."""

    def read(value: Any) -> None:
        if value != "":
            raise Refused(f"`{{path}}`: {words}")

    return Kind(read, None, {"type": "string", "maxLength": 0}, is_kept=False)


def enum(kind: type[IntEnum]) -> Kind:
    """Return the kind of an enum, which is read by name (in any case) or by number."""
    members = {each.name: each for each in kind}
    words = INVALID % f"{_GOOGLES_TYPE}ai.generativelanguage.v1beta.{kind.__name__}"

    def read(value: Any) -> IntEnum:
        if type(value) is str and (found := members.get(value)) is not None:
            return found
        number = _whole_number(value)
        with suppress(KeyError, ValueError):
            if number is not None:
                return kind(number)
            if isinstance(value, str):
                return kind[value.upper()]
        raise Refused(words, value)

    return Kind(read, lambda member: member.name, {"type": "string", "enum": list(members)})


def choice(values: tuple[str, ...], words: str = INVALID % "TYPE_STRING") -> Kind:
    """Return the kind of a text that is one of `values`; `words` is the error for any other."""

    def read(value: Any) -> str:
        if _read_text(value) not in values:
            raise Refused(words, value)
        return value

    return Kind(read, None, {"type": "string", "enum": list(values)})


def list_of(item: Kind) -> Kind:
    """Return the kind of a list; a single value counts as a list of one, as in Google's parsers.

    It also reads an iterator over the items, as `message.read_large` makes of a long list.
    """
    read_item, write_item = item.read, item.write

    def read(value: Any) -> list[Any]:
        items: list[Any] = []
        is_many = type(value) is list or isinstance(value, Iterator)
        values = cast("Iterable[Any]", value) if is_many else [cast("Any", value)]
        try:
            for each in values:
                items.append(read_item(each))  # noqa: PERF401 - how many there are says which one was refused
        except Refused as refused:
            refused.path.append(len(items))
            raise
        return items

    def write(items: list[Any]) -> list[Any]:
        return [write_item(each) for each in items] if write_item else items

    return Kind(read, write, {"type": "array", "items": item.schema}, is_list=True)


def nullable(kind: Kind) -> Kind:
    """Return the kind of a field that is always written, as null if there is no value."""
    schema = {**kind.schema, "type": [kind.schema["type"], "null"]}
    return replace(kind, schema=schema, is_nullable=True)


NULL = Kind(lambda _: None, None, {"type": "null"}, is_nullable=True)
