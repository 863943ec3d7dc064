"""The messages of media.upload, files.get and files.list.

Contract: Google's API reference for files. `sha256Hash` is what Google's service really sends, the base64 of the
hexadecimal digits; Source: https://github.com/googleapis/js-genai/issues/381.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gemvec.wire.message import Message, format_timestamp

_SHA256_BYTES = 32

# What only the service says; a client that sends a whole File back is not refused for it.
_OUTPUT_ONLY = (
    "create_time",
    "update_time",
    "expiration_time",
    "sha256_hash",
    "uri",
    "download_uri",
    "state",
    "source",
    "error",
    "video_metadata",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateFileRequest:
    """What the start of an upload says about the file to be.

    Attributes:
        name: `files/{id}`, or None to have one made.
        display_name: "" when the body does not say.
        mime_type: "" when the body does not say.
        size_bytes: None when the body does not say.
    """

    name: str | None
    display_name: str
    mime_type: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResource:
    """A File as the service describes it.

    Attributes:
        name: `files/{id}`.
        display_name: "" when there is none.
        mime_type: "" when it is not known.
        size_bytes: number of bytes.
        created_at: when the upload was complete.
        updated_at: when it last changed.
        expires_at: when it will be deleted; None if never.
        sha256: hexadecimal SHA-256 of the bytes; "" when it is not known.
        uri: where the resource is.
        download_uri: where the bytes are; "" when they cannot be downloaded.
        state: PROCESSING, ACTIVE or FAILED.
        source: UPLOADED or GENERATED.
    """

    name: str
    display_name: str = ""
    mime_type: str = ""
    size_bytes: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    sha256: str = ""
    uri: str = ""
    download_uri: str = ""
    state: str = "ACTIVE"
    source: str = "UPLOADED"


def parse_create_file_request(message: Message) -> CreateFileRequest:
    """Read the body that starts an upload, `{"file": {...}}`; all of it may be missing.

    Raises:
        InvalidRequest: a field is wrong or unknown.
    """
    file = message.take_message("file") or Message({}, "file")
    message.close()
    request = CreateFileRequest(
        name=file.take_text("name") or None,
        display_name=file.take_text("display_name") or "",
        mime_type=file.take_text("mime_type") or "",
        size_bytes=file.take_int64("size_bytes"),
    )
    for name in _OUTPUT_ONLY:
        file.take(name)
    file.close()
    return request


def parse_file(message: Message) -> FileResource:
    """Read a File that a service sent; fields that are not known here are ignored.

    Raises:
        InvalidRequest: a field is wrong.
    """
    return FileResource(
        name=message.take_text("name") or "",
        display_name=message.take_text("display_name") or "",
        mime_type=message.take_text("mime_type") or "",
        size_bytes=message.take_int64("size_bytes") or 0,
        created_at=message.take_timestamp("create_time"),
        updated_at=message.take_timestamp("update_time"),
        expires_at=message.take_timestamp("expiration_time"),
        sha256=_parse_sha256(message.take_text("sha256_hash") or ""),
        uri=message.take_text("uri") or "",
        download_uri=message.take_text("download_uri") or "",
        state=message.take_text("state") or "",
        source=message.take_text("source") or "",
    )


def file_to_wire(file: FileResource) -> dict[str, Any]:
    """Return a File; what is not known is left out."""
    fields: dict[str, Any] = {
        "name": file.name,
        "displayName": file.display_name,
        "mimeType": file.mime_type,
        "sizeBytes": str(file.size_bytes),
        "createTime": file.created_at and format_timestamp(file.created_at),
        "updateTime": file.updated_at and format_timestamp(file.updated_at),
        "expirationTime": file.expires_at and format_timestamp(file.expires_at),
        "sha256Hash": base64.b64encode(file.sha256.encode()).decode(),
        "uri": file.uri,
        "downloadUri": file.download_uri,
        "state": file.state,
        "source": file.source,
    }
    return {name: value for name, value in fields.items() if value}


def files_to_wire(files: list[FileResource], next_page_token: str | None) -> dict[str, Any]:
    """Return a ListFilesResponse; the last page leaves the token out, as an empty one keeps some pagers going."""
    page: dict[str, Any] = {"files": [file_to_wire(file) for file in files]} if files else {}
    return {**page, "nextPageToken": next_page_token} if next_page_token else page


def _parse_sha256(text: str) -> str:
    """Return hexadecimal digits for what Google sends and for what its reference promises: the base64 of 32 bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return ""
    return raw.hex() if len(raw) == _SHA256_BYTES else raw.decode(errors="replace")
