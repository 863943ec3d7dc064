"""Each wire message is declared once: `Message` and `Field`.

A message is a class; a field is an annotation with its type, its description and its error messages. From that come the
lenient reader (`read`), the canonical writer (`to_wire`) and, in `schema.py`, the JSON Schema.

Google's messages (`ProtoMessage`) are read as proto3 JSON: every field in lowerCamel and snake_case, int64 as number or
string, enums by name or number, one value for a list of one, null for a field that is not set. Unknown fields are
refused by name. The messages of other services (`JsonMessage`) are written in snake_case, and unknown fields are
ignored, as by those services.

Errors have the path in proto spelling, `requests[0].task_type`, and Google's wording. A path is only built after
something was refused, so otherwise it costs nothing.

Contract: https://protobuf.dev/programming-guides/json/ and the error texts of the Gemini API.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import IntEnum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import msgspec.structs

from gemvec.wire import kinds
from gemvec.wire.kinds import Kind, Read, Refused, Write
from gemvec.wire.proto_json import camel_case, parse_json, parse_list, parse_object, parse_value

MessageT = TypeVar("MessageT", bound="Message")

# Decoding so much takes about a millisecond.
_DECODED_AT_ONCE_BYTES = 64 * 1024

_UNKNOWN = "Invalid JSON payload received. Unknown name {value}{at}: Cannot find field."


class Field:
    """The description of a message's field, inside `Annotated`."""

    def __init__(
        self,
        description: str,
        *,
        name: str | None = None,
        kind: Kind | None = None,
        missing: str = "* {path}: is required\n",
        is_indexed: bool = False,
        **schema: Any,
    ) -> None:
        """Describe a field.

        Args:
            description: one or two sentences for the API's documentation.
            name: its proto name, if it differs from the attribute's.
            kind: how it is read and written, if its type does not decide that.
            missing: the error for a message without it, if it has no default.
            is_indexed: whether the position in this list is the `index` of an error.
            schema: additions to its JSON Schema.
        """
        self.description, self.name, self.kind = description, name, kind
        self.missing, self.is_indexed, self.schema = missing, is_indexed, schema


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One JSON object on the wire. The first line of a message's docstring is its description in the API's docs."""

    is_camel_case: ClassVar[bool]
    ignores_unknown: ClassVar[bool]
    declared_by: ClassVar[type[Message] | None] = None  # the message that a derived struct was made from
    more_schema: ClassVar[Mapping[str, Any]] = {}  # JSON Schema of the rules in `check`

    def check(self) -> None:
        """Check rules that concern several fields.

        Raises:
            Refused: a rule is broken; `at` says where.
        """


class ProtoMessage(Message, frozen=True, kw_only=True):
    """A message of Google's API."""

    is_camel_case: ClassVar[bool] = True
    ignores_unknown: ClassVar[bool] = False


class JsonMessage(Message, frozen=True, kw_only=True):
    """A message of another service."""

    is_camel_case: ClassVar[bool] = False
    ignores_unknown: ClassVar[bool] = True


def read(kind: type[MessageT], value: Any, path: str = "", *, ignore_unknown: bool = False) -> MessageT:
    """Return the message in a JSON value.

    Args:
        kind: the class of the message.
        value: decoded JSON.
        path: its place in the body, for errors.
        ignore_unknown: ignore unknown fields, as a client does in answers of a server.

    Raises:
        InvalidRequest: a field is wrong, unknown or missing; `field` and `index` say which.
    """
    try:
        return cast("MessageT", _reader(kind, ignore_unknown)(value))
    except Refused as refused:
        error = refused.to_error(path)
        match refused.path[::-1]:
            case [str(name), int(index), *_] if _is_indexed(kind, name):
                error.index = index
            case _:
                pass
        raise error from None


def read_large(kind: type[MessageT], body: bytes) -> MessageT:
    """Return the message in a large body; like `read`, but long lists of messages are decoded one message at a time.

    To decode a body at once takes the interpreter for as long as that takes, and everything else stops.

    Raises:
        InvalidRequest: the body is not JSON, is nested too deeply, or is not this message.
    """
    fields = parse_object(body.removeprefix(codecs.BOM_UTF8))
    return read(kind, parse_json(body) if fields is None else _open_fields(kind, fields))


def _open_fields(kind: type[Message], fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    openings = _openings(kind)
    return {name: openings.get(name, parse_value)(raw) for name, raw in fields.items()}


@functools.cache
def _openings(kind: type[Message]) -> dict[str, Callable[[msgspec.Raw], Any]]:
    """Return what opens the fields that may be long, by each of their spellings: messages, and lists."""
    found: dict[str, Callable[[msgspec.Raw], Any]] = {}
    for each in fields_of(kind):
        its = kind_of(each)
        hint = get_args(each.hint)[0] if get_origin(each.hint) is list else each.hint
        open_item = parse_value
        if each.field.kind is None and isinstance(hint, type) and issubclass(hint, Message):
            open_item = functools.partial(_open_message, hint)
        opening = functools.partial(_open_list, open_item) if its.is_list else open_item
        if opening is not parse_value:
            found |= dict.fromkeys((each.wire_name, camel_case(each.wire_name)), opening)
    return found


def _open_message(kind: type[Message], raw: msgspec.Raw) -> Any:
    fields = parse_object(raw) if _is_large(raw) else None
    return parse_value(raw) if fields is None else _open_fields(kind, fields)


def _open_list(open_item: Callable[[msgspec.Raw], Any], raw: msgspec.Raw) -> Any:
    """Return a list, a long one as an iterator over its items; a single value may stand for a list of one."""
    items = parse_list(raw) if _is_large(raw) else None
    return open_item(raw) if items is None else map(open_item, items)


def _is_large(raw: msgspec.Raw) -> bool:
    return len(memoryview(raw)) > _DECODED_AT_ONCE_BYTES


def _is_indexed(kind: type[Message], name: str) -> bool:
    return any(each.wire_name == name and each.field.is_indexed for each in fields_of(kind))


def to_wire(message: Message) -> dict[str, Any]:
    """Return the canonical JSON object of a message; fields that are None are left out."""
    wire: dict[str, Any] = {}
    for attribute, spelled, write, is_nullable in _writers(type(message)):
        value = getattr(message, attribute)
        if value is not None and (written := write(value) if write else value) is not None:
            wire[spelled] = written
        elif is_nullable:
            wire[spelled] = None
    return wire


class DeclaredField(NamedTuple):
    """One field of a message, as its class declares it.

    Attributes:
        attribute: its name in Python.
        wire_name: its proto name.
        spelled: its canonical JSON name.
        field: its description.
        hint: its type, without None.
        is_required: whether a message without it is refused, because it has no default.
    """

    attribute: str
    wire_name: str
    spelled: str
    field: Field
    hint: Any
    is_required: bool


@functools.cache
def fields_of(kind: type[Message]) -> tuple[DeclaredField, ...]:
    """Return the fields of a message, in the order of their declaration."""
    if kind.declared_by is not None:
        return fields_of(kind.declared_by)
    hints = get_type_hints(kind, include_extras=True)
    annotated = [each for each in msgspec.structs.fields(kind) if get_origin(hints[each.name]) is Annotated]
    return tuple(_declared(kind, each, hints[each.name]) for each in annotated)


def _declared(kind: type[Message], attribute: msgspec.structs.FieldInfo, annotation: Any) -> DeclaredField:
    hint, field = get_args(annotation)
    name = field.name or attribute.name
    spelled = camel_case(name) if kind.is_camel_case else name
    return DeclaredField(attribute.name, name, spelled, field, _without_none(hint), attribute.required)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in {Union, UnionType}:
        return next(each for each in get_args(hint) if each is not NoneType)
    return hint


_KINDS: dict[Any, Kind] = {
    str: kinds.TEXT,
    bool: kinds.BOOL,
    int: kinds.INT32,
    datetime: kinds.TIMESTAMP,
    Any: kinds.ANY,
}


def kind_of(declared: DeclaredField, *, ignore_unknown: bool = False) -> Kind:
    """Return the kind of a field: its own, or that of its type."""
    return declared.field.kind or kind_of_type(declared.hint, ignore_unknown=ignore_unknown)


def kind_of_type(hint: Any, *, ignore_unknown: bool = False) -> Kind:
    """Return the kind of a type's values."""
    if hint in _KINDS:
        return _KINDS[hint]
    if get_origin(hint) is list:
        return kinds.list_of(kind_of_type(get_args(hint)[0], ignore_unknown=ignore_unknown))
    if get_origin(hint) is dict:
        return kinds.STRUCT
    if issubclass(hint, IntEnum):
        return kinds.enum(hint)
    return Kind(_reader(hint, ignore_unknown), to_wire, {"$ref": f"#/components/schemas/{hint.__name__}"})


class _Spelling(NamedTuple):
    """What a JSON name of a message means."""

    attribute: str
    wire_name: str
    read: Read
    wins: bool  # has precedence if a body has both spellings


@functools.cache
def _reader(kind: type[Message], ignore_unknown: bool) -> Read:
    """Return the function that reads a message; made once, because a request may contain thousands of them."""
    fields = fields_of(kind)
    spellings: dict[str, _Spelling] = {}
    for each in fields:
        reads = kind_of(each, ignore_unknown=ignore_unknown).read
        for name in (each.wire_name, camel_case(each.wire_name)):
            spellings[name] = _Spelling(each.attribute, each.wire_name, reads, name != each.wire_name)
    required = tuple((each.attribute, each.wire_name, each.field.missing) for each in fields if each.is_required)
    ignores_unknown = kind.ignores_unknown or ignore_unknown
    return functools.partial(_read, spellings, functools.partial(_finish, kind, required, ignores_unknown))


def _read(
    spellings: dict[str, _Spelling], finish: Callable[[dict[str, Any], list[str]], Message], value: Any
) -> Message:
    if type(value) is not dict:
        raise kinds.not_an_object(value)
    taken: dict[str, Any] = {}
    unknown: list[str] = []
    found = None
    try:
        for name, each in cast("dict[str, Any]", value).items():
            found = spellings.get(name)
            if found is None:
                unknown.append(name)
            elif each is not None and (found[3] or found[0] not in taken):
                its = found[2](each)
                if its is not None:
                    taken[found[0]] = its
    except Refused as refused:
        refused.path.append(cast("_Spelling", found).wire_name)
        raise
    return finish(taken, unknown)


def _finish(
    kind: type[Message],
    required: tuple[tuple[str, str, str], ...],
    ignores_unknown: bool,
    taken: dict[str, Any],
    unknown: list[str],
) -> Message:
    if unknown and not ignores_unknown:
        raise Refused(_UNKNOWN, unknown[0])
    for attribute, name, words in required:
        if attribute not in taken:
            raise Refused(words, at=(name,))
    message = kind(**taken)
    message.check()
    return message


@functools.cache
def _writers(kind: type[Message]) -> tuple[tuple[str, str, Write | None, bool], ...]:
    kinds_of = [(each, kind_of(each)) for each in fields_of(kind)]
    return tuple((each.attribute, each.spelled, its.write, its.is_nullable) for each, its in kinds_of if its.is_kept)
