"""A multipart body is read the same however it arrives, whatever its parts hold."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import InvalidRequest
from gemvec.server.multipart import RelatedParts, parse_boundary

BOUNDARY = b"b0undary"


async def _arriving(body, sizes):
    start = 0
    for size in sizes:
        yield body[start : start + size]
        start += size
    yield body[start:]


async def _read(body, sizes=()):
    parts = RelatedParts(_arriving(body, sizes), BOUNDARY)
    await parts.skip_preamble()
    read = []
    for _ in range(2):
        headers = await parts.read_headers()
        read.append((headers, b"".join([block async for block in parts.blocks()])))
    return read


def body_of(first, second, preamble=b"", padding=b""):
    start, end = b"\r\n--" + BOUNDARY + padding + b"\r\n", b"\r\n--" + BOUNDARY + b"--\r\n"
    return preamble + start + b"A: 1\r\nB:2\r\n\r\n" + first + start + b"\r\n" + second + end


# Bytes that delimiters are made of turn up often.
CONTENT = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--", b"b0undar", b"x", b"\0\xff"])).map(b"".join)


@given(CONTENT, CONTENT, st.lists(st.integers(0, 20)))
def test_parts_are_the_same_however_they_arrive(first, second, sizes):
    read = asyncio.run(_read(body_of(first, second), sizes))
    assert read == [({"a": "1", "b": "2"}, first), ({}, second)]


@pytest.mark.parametrize("preamble", [b"", b"to be ignored", b"\r\n"])
def test_text_before_the_first_part_is_ignored(preamble):
    assert asyncio.run(_read(body_of(b"1", b"2", preamble)))[1][1] == b"2"


@given(st.integers(0, len(body_of(b"one", b"two")) - 5))
def test_a_body_that_ends_early_is_refused(length):
    with pytest.raises(InvalidRequest):
        asyncio.run(_read(body_of(b"one", b"two")[:length]))


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(body):
    with pytest.raises(InvalidRequest):
        asyncio.run(_read(body))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/related; boundary=abc", b"abc"),
        ('multipart/related; boundary="a b=c"; type=x', b"a b=c"),
        ("multipart/related;type=application/json;BOUNDARY=abc", b"abc"),
    ],
)
def test_the_boundary_is_read_from_the_type(content_type, boundary):
    assert parse_boundary(content_type) == boundary


@pytest.mark.parametrize("value", ["", "; boundary=", "; boundary=" + "x" * 71, "; boundary=ä", "; bound=x"])
def test_a_type_without_a_usable_boundary_is_refused(value):
    with pytest.raises(InvalidRequest):
        parse_boundary("multipart/related" + value)
