"""Every error gemvec raises.

GemvecError
 + BadSetting              a flag or GEMVEC_* variable has a value that cannot be used
 + MissingDependency       an optional package is needed; the message names the extra to install
 + InvalidRequest          the caller's input is wrong; `field` and `index` say where
 |   + BadResourceName
 |   + BadDimensionality
 |   + EmptyText
 |   + FileTooLarge
 |   + InputTooLong
 |   + TitleNotAllowed
 |   + UnsupportedTaskType
 + KeyMissing              no API key where one is required
 + KeyInvalid              an API key that is not known
 + ModelForbidden          an API key that is not for this model
 + OriginForbidden         a web page of another site, where nobody needs a key
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
 + QuotaExceeded           the caller's share is used up; trying again does not help until something is deleted
 + Overloaded              try again after `retry_after_seconds`
 |   + RateLimited         `violations` say which limits were reached
 + ShuttingDown            the server finishes what it has and takes nothing new
 + ModelUnavailable
 |   + ChecksumMismatch
 |   + WeightsMissing
 |   + UnsupportedModel
 + StorageFailure          the detail is logged, never sent
 |   + StorageFull
 |   + DataLost             trying again cannot help
 + TransportFailure        client side: no answer came (refused, timed out, broke off)
 + ApiError                client side: what a server answered (code, status, message, details)

To catch whatever gemvec can raise, catch `GemvecError`. This module must never know HTTP: the
server's table from these classes to statuses is `server/errors.py`.
"""

from __future__ import annotations

from typing import Any


class GemvecError(Exception):
    """Something went wrong in gemvec."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message if message is not None else type(self).summary()
        super().__init__(self.message)

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the class' docstring: what is said when nobody says more."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling whatever the constructor takes, so that errors cross processes whole."""
        return (_rebuild, (type(self), self.message, self.__dict__))


def _rebuild(kind: type[GemvecError], message: str, state: dict[str, Any]) -> GemvecError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class BadSetting(GemvecError):
    """A setting has a value that cannot be used."""


class MissingDependency(GemvecError):
    """An optional package is needed for this."""


class InvalidRequest(GemvecError):
    """The request is not valid.

    Attributes:
        field: path of the offending field in proto spelling (`requests[0].task_type`), or None.
        index: position of the offending item among those of one call, or None.
    """

    def __init__(self, message: str | None = None, *, field: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.index = index


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


class TitleNotAllowed(InvalidRequest):
    """A title goes only with the task type RETRIEVAL_DOCUMENT."""


class UnsupportedTaskType(InvalidRequest):
    """The model does not take this task type."""


class KeyMissing(GemvecError):
    """An API key is required."""


class KeyInvalid(GemvecError):
    """The API key is not valid."""


class ModelForbidden(GemvecError):
    """The API key may not use this model."""


class OriginForbidden(GemvecError):
    """A web page of another site may not call this server, which asks for no key; --allow-origin lets it."""


class NotFound(GemvecError):
    """What was asked for does not exist."""


class ModelNotFound(NotFound):
    """The model is not served here.

    Attributes:
        name: the model name as the caller gave it, without `models/`.
    """

    def __init__(self, message: str | None = None, *, name: str = "") -> None:
        super().__init__(message)
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


class QuotaExceeded(GemvecError):
    """There is no room for this file within your quota; delete files or wait until some expire."""


class Overloaded(GemvecError):
    """Too much work is waiting.

    Attributes:
        retry_after_seconds: when trying again makes sense.
    """

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(Overloaded):
    """A rate limit was reached.

    Attributes:
        violations: one `(metric, quota_id, model, limit)` for each limit that was reached.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_seconds: float = 1.0,
        violations: tuple[tuple[str, str, str, int], ...] = (),
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.violations = violations


class ShuttingDown(GemvecError):
    """The server is shutting down; try again.

    Attributes:
        retry_after_seconds: when trying again makes sense.
    """

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ModelUnavailable(GemvecError):
    """The model cannot be used."""


class ChecksumMismatch(ModelUnavailable):
    """A model file is not the one the catalogue names."""


class WeightsMissing(ModelUnavailable):
    """The model's weights could not be found or fetched."""


class UnsupportedModel(ModelUnavailable):
    """The model's architecture or files are not ones gemvec can run."""


class StorageFailure(GemvecError):
    """Stored data could not be read or written."""


class StorageFull(StorageFailure):
    """There is no room left to store data."""


class DataLost(StorageFailure):
    """Stored data is gone or damaged."""


class TransportFailure(GemvecError):
    """No answer came from the server.

    Attributes:
        connected: whether a connection stood; False when nothing listens at the address.
    """

    def __init__(self, message: str | None = None, *, connected: bool = True) -> None:
        super().__init__(message)
        self.connected = connected


class ApiError(GemvecError):
    """A server answered with an error.

    Attributes:
        code: HTTP status code.
        status: canonical status name, such as `RESOURCE_EXHAUSTED`.
        details: the answer's `error.details`; where they name a text, by its position in the caller's one call.
        index: position of the offending text among those of the caller's one call, or None.
    """

    def __init__(
        self, code: int, status: str, message: str, details: list[Any] | None = None, *, index: int | None = None
    ) -> None:
        super().__init__(f"{code} {status}: {message}")
        self.code = code
        self.status = status
        self.details = details or []
        self.index = index
