"""Bodies of the usual form, decoded directly into a message: `read_usual`, in a tenth of the time of `read`.

msgspec decodes JSON into typed structs, but accepts only one spelling of a name and has its own error messages. So a
second struct is made from a message's declaration; it has each field in both spellings and accepts only plain forms.
Everything else, including errors, is left to `read`, which knows all of proto3 JSON and Google's error messages.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, force_setattr

from gemvec.wire.kinds import Kind, Refused
from gemvec.wire.message import DeclaredField, Message, fields_of, read
from gemvec.wire.proto_json import camel_case, parse_json

MessageT = TypeVar("MessageT", bound=Message)

_INT32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_PLAIN: dict[Any, Any] = {str: str, bool: bool, int: _INT32}
# Takes no value at all, not even null: a field without a plain form that must be there is for the full reader.
_NOTHING = Annotated[int, msgspec.Meta(ge=1, le=0)]


def read_usual(kind: type[MessageT], body: bytes) -> MessageT:
    """Return the message in a body, like `read(kind, parse_json(body))`.

    Raises:
        InvalidRequest: the body is not JSON, or a field is wrong, unknown or missing.
    """
    usual = _made.get(kind)
    if usual is None:
        with _making:
            usual = _made[kind] = _usual(kind)
    decode, complete = usual
    try:
        message = decode(body)
        if complete:
            complete(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, Refused):
        return read(kind, parse_json(body))
    return cast("MessageT", message)


# Completes a message that msgspec made.
_Complete = Callable[[Any], None]
_Usual: TypeAlias = "tuple[Callable[[bytes], Message], _Complete | None]"

# One at a time: msgspec learns of a struct with its first decoder, and a second thread that decodes one meanwhile ends
# the process with a segmentation fault.
_making = threading.Lock()
_made: dict[type[Message], _Usual] = {}


class _Step(NamedTuple):
    """How to complete one field.

    Attributes:
        attribute: its name.
        other: the attribute for its lowerCamel spelling, None if both spellings are the same.
        convert: turns the JSON value into the field's value, None if they are the same.
        inner: completes the messages in it, None if there is nothing to do.
    """

    attribute: str
    other: str | None
    convert: Callable[[Any], Any] | None
    inner: _Complete | None


class _Plain(NamedTuple):
    """How the plain form of a field is read; `hint` is None if it has none. The rest is as in `_Step`."""

    hint: Any = None
    convert: Callable[[Any], Any] | None = None
    inner: _Complete | None = None


def _usual(kind: type[Message]) -> _Usual:
    usual, complete = _derive(kind)
    return msgspec.json.Decoder(usual).decode, complete


@functools.cache
def _derive(kind: type[Message]) -> tuple[type[Message], _Complete | None]:
    """Return the struct for the plain forms of a message, and the function that completes it."""
    declared = {each.attribute: each for each in fields_of(kind)}
    fields: list[Any] = []
    steps: list[_Step] = []
    for each in msgspec.structs.fields(kind):
        is_plain = each.name in declared and not isinstance(each.default, Message)
        plain = _plain(declared[each.name]) if is_plain else _Plain()
        hint = _NOTHING if plain.hint is None and each.required else plain.hint
        name = declared[each.name].wire_name if each.name in declared else each.name
        # null means a field that is not set; if its default is a value, the full reader does it.
        may_be_null = each.default is None
        fields.append((each.name, _or_none(hint) if may_be_null else hint, _like(each, name)))
        camel = camel_case(name)
        other = None if plain.hint is None or camel == name else f"{each.name}_in_camel_case"
        if other:
            fields.append((other, _or_none(plain.hint), msgspec.field(name=camel, default=None)))
        if other or plain.convert or plain.inner:
            steps.append(_Step(each.name, other, plain.convert, plain.inner))
    usual = msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), namespace={"declared_by": kind}, forbid_unknown_fields=True, kw_only=True
    )
    checks = kind.check is not Message.check
    complete = functools.partial(_complete, tuple(steps), checks) if steps or checks else None
    return cast("type[Message]", usual), complete


def _or_none(hint: Any) -> Any:
    return None if hint is None else hint | None


def _like(field: FieldInfo, name: str) -> Any:
    return msgspec.field(name=name) if field.required else msgspec.field(name=name, default=field.default)


def _plain(declared: DeclaredField) -> _Plain:
    if declared.field.kind is not None:
        return _plain_text(declared.field.kind)
    hint, is_list = declared.hint, get_origin(declared.hint) is list
    if is_list:
        (hint,) = get_args(hint)
    if hint in _PLAIN:
        return _Plain(list[_PLAIN[hint]] if is_list else _PLAIN[hint])
    if isinstance(hint, type) and issubclass(hint, Message):
        inner, complete = _derive(hint)
        return _Plain(list[inner] if is_list else inner, inner=complete)
    if isinstance(hint, type) and issubclass(hint, IntEnum) and not is_list:
        return _Plain(str, hint.__members__.__getitem__)
    return _Plain()


def _plain_text(kind: Kind) -> _Plain:
    """Return how to read a field whose kind has its own reader: as text only."""
    if not kind.is_kept:
        return _Plain()
    if kind.schema.get("type") == ["string", "integer"]:
        return _Plain(str | int)
    return _Plain(str, kind.read) if kind.schema.get("type") == "string" else _Plain()


def _complete(steps: tuple[_Step, ...], checks: bool, message: Message) -> None:
    for attribute, other, convert, inner in steps:
        value = getattr(message, attribute)
        if other is not None and (spelled := getattr(message, other)) is not None:
            value = spelled
            force_setattr(message, other, None)
            force_setattr(message, attribute, value)
        if value is None:
            continue
        if convert is not None:
            force_setattr(message, attribute, convert(value))
        if inner is not None:
            for each in cast("list[Message]", value if type(value) is list else [value]):
                inner(each)
    if checks:
        message.check()
