"""The JSON Schema of every message and its reader say the same, because both come from one declaration.

1. What the schema allows, the reader takes.
2. What the reader takes, the schema allows: in the canonical form, since the reader forgives other spellings.
3. What is written is read as what it was.
4. The quick reader of what is usual and the full one say the same.
"""

import copy
import json
import re
from datetime import datetime

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gemvec.errors import InvalidRequest
from gemvec.server.schemas import MESSAGES, schemas
from gemvec.wire.message import read, to_wire
from gemvec.wire.proto_json import parse_json
from gemvec.wire.usual import read_usual

EASY = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("int64", raises=ValueError)
def is_int64(text):
    return not isinstance(text, str) or (bool(re.fullmatch("-?[0-9]+", text)) and -(2**63) <= int(text) < 2**63)


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(text):
    if not isinstance(text, str):
        return True
    return bool(re.fullmatch(RFC3339, text, re.ASCII) and datetime.fromisoformat(text.upper()))


@FORMATS.checks("int32")
def is_int32(number):
    return not isinstance(number, (int, float)) or -(2**31) <= number < 2**31


MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - UTC is added below
    lambda moment: moment.isoformat() + "Z"
)
STRINGS = {"int64": st.integers(-(2**63), 2**63 - 1).map(str), "date-time": MOMENTS}

# What somebody might send in a field's place.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.integers(2**40, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3)
    | st.sampled_from(["files/a", "models/m", "RETRIEVAL_QUERY", "BATCH_STATE_RUNNING", "5"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def whole(schema):
    """Return a schema with everything that it refers to inside it."""
    if isinstance(schema, list):
        return [whole(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        beside = {key: each for key, each in schema.items() if key not in {"$ref", "description"}}
        return both(whole(schemas()[schema["$ref"].rpartition("/")[2]]), whole(beside))
    return {key: whole(each) for key, each in schema.items()}


def both(one, other):
    """Return the schema of what two schemas of objects allow."""
    properties = {**one.get("properties", {})}
    for name, each in other.get("properties", {}).items():
        properties[name] = both(properties.get(name, {}), each)
    required = [*one.get("required", []), *other.get("required", [])]
    return (
        {**one, **other, "properties": properties, "required": required} if properties or required else {**one, **other}
    )


def values(schema):
    """Return what a schema allows."""
    for key in ("anyOf", "oneOf"):
        if key in schema:
            rest = {name: each for name, each in schema.items() if name != key}
            return st.one_of([values(both(rest, each)) for each in schema[key]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.one_of([values({**schema, "type": each}) for each in kind])
    return {None: anything, "object": objects, "array": arrays, "string": strings}.get(kind, scalars)(schema)


def anything(_):
    return ANYTHING.filter(lambda value: value is not None)


def objects(schema):
    properties, required = schema.get("properties", {}), schema.get("required", [])
    possible = {name: values(each) for name, each in properties.items() if "not" not in each}
    if "properties" not in schema:
        return st.dictionaries(st.text(max_size=3), values(schema.get("additionalProperties", {})), max_size=2)
    return st.fixed_dictionaries(
        {name: possible[name] for name in required},
        optional={name: each for name, each in possible.items() if name not in required},
    )


def arrays(schema):
    return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=schema.get("minItems", 0) + 2)


def strings(schema):
    if "format" in schema:
        return STRINGS[schema["format"]]
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        text = st.from_regex(schema["pattern"].removeprefix("^").removesuffix("$"), fullmatch=True)
        return text.filter(lambda text: low <= len(text) <= (len(text) if high is None else high))
    return st.text(min_size=low, max_size=high)


def scalars(schema):
    return {
        "integer": st.integers(schema.get("minimum", -(2**31)), 2**31 - 1),
        "number": st.floats(allow_nan=False, allow_infinity=False, width=32),
        "boolean": st.booleans(),
        "null": st.none(),
    }[schema["type"]]


# To JSON Schema 0.0 is an integer; to most readers, and as a token id, it is not.
WITH_INTEGERS = jsonschema.validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)

WHOLE = {kind: whole(schemas()[kind.__name__]) for kind in MESSAGES}
VALIDATORS = {kind: WITH_INTEGERS(schema, format_checker=FORMATS) for kind, schema in WHOLE.items()}
EVERY_MESSAGE = pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)


def messages(kind):
    return values(WHOLE[kind])


def outcome(reader, kind, body):
    """Return what a reader says of a body: the message in its canonical form, or what is wrong with it."""
    try:
        return as_json(reader(kind, body))
    except InvalidRequest as error:
        return error.message, error.field, error.index


def as_json(message):
    return json.loads(msgspec.json.encode(to_wire(message)))


# Readers do not look at every number of a vector, which is checked where it becomes an array; nobody reads limits.
UNLOOKED = {"values", "embedding", "limits"}


@st.composite
def spoiled(draw, kind):
    """Return a message with something put in, left out or exchanged, wherever it stands."""
    value = copy.deepcopy(draw(messages(kind)))
    place, names = value, WHOLE[kind].get("properties", {})
    while True:
        inner = [key for key, each in place.items() if isinstance(each, dict) and key not in UNLOOKED]
        inner += [key for key, each in place.items() if isinstance(each, list) and each and isinstance(each[0], dict)]
        if not inner or draw(st.booleans()):
            break
        chosen = place[draw(st.sampled_from(inner))]
        place, names = (chosen[0] if isinstance(chosen, list) else chosen), {}
    known = sorted({*place, *names} - UNLOOKED) or ["x"]
    name = draw(st.sampled_from(known) | st.text(max_size=3))
    if draw(st.booleans()):
        place.pop(name, None)
    else:
        place[name] = draw(ANYTHING)
    return value


@EVERY_MESSAGE
@EASY
@given(data=st.data())
def test_what_the_schema_allows_the_reader_takes(kind, data):
    read(kind, data.draw(messages(kind)))


@EVERY_MESSAGE
@EASY
@given(data=st.data())
def test_what_the_reader_takes_the_schema_allows_in_its_canonical_form(kind, data):
    value = data.draw(spoiled(kind))
    try:
        message = read(kind, value)
    except InvalidRequest:
        assume(False)
    VALIDATORS[kind].validate(as_json(message))


@EVERY_MESSAGE
@EASY
@given(data=st.data())
def test_what_the_reader_refuses_the_schema_refuses(kind, data):
    value = data.draw(spoiled(kind))
    try:
        read(kind, value)
    except InvalidRequest:
        assert not VALIDATORS[kind].is_valid(value), value


@EVERY_MESSAGE
@EASY
@given(data=st.data())
def test_both_readers_say_the_same(kind, data):
    value = data.draw(spoiled(kind))
    body = msgspec.json.encode(value)
    assert outcome(read_usual, kind, body) == outcome(lambda kind, body: read(kind, parse_json(body)), kind, body)


@EVERY_MESSAGE
@EASY
@given(data=st.data())
def test_what_is_written_is_read_as_what_it_was(kind, data):
    message = read(kind, data.draw(messages(kind)))
    assert read(kind, as_json(message)) == message


def test_the_schemas_are_schemas():
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)
