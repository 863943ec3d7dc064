"""Messages are read leniently: either spelling, numbers as strings, enums by name or number, one value for a list.

What cannot be read is refused with the field's path and Google's words.
"""

import gc
from datetime import datetime
from functools import reduce
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.embedding.task_type import TaskType
from gemvec.errors import InvalidRequest
from gemvec.wire.embed import BatchEmbedContentsRequest, Content, Part
from gemvec.wire.kinds import INT64, MAX_DEPTH, STRUCT
from gemvec.wire.message import Field, JsonMessage, ProtoMessage, read, read_large, to_wire
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


LONG = b"word " * 20_000
MANY_PARTS = b",".join([b'{"text":"a"}'] * 10_000)
MANY_TEXTS = b",".join([b'{"content":{"parts":[{"text":"a"}]}}'] * 3000)


@pytest.mark.parametrize(
    "body",
    [
        b'{"requests":[' + MANY_TEXTS + b"]}",
        b'\xef\xbb\xbf {"model": "models/m", "requests" : [' + MANY_TEXTS + b"]}",
        b'{"requests":{"content":{"parts":{"text":"' + LONG + b'"}}}}',
        b'{"requests":[{"content":{"parts":[' + MANY_PARTS + b"]}}," + MANY_TEXTS + b"]}",
        b'{"requests":[{"content":{"parts":[' + MANY_PARTS + b']},"taskType":"CLUSTERING"}]}',
    ],
)
def test_a_large_body_is_read_like_a_small_one(body):
    assert read_large(BatchEmbedContentsRequest, body) == read(BatchEmbedContentsRequest, parse_json(body))


@pytest.mark.parametrize(
    "body",
    [
        b"[" + MANY_TEXTS + b"]",
        b'"' + LONG + b'"',
        b"{}",
        b'{"requests":[]}',
        b'{"requests":[' + MANY_TEXTS + b",1]}",
        b'{"requests":[' + MANY_TEXTS + b',{"content":{"parts":[' + MANY_PARTS + b',{"text":1}]}}]}',
        b'{"requests":[' + MANY_TEXTS + b',{"content":{"part":[]}}]}',
        b'{"requests":"' + LONG + b'"}',
        b'{"requests":[' + MANY_TEXTS + b'],"unknown":[' + MANY_TEXTS + b"]}",
    ],
)
def test_a_large_body_is_refused_like_a_small_one(body):
    with pytest.raises(InvalidRequest) as small:
        read(BatchEmbedContentsRequest, parse_json(body))
    with pytest.raises(InvalidRequest) as large:
        read_large(BatchEmbedContentsRequest, body)
    assert (str(large.value), large.value.field, large.value.index) == (
        str(small.value),
        small.value.field,
        small.value.index,
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"requests":[' + MANY_TEXTS + b"}",
        b'{"requests":[' + MANY_TEXTS + b"]",
        b'{"requests":[' + MANY_TEXTS + b',{"content":{"parts":[{"text":"\xff"}]}}]}',
        b'{"requests":' + b"[" * 100_000,
    ],
)
def test_a_large_body_that_is_not_json_is_refused(body):
    with pytest.raises(InvalidRequest, match="Invalid JSON payload received"):
        read_large(BatchEmbedContentsRequest, body)


def count_contents():
    """Return how many decoded JSON objects with a content there are."""
    return sum(type(each) is dict and [*each] == ["content"] for each in gc.get_objects())


class Counting(ProtoMessage, frozen=True, kw_only=True):
    """A message that notes, when it is read, how many others are there as decoded JSON."""

    seen: ClassVar[list[int]] = []
    content: Annotated[Content | None, Field("A content.")] = None

    def check(self):
        if len(self.seen) < 3:
            self.seen.append(count_contents())


class ManyCounting(ProtoMessage, frozen=True, kw_only=True):
    """Many of them."""

    requests: Annotated[list[Counting], Field("Messages.")]


def test_a_long_list_is_decoded_one_message_at_a_time():
    before = count_contents()
    read_large(ManyCounting, b'{"requests":[' + MANY_TEXTS + b"]}")
    assert max(Counting.seen) < before + 10


def test_messages_are_no_work_for_the_garbage_collector():
    assert not gc.is_tracked(Content(parts=[Part(text="a")]))
