"""The messages of media.upload, files.get and files.list.

Contract: Google's API reference for files. `sha256Hash` is what Google's service really sends, the base64 of the
hexadecimal digits; Source: https://github.com/googleapis/js-genai/issues/381.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any

from gemvec.wire.kinds import FILLED_TEXT, IGNORED, INT64, TEXT, Kind
from gemvec.wire.message import Field, ProtoMessage, read

_SHA256_BYTES = 32


def _read_sha256(value: Any) -> str:
    """Return hexadecimal digits for what Google sends and for what its reference promises: the base64 of 32 bytes."""
    try:
        raw = base64.b64decode(TEXT.read(value), validate=True)
    except ValueError:
        return ""
    return raw.hex() if len(raw) == _SHA256_BYTES else raw.decode(errors="replace")


_SHA256 = Kind(_read_sha256, lambda digits: base64.b64encode(digits.encode()).decode() or None, TEXT.schema)


class File(ProtoMessage, frozen=True, kw_only=True):
    """A file.

    Attributes:
        name: `files/{id}`; "" is as good as not given, here and below.
        sha256: hexadecimal digits.
    """

    name: Annotated[
        str,
        Field(
            "`files/{file}`: up to 40 lower-case letters, digits and inner dashes; one is made when absent.",
            kind=FILLED_TEXT,
        ),
    ] = ""
    display_name: Annotated[str, Field("A name for people, at most 512 characters.", kind=FILLED_TEXT)] = ""
    mime_type: Annotated[str, Field("Any string, as the uploader said it.", kind=FILLED_TEXT)] = ""
    size_bytes: Annotated[int | None, Field("Number of bytes.", kind=INT64)] = None
    created_at: Annotated[datetime | None, Field("When its upload was complete.", name="create_time")] = None
    updated_at: Annotated[datetime | None, Field("When it last changed.", name="update_time")] = None
    expires_at: Annotated[datetime | None, Field("When it will be deleted.", name="expiration_time")] = None
    sha256: Annotated[
        str,
        Field(
            "Base64 of the hexadecimal SHA-256 of the bytes; absent for the results of a batch.",
            name="sha256_hash",
            kind=_SHA256,
        ),
    ] = ""
    uri: Annotated[str, Field("Where this description is.", kind=FILLED_TEXT)] = ""
    download_uri: Annotated[str, Field("Where the bytes are.", kind=FILLED_TEXT)] = ""
    state: Annotated[str, Field("ACTIVE, PROCESSING or FAILED.", kind=FILLED_TEXT)] = ""
    source: Annotated[str, Field("Where it came from: UPLOADED or GENERATED.", kind=FILLED_TEXT)] = ""
    error: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None
    video_metadata: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None


class CreateFileRequest(ProtoMessage, frozen=True, kw_only=True):
    """What a file will be."""

    file: Annotated[
        File | None,
        Field("Name, display name, MIME type and size; all of it may be left out, and the rest is ignored."),
    ] = None


class CreateFileResponse(ProtoMessage, frozen=True, kw_only=True):
    """The file, when its upload is complete."""

    file: Annotated[File | None, Field("The file.")] = None


class ListFilesResponse(ProtoMessage, frozen=True, kw_only=True):
    """A page of files."""

    files: Annotated[list[File] | None, Field("The newest first; absent when there is none.")] = None
    next_page_token: Annotated[str | None, Field("`pageToken` of the next page; absent on the last.")] = None


def parse_file(value: Any) -> File:
    """Read a File that a service sent; fields that are not known here are ignored.

    Raises:
        InvalidRequest: a field is wrong.
    """
    return read(File, value, ignore_unknown=True)
