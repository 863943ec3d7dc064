"""Files on the wire: read in both spellings, written as Google does, and back again."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import InvalidRequest
from gemvec.wire.files import CreateFileRequest, File, ListFilesResponse, parse_file
from gemvec.wire.message import read, to_wire

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
FILES = st.builds(
    File,
    name=st.just("files/a"),
    display_name=st.text(),
    mime_type=st.text(),
    size_bytes=st.integers(0, 2**63 - 1),
    created_at=MOMENTS,
    updated_at=MOMENTS,
    expires_at=st.none() | MOMENTS,
    sha256=st.just("") | st.binary().map(lambda each: hashlib.sha256(each).hexdigest()),
    uri=st.text(),
    download_uri=st.text(),
    source=st.sampled_from(["UPLOADED", "GENERATED"]),
)


@given(FILES)
def test_a_written_file_is_read_as_it_was(file):
    assert parse_file(to_wire(file)) == file


def test_a_file_is_written_as_google_writes_it():
    """The example is a real answer. Source: https://github.com/googleapis/js-genai/issues/381"""
    digits = "183650e2def63712de785b641973235b1d8c7212344b0b36ca6972bfb6e15a8e"
    file = File(
        name="files/29zm2ddgh73v",
        mime_type="image/png",
        size_bytes=120474,
        created_at=datetime(2025, 3, 29, 12, 39, 16, 599879, tzinfo=UTC),
        updated_at=datetime(2025, 3, 29, 12, 39, 16, 599879, tzinfo=UTC),
        expires_at=datetime(2025, 3, 31, 12, 39, 16, tzinfo=UTC),
        sha256=digits,
        uri="https://generativelanguage.googleapis.com/v1beta/files/29zm2ddgh73v",
        state="ACTIVE",
        source="UPLOADED",
    )
    assert to_wire(file) == {
        "name": "files/29zm2ddgh73v",
        "mimeType": "image/png",
        "sizeBytes": "120474",
        "createTime": "2025-03-29T12:39:16.599879Z",
        "updateTime": "2025-03-29T12:39:16.599879Z",
        "expirationTime": "2025-03-31T12:39:16Z",
        "sha256Hash": "MTgzNjUwZTJkZWY2MzcxMmRlNzg1YjY0MTk3MzIzNWIxZDhjNzIxMjM0NGIwYjM2Y2E2OTcyYmZiNmUxNWE4ZQ==",
        "uri": "https://generativelanguage.googleapis.com/v1beta/files/29zm2ddgh73v",
        "state": "ACTIVE",
        "source": "UPLOADED",
    }


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(hashlib.sha256(b"x").hexdigest().encode()).decode(),
        base64.b64encode(hashlib.sha256(b"x").digest()).decode(),
    ],
)
def test_a_hash_is_read_as_google_sends_it_and_as_its_reference_says(text):
    assert parse_file({"sha256Hash": text}).sha256 == hashlib.sha256(b"x").hexdigest()


def test_a_hash_that_is_none_is_left_out():
    assert parse_file({"sha256Hash": "?"}).sha256 == ""


def test_fields_that_are_not_known_are_ignored_in_what_a_service_sends():
    assert parse_file({"name": "files/a", "colour": "red"}).name == "files/a"


@pytest.mark.parametrize("body", [{}, {"file": {}}, {"file": None}, {"file": {"name": ""}}])
def test_a_start_may_say_nothing(body):
    assert read(CreateFileRequest, body).file in {None, File()}


@pytest.mark.parametrize(
    "file",
    [
        {"name": "files/a", "display_name": "dn", "mime_type": "jsonl", "size_bytes": 5, "sha256_hash": "x"},
        {"name": "files/a", "displayName": "dn", "mimeType": "jsonl", "sizeBytes": "5", "videoMetadata": {}},
    ],
)
def test_a_start_is_read_in_both_spellings(file):
    asked = read(CreateFileRequest, {"file": file}).file
    assert (asked.name, asked.display_name, asked.mime_type, asked.size_bytes) == ("files/a", "dn", "jsonl", 5)


@pytest.mark.parametrize("body", [{"colour": "red"}, {"file": {"colour": "red"}}, {"file": "x"}, {"file": {"name": 1}}])
def test_a_start_with_something_else_is_refused(body):
    with pytest.raises(InvalidRequest):
        read(CreateFileRequest, body)


def test_the_last_page_has_no_token_and_an_empty_one_no_files():
    assert to_wire(ListFilesResponse(files=[File(name="files/a")], next_page_token="t")) == {
        "files": [{"name": "files/a"}],
        "nextPageToken": "t",
    }
    assert to_wire(ListFilesResponse()) == {}
