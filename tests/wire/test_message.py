"""Messages are read leniently: either spelling, numbers as strings, enums by name or number, one value for a list.

What cannot be read is refused with the field's path and Google's words.
"""

from datetime import datetime
from functools import reduce
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.embedding.task_type import TaskType
from gemvec.errors import InvalidRequest
from gemvec.wire.embed import Content, Part
from gemvec.wire.kinds import INT64, MAX_DEPTH, STRUCT
from gemvec.wire.message import Field, JsonMessage, ProtoMessage, read, to_wire
from gemvec.wire.proto_json import parse_json


class Example(ProtoMessage, frozen=True, kw_only=True):
    """One field of every kind."""

    auto_truncate: Annotated[bool | None, Field("A bool.")] = None
    output_dimensionality: Annotated[int | None, Field("An int32.")] = None
    priority: Annotated[int | None, Field("An int64.", kind=INT64)] = None
    task_type: Annotated[TaskType | None, Field("An enum.")] = None
    display_name: Annotated[str | None, Field("A text.")] = None
    created_at: Annotated[datetime | None, Field("A moment.", name="create_time")] = None
    metadata: Annotated[dict[str, Any] | None, Field("Anything.", kind=STRUCT)] = None
    parts: Annotated[list[Part] | None, Field("Messages.")] = None


class Tolerant(JsonMessage, frozen=True, kw_only=True):
    """A message of another service."""

    input_type: Annotated[str | None, Field("A text.")] = None


def deep(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_a_body_that_is_not_an_object_is_refused(body):
    with pytest.raises(InvalidRequest, match="Root element must be a message"):
        read(Example, body)


@given(st.text())
def test_a_field_is_taken_in_either_spelling(name):
    assert read(Example, {"display_name": name}) == read(Example, {"displayName": name}) == Example(display_name=name)


@pytest.mark.parametrize(
    "body", [{"displayName": "camel", "display_name": "snake"}, {"display_name": "snake", "displayName": "camel"}]
)
def test_of_both_spellings_the_lower_camel_one_counts(body):
    assert read(Example, body).display_name == "camel"
    assert read(Example, body | {"displayName": None}).display_name == "snake"


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), ("5", 5), (-5, -5), ("-5", -5), (5.0, 5), (None, None), (2**31 - 1, 2**31 - 1)],
)
def test_int32_is_a_number_or_a_string_of_digits(value, number):
    assert read(Example, {"output_dimensionality": value}).output_dimensionality == number


@pytest.mark.parametrize("value", [True, "", "5.0", "\u0665", 5.5, 2**31, "9" * 20, [], [5], {}, "five"])
def test_a_bad_int32_names_its_field(value):
    said = r"Invalid value at 'requests\[0\].output_dimensionality' \(TYPE_INT32\)"
    with pytest.raises(InvalidRequest, match=said) as e:
        read(Example, {"outputDimensionality": value}, "requests[0]")
    assert e.value.field == "requests[0].output_dimensionality"


def test_int64_has_64_bits():
    assert read(Example, {"priority": str(-(2**63))}).priority == -(2**63)
    with pytest.raises(InvalidRequest, match="TYPE_INT64"):
        read(Example, {"priority": str(2**63)})


@pytest.mark.parametrize("kind", list(TaskType))
def test_an_enum_is_taken_by_name_in_any_case_or_by_number(kind):
    for value in (kind.name, kind.name.lower(), kind.value, str(kind.value), float(kind.value)):
        assert read(Example, {"taskType": value}).task_type is kind


@pytest.mark.parametrize("value", ["NO_SUCH", "", 9, "9", -1, True, 2.5, [], ["RETRIEVAL_QUERY"], {}, "²"])
def test_a_bad_enum_is_refused_in_googles_words(value):
    with pytest.raises(InvalidRequest, match=r"Invalid value at 'task_type' \(type.googleapis.com/.*TaskType\), "):
        read(Example, {"task_type": value})


def test_a_value_that_is_nested_deeply_is_refused_like_any_other():
    nested = reduce(lambda inner, _: [inner], range(100_000), 0)
    with pytest.raises(InvalidRequest, match="TaskType"):
        read(Example, {"task_type": nested})


@pytest.mark.parametrize(("value", "taken"), [(True, True), ("true", True), ("false", False), (None, None)])
def test_a_bool_may_be_a_string(value, taken):
    assert read(Example, {"auto_truncate": value}).auto_truncate is taken


@pytest.mark.parametrize("value", [1, 0, "True", "", [], {}, ["true"]])
def test_a_bad_bool_is_refused(value):
    with pytest.raises(InvalidRequest, match="TYPE_BOOL"):
        read(Example, {"auto_truncate": value})


def test_a_single_value_counts_as_a_list_of_one():
    assert read(Content, {"parts": {"text": "a"}}) == Content(parts=[Part(text="a")])
    assert read(Content, {}).parts is None


def test_a_field_that_is_not_a_message_names_its_path():
    with pytest.raises(InvalidRequest, match=r"Invalid value at 'parts\[1\]' \(message\), 5"):
        read(Content, {"parts": [{}, 5]})


def test_unknown_fields_are_refused_in_googles_words():
    with pytest.raises(InvalidRequest) as e:
        read(Part, {"text": "a", "textt": "b"}, "content.parts[0]")
    assert e.value.message == (
        "Invalid JSON payload received. Unknown name \"textt\" at 'content.parts[0]': Cannot find field."
    )
    assert e.value.field == "content.parts[0]"


def test_unknown_fields_are_ignored_by_services_that_ignore_them_and_by_clients():
    assert read(Tolerant, {"inputType": "query", "colour": "red"}) == Tolerant(input_type="query")
    assert read(Content, {"parts": [{"text": "a", "x": 1}]}, ignore_unknown=True).text == "a"


@pytest.mark.parametrize("value", ["x" * 2**20, ["x" * 1000] * 1000, {"x" * 1000: 1}, 1.5, 10**18])
def test_error_messages_stay_short(value):
    for body in ({"task_type": value}, {"x" * 2**20: value}):
        with pytest.raises(InvalidRequest) as e:
            read(Example, body)
        assert len(e.value.message) < 250


@pytest.mark.parametrize("value", ["{path}", "{value}", "{", "}", "%s"])
def test_a_refused_value_is_quoted_as_it_is(value):
    with pytest.raises(InvalidRequest) as e:
        read(Example, {"task_type": value})
    assert f'"{value}"' in e.value.message


def test_a_struct_nests_no_deeper_than_googles_parsers_allow():
    for levels in (1, MAX_DEPTH):
        assert read(Example, {"metadata": parse_json(deep(levels))}).metadata
    with pytest.raises(InvalidRequest, match="Struct"):
        read(Example, {"metadata": parse_json(deep(MAX_DEPTH + 1))})


@pytest.mark.parametrize("value", ["", "now", "2014-10-02", 5])
def test_what_is_not_rfc_3339_is_refused(value):
    with pytest.raises(InvalidRequest, match=r"Timestamp|TYPE_STRING") as e:
        read(Example, {"createTime": value})
    assert e.value.field == "create_time"


def test_googles_messages_are_written_in_lower_camel_and_others_in_snake_case():
    wire = {"outputDimensionality": 5, "priority": "7", "taskType": "RETRIEVAL_QUERY", "parts": [{"text": "a"}]}
    message = Example(output_dimensionality=5, priority=7, task_type=TaskType.RETRIEVAL_QUERY, parts=[Part(text="a")])
    assert to_wire(message) == wire
    assert to_wire(Tolerant(input_type="query")) == {"input_type": "query"}
