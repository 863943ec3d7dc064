"""Limits of files: sizes, names, how long they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from gemvec.errors import BadResourceName, FileTooLarge, InvalidRequest
from gemvec.wire.names import parse_resource_id

_MAX_ID = 40
_MAX_DISPLAY_NAME = 512
_MAX_MIME_TYPE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLimits:
    """The limits of a store; the defaults are those of Google's service.

    Attributes:
        max_file_bytes: largest file that may be uploaded.
        max_owner_bytes: most bytes of all uploaded files of one owner.
        expiry: how long a file, or an upload that is not finished, is kept.
    """

    max_file_bytes: int = 2 * 2**30
    max_owner_bytes: int = 20 * 2**30
    expiry: timedelta = timedelta(hours=48)

    def check_size(self, size_bytes: int) -> None:
        """Refuse a size that a file cannot have.

        Raises:
            InvalidRequest: it is negative.
            FileTooLarge: it is larger than `max_file_bytes`.
        """
        if size_bytes < 0:
            raise InvalidRequest(f"* file.size_bytes: {size_bytes} is negative\n", field="file.size_bytes")
        if size_bytes > self.max_file_bytes:
            raise FileTooLarge(
                f"The file has {size_bytes} bytes or more; the largest one allowed has {self.max_file_bytes}.",
                field="file.size_bytes",
            )


def check_file_id(file_id: str) -> str:
    """Return an id that a caller chose for a file: up to 40 lower-case letters, digits and inner dashes.

    Raises:
        BadResourceName: it is something else.
    """
    file_id = parse_resource_id(file_id, "files", field="file.name")
    if len(file_id) > _MAX_ID:
        raise BadResourceName(f"* file.name: {file_id!r} is longer than {_MAX_ID} characters\n", field="file.name")
    return file_id


def check_description(display_name: str, mime_type: str) -> None:
    """Refuse display names and media types that are too long or contain a NUL, which databases cannot store.

    Raises:
        InvalidRequest: one of them is.
    """
    for field, text, longest in (
        ("file.display_name", display_name, _MAX_DISPLAY_NAME),
        ("file.mime_type", mime_type, _MAX_MIME_TYPE),
    ):
        if len(text) > longest:
            raise InvalidRequest(f"* {field}: it is longer than {longest} characters\n", field=field)
        if "\0" in text:
            raise InvalidRequest(f"* {field}: it contains a NUL character\n", field=field)
