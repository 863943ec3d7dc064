"""Every error that gemvec raises.

GemvecError
 + BadSetting              a flag or GEMVEC_* variable has a value that cannot be used
 + MissingDependency       an optional package is needed; the message names the extra to install
 + InvalidRequest          the caller's input is wrong; `field` and `index` say where
 |   + BadResourceName
 |   + BadDimensionality
 |   + EmptyText
 |   + FileTooLarge
 |   + InputTooLong
 |   + TextNotComputed
 |   + TitleNotAllowed
 |   + UnsupportedTaskType
 + KeyMissing              no API key where one is required
 + KeyInvalid              an API key that is not valid
 + ModelForbidden          an API key that is not for this model
 + AdminKeyNeeded          an API key that may not see what concerns all callers
 + OriginForbidden         a web page of another site, where nobody needs a key
 + KeyChangesForbidden     keys cannot be changed by this call
 + NotFound
 |   + ModelNotFound
 |   + UploadedFileNotFound
 |   + UploadNotFound
 |   + BatchNotFound
 |   + CollectionNotFound
 + AlreadyExists           a name that the caller chose is taken
 |   + FileAlreadyExists
 + FailedPrecondition      the request is right, the state of the thing it names is not
 |   + UploadNotActive
 |   + BatchNotCancellable
 |   + FingerprintMismatch
 |   + DataFolderLocked
 |   + StoreMismatch
 + QuotaExceeded           the caller's quota is used up; retrying does not help until something is deleted
 + Overloaded              try again after `retry_after_seconds`
 |   + RateLimited         `violations` say which limits were reached
 + ShuttingDown            the server finishes what it has and takes nothing new
 + ModelUnavailable
 |   + ChecksumMismatch
 |   + WeightsMissing
 |   + UnsupportedModel
 |   + ClusterUnavailable
 + StorageFailure          the detail is logged, never sent
 |   + StorageFull
 |   + HoldLost             another server has taken over what this one held
 |   + BeingRepaired        damaged results are being computed again
 |   + DataLost             trying again cannot help
 + TransportFailure        client side: no answer came (refused, timed out, broke off)
 + ApiError                client side: what a server answered (code, status, message, details)
 |   + BadAnswer           it is not what its API promises

`GemvecError` catches everything that gemvec raises. This module must never know HTTP: the
server's table from these classes to statuses is `server/errors.py`.
"""

from __future__ import annotations

from typing import Any

# There is no release to install by name yet.
_INSTALL = "Install it from a checkout of gemvec: pip install '.[{extra}]'"


def how_to_install(extra: str) -> str:
    """Return a sentence that says how to install one of gemvec's extras."""
    return _INSTALL.format(extra=extra)


class GemvecError(Exception):
    """Something went wrong in gemvec.

    Attributes:
        reason: what went wrong, as it was raised.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason if reason is not None else type(self).summary()
        super().__init__(self.reason)

    @property
    def message(self) -> str:
        """The message to show: the reason with the error's data filled in."""
        return self.reason

    def __str__(self) -> str:
        return self.message

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the class' docstring, which is the default message."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Make every error picklable, whatever its constructor takes, so that errors can cross processes.

        Of its cause, only an error of the system or of gemvec goes with it: others may not be picklable.
        """
        cause = self.__cause__ if isinstance(self.__cause__, (OSError, GemvecError)) else None
        return (_rebuild, (type(self), self.reason, self.__dict__, cause))


def _rebuild(
    kind: type[GemvecError], reason: str, state: dict[str, Any], cause: BaseException | None = None
) -> GemvecError:
    error = kind.__new__(kind)
    Exception.__init__(error, reason)
    error.__dict__.update(state)
    error.__cause__ = cause
    return error


class BadSetting(GemvecError):
    """A setting has a value that cannot be used."""


class MissingDependency(GemvecError):
    """An optional package is needed for this.

    Attributes:
        extra: the extra of gemvec that brings it, such as `server`.
    """

    def __init__(self, message: str | None = None, *, extra: str = "all") -> None:
        super().__init__(f"{message or type(self).summary()} {how_to_install(extra)}")
        self.extra = extra


class InvalidRequest(GemvecError):
    """The request is not valid.

    Every room that passes the error on may set `index` and `field` to what its own caller knows, and the message
    follows. In the reason, `{field}` is replaced by the name of the field:

    >>> error = InvalidRequest("{field} is 5000, expected 1 to 3072.", field="output_dimensionality", index=2)
    >>> error.field = "dimensions"
    >>> error.message
    'dimensions is 5000, expected 1 to 3072.'

    Attributes:
        field: the wrong field as the caller knows it: an option's name (`task_type`) or a path in proto spelling
            (`requests[0].task_type`); or None.
        index: position of the wrong item in the caller's call, or None.
    """

    def __init__(self, reason: str | None = None, *, field: str | None = None, index: int | None = None) -> None:
        super().__init__(reason)
        self.field = field
        self.index = index

    @property
    def message(self) -> str:
        """The reason with the name of the field in it."""
        return self.reason.replace("{field}", self.field or "the value")


class BadResourceName(InvalidRequest):
    """The resource name is not well formed."""


class BadDimensionality(InvalidRequest):
    """The output dimensionality is not possible for this model."""


class EmptyText(InvalidRequest):
    """The text to embed is empty."""


class FileTooLarge(InvalidRequest):
    """The file is larger than one file may be."""


class InputTooLong(InvalidRequest):
    """The text has more tokens than the model takes, and truncation was declined."""


class TextNotComputed(InvalidRequest):
    """The text could not be embedded, on whatever node and however often it was tried."""

    @property
    def message(self) -> str:
        """What it means for the text's document."""
        return f"it cannot be embedded: {self.reason}"


class TitleNotAllowed(InvalidRequest):
    """A title requires the task type RETRIEVAL_DOCUMENT."""


class UnsupportedTaskType(InvalidRequest):
    """The model does not take this task type."""


class KeyMissing(GemvecError):
    """An API key is required."""


class KeyInvalid(GemvecError):
    """The API key is not valid."""


class ModelForbidden(GemvecError):
    """The API key may not use this model."""


class AdminKeyNeeded(GemvecError):
    """This is for admin keys: gemvec keys create --admin."""


class OriginForbidden(GemvecError):
    """A web page of another site may not call this server, which needs no key; --allow-origin allows it."""


class KeyChangesForbidden(GemvecError):
    """The server was not started so that keys can be changed by a call, or the caller has no admin key."""


class NotFound(GemvecError):
    """What was asked for does not exist."""


class ModelNotFound(NotFound):
    """The model is not served here.

    Attributes:
        name: the model name as the caller gave it, without `models/`.
    """

    def __init__(self, reason: str | None = None, *, name: str = "") -> None:
        super().__init__(reason)
        self.name = name


class UploadedFileNotFound(NotFound):
    """The file does not exist or has expired."""


class UploadNotFound(NotFound):
    """The upload does not exist or has expired; start again."""


class BatchNotFound(NotFound):
    """The batch does not exist."""


class CollectionNotFound(NotFound):
    """The Milvus collection does not exist."""


class AlreadyExists(GemvecError):
    """The name is taken."""


class FileAlreadyExists(AlreadyExists):
    """A file with this name exists; delete it first or choose another name."""


class FailedPrecondition(GemvecError):
    """The request cannot be carried out in the present state."""


class UploadNotActive(FailedPrecondition):
    """The upload was cancelled, is complete, or is continued by another request."""


class BatchNotCancellable(FailedPrecondition):
    """The batch has already ended."""


class FingerprintMismatch(FailedPrecondition):
    """The collection was filled by another model or with other options; their vectors do not mix."""


class DataFolderLocked(FailedPrecondition):
    """Another gemvec server uses this data folder."""


class StoreMismatch(FailedPrecondition):
    """The data folder and the database belong to different stores."""


class QuotaExceeded(GemvecError):
    """There is no room for this file within your quota; delete files or wait until some expire.

    Attributes:
        limit: which limit was reached: `open_uploads`, `open_batches`, `stored_bytes`; "" for that of uploaded files.
        most: its value.
    """

    def __init__(self, reason: str | None = None, *, limit: str = "", most: int = 0) -> None:
        super().__init__(reason)
        self.limit = limit
        self.most = most


class Overloaded(GemvecError):
    """Too much work is waiting.

    Attributes:
        retry_after_seconds: when trying again makes sense.
    """

    def __init__(self, reason: str | None = None, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(Overloaded):
    """A rate limit was reached.

    Attributes:
        violations: one `(metric, quota_id, model, limit)` for each limit that was reached.
    """

    def __init__(
        self,
        reason: str | None = None,
        *,
        retry_after_seconds: float = 1.0,
        violations: tuple[tuple[str, str, str, int], ...] = (),
    ) -> None:
        super().__init__(reason, retry_after_seconds=retry_after_seconds)
        self.violations = violations


class ShuttingDown(GemvecError):
    """The server is shutting down; try again.

    Attributes:
        retry_after_seconds: when trying again makes sense.
    """

    def __init__(self, reason: str | None = None, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class ModelUnavailable(GemvecError):
    """The model cannot be used."""


class ChecksumMismatch(ModelUnavailable):
    """A model file is not the one the catalogue names."""


class WeightsMissing(ModelUnavailable):
    """The model's weights could not be found or fetched."""


class UnsupportedModel(ModelUnavailable):
    """The model's architecture or files are not ones gemvec can run."""


class ClusterUnavailable(ModelUnavailable):
    """The cluster that computes batches cannot be used now."""


class StorageFailure(GemvecError):
    """Stored data could not be read or written.

    Attributes:
        retry_after_seconds: when trying again makes sense; None where it does not.
    """

    retry_after_seconds: float | None = 5.0


class StorageFull(StorageFailure):
    """There is no room left to store data."""


class HoldLost(StorageFailure):
    """Another server has taken over from this one.

    One that shares the store joins again by itself; one that had it alone must be restarted.
    """


class BeingRepaired(StorageFailure):
    """The results were damaged and are being computed again; try again in a moment."""


class DataLost(StorageFailure):
    """Stored data is gone or damaged."""

    retry_after_seconds = None


class TransportFailure(GemvecError):
    """No answer came from the server.

    Attributes:
        connected: whether a connection was established; False if nothing listens at the address.
    """

    def __init__(self, reason: str | None = None, *, connected: bool = True) -> None:
        super().__init__(reason)
        self.connected = connected


class ApiError(GemvecError):
    """A server answered with an error.

    Attributes:
        reason: the server's message, in which positions are those in the server's call.
        code: HTTP status code.
        status: canonical status name, such as `RESOURCE_EXHAUSTED`.
        details: the answer's `error.details`, with paths that agree with `index`.
        index: position of the refused text in the caller's call, or None.
        field: the wrong field of that text's request, such as `content`, if the server says so.
    """

    def __init__(
        self,
        code: int,
        status: str,
        reason: str,
        details: list[Any] | None = None,
        *,
        index: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.status = status
        self.details = details or []
        self.index = index
        self.field = field

    @property
    def message(self) -> str:
        """Code, status, the server's message, and the text that is meant."""
        where = "" if self.index is None else f" (text {self.index} of this call)"
        return f"{self.code} {self.status}: {self.reason.rstrip()}{where}"


class BadAnswer(ApiError):
    """A server's answer is not what its API promises."""

    def __init__(self, reason: str | None = None, *, index: int | None = None) -> None:
        # The HTTP code for an invalid answer of another server; a gateway may pass it on.
        super().__init__(502, "INTERNAL", reason or self.summary(), index=index)
