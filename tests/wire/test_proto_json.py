"""The JSON of Google's API: trailing commas are forgiven; what is not JSON is an InvalidRequest, whatever the bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import InvalidRequest
from gemvec.wire.proto_json import camel_case, format_timestamp, parse_json, parse_timestamp, snake_case

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


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


NAMES = st.from_regex(r"[a-z]+(_[a-z]+){0,3}", fullmatch=True)


@given(NAMES)
def test_spellings_convert_both_ways(name):
    assert snake_case(camel_case(name)) == name


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
    with pytest.raises(ValueError, match=r"not RFC 3339|out of range|must be in|time"):
        parse_timestamp(text)


def test_a_byte_order_mark_before_the_json_is_passed_over():
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse_json(b"\xef\xbb\xbf") == {}


@pytest.mark.parametrize(
    "text",
    [
        r"cut \ud83d",
        r"cut \ud83d and more",
        r"\ude00 was cut",
        r"\uD83D\u0041bcdefg",
        r"\\\uDE00",
        r"\ud83d\ud83d\ude00",
    ],
)
def test_half_an_emoji_is_said_to_be_one(text):
    """Programs that cut a text at a number of UTF-16 units send it, as JavaScript's `slice` does."""
    with pytest.raises(InvalidRequest, match="half of a surrogate pair"):
        parse_json(f'{{"text": "{text}"}}'.encode())


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\ud83d", r"\\\\ude00", r"\ud83d\ude00\ud83d\ude00"])
def test_whole_emojis_and_escaped_backslashes_are_text(text):
    assert parse_json(f'{{"text": "{text}"}}'.encode()) == {"text": json.loads(f'"{text}"')}
