"""Limits of files: sizes, names, how long they are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from gemvec.errors import BadResourceName, FileTooLarge, InvalidRequest, QuotaExceeded
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerLimits:
    """What one owner may have at a time: an API key, or all callers without one.

    Attributes:
        open_uploads: uploads that were begun and are not finished.
        open_batches: batches that have not ended.
        stored_bytes: files, and the inputs and results of batches.
        priority: the highest that a batch may have.
    """

    open_uploads: int = 1000
    open_batches: int = 1000
    stored_bytes: int = 200 * 2**30
    priority: int = 2**63 - 1

    def check_open_uploads(self, count: int) -> None:
        """Refuse if there would be too many open uploads.

        Raises:
            QuotaExceeded: `count` is too many.
        """
        advice = "finish or cancel some, or wait until they expire"
        _check("open_uploads", count, self.open_uploads, f"One API key may have {{most}} uploads open: {advice}.")

    def check_open_batches(self, count: int) -> None:
        """Refuse if there would be too many open batches.

        Raises:
            QuotaExceeded: `count` is too many.
        """
        advice = "wait until some have ended"
        _check("open_batches", count, self.open_batches, f"One API key may have {{most}} batches open: {advice}.")

    def check_stored_bytes(self, size_bytes: int) -> None:
        """Refuse if more would be kept than is allowed.

        Raises:
            QuotaExceeded: `size_bytes` is too much.
        """
        advice = "delete files or batches, or wait until some expire"
        words = f"Files, inputs and results would be {{count}} bytes, and one API key may keep {{most}}: {advice}."
        _check("stored_bytes", size_bytes, self.stored_bytes, words)

    def check_priority(self, priority: int) -> None:
        """Refuse a priority that is too high.

        Raises:
            InvalidRequest: it is.
        """
        if priority > self.priority:
            raise InvalidRequest(
                f"* batch.priority: is {priority}, and this API key may use {self.priority} at most\n",
                field="batch.priority",
            )


def _check(limit: str, count: int, most: int, words: str) -> None:
    if count > most:
        raise QuotaExceeded(words.format(count=count, most=most), limit=limit, most=most)


# Says what an owner may have.
LimitsOf = Callable[[str], OwnerLimits]


def usual_limits(owner: str) -> OwnerLimits:  # noqa: ARG001 - all owners are alike
    """Return the limits of an owner where nobody has set any."""
    return OwnerLimits()


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
