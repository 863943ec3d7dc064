"""Proto3 JSON is read leniently: either spelling, numbers as strings, enums by name or number, trailing commas.

What cannot be read is refused with the field's path and Google's words, whatever the bytes: never by another error.
"""

import json
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.embedding.task_type import TaskType
from gemvec.errors import InvalidRequest
from gemvec.wire.message import (
    MAX_DEPTH,
    Message,
    camel_case,
    format_timestamp,
    parse_json,
    parse_message,
    parse_timestamp,
    snake_case,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def deep(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


def with_trailing_commas(value):
    match value:
        case dict():
            return (
                "{"
                + "".join(f"{json.dumps(key)}: {with_trailing_commas(each)} ,\n" for key, each in value.items())
                + "}"
            )
        case list():
            return "[" + "".join(f"{with_trailing_commas(each)} ,\n" for each in value) + "]"
        case _:
            return json.dumps(value)


DEEP = b"[" * 200_000 + b"]" * 200_000  # deeper than any Python goes


@given(JSON)
def test_json_is_read_as_any_json_reader_reads_it(value):
    assert parse_json(json.dumps(value).encode()) == value


@given(JSON)
def test_trailing_commas_are_forgiven_wherever_they_stand(value):
    assert parse_json(with_trailing_commas(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2, ], }', {"a": [1, 2]}),
        (b'{"a": ",]", }', {"a": ",]"}),
        (b'{"a": "\\",}", "b": [{"c": 1,},],}', {"a": '",}', "b": [{"c": 1}]}),
        (b'{"a": "\\\\",}', {"a": "\\"}),
        (b"", {}),
        (b" \r\n", {}),
    ],
)
def test_commas_inside_strings_are_kept(body, value):
    assert parse_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a" 1}',
        b"[,1]",
        b"[1,,]",
        b'"\\ud800"',
        b'{"a": "\xff"}',
        b'"' + b'\\"' * 1000,
        b'"' + b'\\"' * 1000 + b"\\",
        b"1e999",
        b"9" * 5000,
        b"NaN",
        b"\x00",
        DEEP,
        DEEP[:-1] + b",}",
        b'{"a":[1,],"b":' + DEEP + b"}",
    ],
)
def test_what_is_not_json_is_an_invalid_request(body):
    with pytest.raises(InvalidRequest, match="Invalid JSON payload received"):
        parse_json(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_an_invalid_request(body):
    try:
        value = parse_json(body)
    except InvalidRequest:
        return
    assert not body.strip() or parse_json(msgspec.json.encode(value)) == value


def test_trailing_commas_of_large_bodies_are_not_looked_for():
    with pytest.raises(InvalidRequest):
        parse_json(b'["' + b"a" * 2**20 + b'",]')


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null", b"true"])
def test_a_body_that_is_not_an_object_is_refused(body):
    with pytest.raises(InvalidRequest, match="Root element must be a message"):
        parse_message(body)


NAMES = st.from_regex(r"[a-z]+(_[a-z]+){0,3}", fullmatch=True)


@given(NAMES)
def test_spellings_convert_both_ways(name):
    assert snake_case(camel_case(name)) == name


@given(NAMES, st.text())
def test_a_field_is_taken_in_either_spelling(name, value):
    assert Message({name: value}).take_text(name) == value
    assert Message({camel_case(name): value}).take_text(name) == value


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), ("5", 5), (-5, -5), ("-5", -5), (5.0, 5), (None, None), (2**31 - 1, 2**31 - 1)],
)
def test_int32_is_a_number_or_a_string_of_digits(value, number):
    assert Message({"output_dimensionality": value}).take_int32("output_dimensionality") == number


@pytest.mark.parametrize("value", [True, "", "5.0", "\u0665", 5.5, 2**31, "9" * 20, [], [5], {}, "five"])
def test_a_bad_int32_names_its_field(value):
    with pytest.raises(
        InvalidRequest, match=r"Invalid value at 'requests\[0\].output_dimensionality' \(TYPE_INT32\)"
    ) as e:
        Message({"outputDimensionality": value}, "requests[0]").take_int32("output_dimensionality")
    assert e.value.field == "requests[0].output_dimensionality"


def test_int64_has_64_bits():
    assert Message({"priority": str(-(2**63))}).take_int64("priority") == -(2**63)
    with pytest.raises(InvalidRequest, match="TYPE_INT64"):
        Message({"priority": str(2**63)}).take_int64("priority")


@pytest.mark.parametrize("kind", list(TaskType))
def test_an_enum_is_taken_by_name_in_any_case_or_by_number(kind):
    for value in (kind.name, kind.name.lower(), kind.value, str(kind.value), float(kind.value)):
        assert Message({"taskType": value}).take_enum("task_type", TaskType) is kind


@pytest.mark.parametrize("value", ["NO_SUCH", "", 9, "9", -1, True, 2.5, [], ["RETRIEVAL_QUERY"], {}, "²"])
def test_a_bad_enum_is_refused_in_googles_words(value):
    with pytest.raises(InvalidRequest, match=r"Invalid value at 'task_type' \(type.googleapis.com/.*TaskType\), "):
        Message({"task_type": value}).take_enum("task_type", TaskType)


def test_a_value_that_is_nested_deeply_is_refused_like_any_other():
    nested = reduce(lambda inner, _: [inner], range(100_000), 0)
    with pytest.raises(InvalidRequest, match="TaskType"):
        Message({"task_type": nested}).take_enum("task_type", TaskType)


@pytest.mark.parametrize(("value", "taken"), [(True, True), ("true", True), ("false", False), (None, None)])
def test_a_bool_may_be_a_string(value, taken):
    assert Message({"auto_truncate": value}).take_bool("auto_truncate") is taken


@pytest.mark.parametrize("value", [1, 0, "True", "", [], {}, ["true"]])
def test_a_bad_bool_is_refused(value):
    with pytest.raises(InvalidRequest, match="TYPE_BOOL"):
        Message({"auto_truncate": value}).take_bool("auto_truncate")


def test_a_single_value_stands_for_a_list_of_one():
    assert Message({"parts": {"text": "a"}}).take_messages("parts")[0].take_text("text") == "a"
    assert Message({}).take_messages("parts") == []


def test_a_field_that_is_not_a_message_names_its_path():
    with pytest.raises(InvalidRequest, match=r"Invalid value at 'parts\[1\]' \(message\), 5"):
        Message({"parts": [{}, 5]}).take_messages("parts")


def test_unknown_fields_are_refused_in_googles_words():
    message = Message({"text": "a", "textt": "b"}, "content.parts[0]")
    message.take_text("text")
    with pytest.raises(InvalidRequest) as e:
        message.close()
    assert e.value.message == (
        "Invalid JSON payload received. Unknown name \"textt\" at 'content.parts[0]': Cannot find field."
    )


@pytest.mark.parametrize("value", ["x" * 2**20, ["x" * 1000] * 1000, {"x" * 1000: 1}, 1.5, 10**18])
def test_error_messages_stay_short(value):
    with pytest.raises(InvalidRequest) as e:
        Message({"task_type": value}).take_enum("task_type", TaskType)
    assert len(e.value.message) < 250
    with pytest.raises(InvalidRequest) as e:
        Message({"x" * 2**20: value}).close()
    assert len(e.value.message) < 250


def test_a_struct_nests_no_deeper_than_googles_parsers_allow():
    for levels in (1, MAX_DEPTH):
        assert Message({"metadata": parse_json(deep(levels))}).take_struct("metadata")
    with pytest.raises(InvalidRequest, match="Struct"):
        Message({"metadata": parse_json(deep(MAX_DEPTH + 1))}).take_struct("metadata")


MOMENTS = st.datetimes(
    datetime.min + timedelta(days=1),  # noqa: DTZ901 - hypothesis adds the zone
    datetime.max - timedelta(days=1),  # noqa: DTZ901
    timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)


@given(MOMENTS)
def test_a_timestamp_survives_the_wire(moment):
    assert parse_timestamp(format_timestamp(moment)) == moment


@given(MOMENTS)
def test_timestamps_are_utc_with_0_3_or_6_digits(moment):
    text = format_timestamp(moment)
    assert len(text) in {20, 24, 27}
    assert text.endswith("Z")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2014-10-02T15:01:23Z", datetime(2014, 10, 2, 15, 1, 23, tzinfo=UTC)),
        ("2014-10-02T15:01:23.045123456Z", datetime(2014, 10, 2, 15, 1, 23, 45123, tzinfo=UTC)),
        ("2014-10-02T15:01:23+05:30", datetime(2014, 10, 2, 9, 31, 23, tzinfo=UTC)),
        ("2014-10-02t15:01:23z", datetime(2014, 10, 2, 15, 1, 23, tzinfo=UTC)),
    ],
)
def test_the_timestamps_of_the_reference_are_read(text, moment):
    assert parse_timestamp(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2014-10-02",
        "2014-10-02T15:01:23",
        "20141002T150123Z",
        "2014-13-02T15:01:23Z",
        "0001-01-01T00:00:00+23:59",
        "now",
    ],
)
def test_what_is_not_rfc_3339_is_refused(text):
    with pytest.raises(InvalidRequest, match="Timestamp"):
        Message({"create_time": text}).take_timestamp("create_time")
