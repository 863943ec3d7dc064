"""Batches at Google or at a gemvec server: create, get, list, wait, cancel, delete, update, results.

A batch is never created twice: creating one is retried only if the server has certainly not accepted it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import msgspec

from gemvec.client.api import ApiClient, iterate, read
from gemvec.client.background import run
from gemvec.client.embed import encode_request
from gemvec.client.files import FileClient
from gemvec.client.google import fit_to_google, is_google
from gemvec.client.retries import Outcome
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.target import Target
from gemvec.client.transport import Request, Response, Transport
from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import ApiError, BadAnswer, InvalidRequest, TransportFailure
from gemvec.wire.batches import BatchUpdate, EmbedContentBatch, create_batch_to_wire, parse_batch
from gemvec.wire.jsonl import ResponseLine, parse_response_line
from gemvec.wire.names import parse_model_name, parse_resource_id
from gemvec.wire.operations import Operation, parse_operation, parse_operations

# Requests up to this size are sent inside the call, larger ones as a file. Google's limit is 20 MB.
_INLINE_BYTES = 2 * 2**20

_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS, _POLL_GROWTH = 0.1, 10.0, 1.5

# The largest inline results of a batch, and the longest line of results in a file.
_MAX_RESULT_BYTES = 2**30
_MAX_LINE_BYTES = 16 * 2**20

_SERVER_ERRORS = 500
# The server has not accepted the request, so it may be sent again.
_NOT_ACCEPTED = {429, 503}

# Called with the batch each time its state was fetched.
OnProgress = Callable[[EmbedContentBatch], None]


class BatchClient:
    """The batches of one owner at one server; a context manager. Not for several threads at once.

    Attributes:
        files: the files of the same owner at the same server.
    """

    def __init__(self, target: Target, *, retries: RetryPolicy | None = None) -> None:
        """Open no connection yet.

        Args:
            target: which server, from `find_target`.
            retries: how long to keep trying; None for the default.

        Raises:
            InvalidRequest: the target is this process, which has no batches.
        """
        if target.is_local:
            raise InvalidRequest("Batches need a server: give its base_url.", field="base_url")
        retries = retries or RetryPolicy(attempt_seconds=target.attempt_seconds)
        self._api = ApiClient(Transport(target.base_url, api_key=target.api_key, headers=target.headers), retries)
        self._is_google = is_google(target.base_url)
        self._uploaded: dict[str, str] = {}  # batch id -> the file that was uploaded for it
        self.files = FileClient(target, retries=retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.files.close()
        run(self._api.close())

    def create(
        self,
        model: str,
        requests: Iterable[EmbedRequest],
        *,
        keys: Iterable[str] | None = None,
        display_name: str = "",
        priority: int = 0,
    ) -> EmbedContentBatch:
        """Create a batch of requests; many requests are uploaded as a file.

        Args:
            model: the name to embed with, with or without `models/`.
            requests: what to embed; read once and not kept in memory.
            keys: a key for each request, returned with its result; None for numbers from 0.
            display_name: a human-readable name.
            priority: int64; higher ones go first, if the server has priorities.

        Raises:
            InvalidRequest: a text cannot be sent.
            ApiError: the server refused.
            TransportFailure: the server cannot be reached; or the connection broke and the batch may be there.
        """
        name = parse_model_name(model)
        with tempfile.NamedTemporaryFile(prefix="gemvec-", suffix=".jsonl") as file:
            with open(file.name, "wb") as target:  # noqa: PTH123 - a path beside the one that deletes it
                size = self._write(name, requests, keys, target)
            if size > _INLINE_BYTES:
                return self._create_from_path(name, Path(file.name), display_name, display_name, priority)
            lines = [msgspec.json.decode(line) for line in Path(file.name).read_bytes().splitlines()]
        inline = [{"request": line["request"], "metadata": {"key": line["key"]}} for line in lines]
        return self._create(name, create_batch_to_wire(display_name=display_name, priority=priority, requests=inline))

    def create_from_file(
        self, model: str, file: str | Path, *, display_name: str = "", priority: int = 0
    ) -> EmbedContentBatch:
        """Create a batch from a JSONL file of requests: a path, which is uploaded, or the name of an uploaded file.

        Raises:
            ApiError: the server refused.
            TransportFailure: the server cannot be reached; or the connection broke and the batch may be there.
        """
        name = parse_model_name(model)
        if isinstance(file, Path):
            return self._create_from_path(name, file, file.name, display_name, priority)
        file_id = parse_resource_id(file, "files", field="file")
        return self._create(name, create_batch_to_wire(display_name=display_name, priority=priority, file_id=file_id))

    def get(self, name: str) -> EmbedContentBatch:
        """Describe a batch.

        Raises:
            ApiError: there is no such batch.
        """
        return self._get(name).batch

    def list(self, *, page_size: int = 50) -> Iterator[EmbedContentBatch]:
        """Yield every batch, the newest first, fetching pages as they are needed."""
        pages = self._api.pages("/batches", _batches_of, page_size=page_size, max_answer_bytes=_MAX_RESULT_BYTES)
        for page in iterate(pages):
            yield from page

    def wait(
        self, name: str, *, on_progress: OnProgress | None = None, timeout_seconds: float | None = None
    ) -> EmbedContentBatch:
        """Wait until a batch has ended, successfully or not, and return it.

        Args:
            name: which batch.
            on_progress: called with the batch each time its state was fetched.
            timeout_seconds: how long to wait; None for no limit.

        Raises:
            ApiError: there is no such batch.
            TimeoutError: it has not ended in time.
        """
        give_up_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        pause = _FIRST_POLL_SECONDS
        while True:
            batch = self.get(name)
            if on_progress:
                on_progress(batch)
            if batch.state.is_ended:
                return batch
            if give_up_at is not None and time.monotonic() + pause > give_up_at:
                raise TimeoutError(f"batches/{batch.batch_id} has not ended within {timeout_seconds:g} s.")
            time.sleep(pause)
            pause = min(pause * _POLL_GROWTH, _MAX_POLL_SECONDS)

    def cancel(self, name: str) -> None:
        """Cancel a batch; finished results are kept.

        Raises:
            ApiError: there is no such batch, or it has already ended in another state.
        """
        self._call("POST", f"{_path_of(name)}:cancel")

    def delete(self, name: str) -> None:
        """Delete a batch and the file that this client uploaded for it; a gemvec server also deletes input and results.

        Raises:
            ApiError: there is no such batch.
        """
        self._call("DELETE", _path_of(name))
        if uploaded := self._uploaded.pop(parse_resource_id(name, "batches"), None):
            self._delete_upload(uploaded)

    def update(self, name: str, changes: BatchUpdate) -> EmbedContentBatch:
        """Change a batch's display name, its priority, or both, and return it.

        Raises:
            ApiError: there is no such batch.
        """
        body: dict[str, str] = {}
        if changes.display_name is not None:
            body["displayName"] = changes.display_name
        if changes.priority is not None:
            body["priority"] = str(changes.priority)
        mask = quote(",".join(body))
        path = f"{_path_of(name)}:updateEmbedContentBatch?updateMask={mask}"
        return read(self._call("PATCH", path, body), parse_batch)

    def results(self, name: str) -> Iterator[ResponseLine]:
        """Yield the results of a batch in the order of its requests; nothing until it has ended.

        A batch that did not succeed yields what was finished.

        Raises:
            ApiError: there is no such batch, or its results are gone.
        """
        answer = self._get(name)
        if answer.batch.responses_file is None:
            yield from answer.responses
            return
        with tempfile.TemporaryFile(prefix="gemvec-") as file:
            self.files.download(answer.batch.responses_file, file)
            file.seek(0)
            for line in iter(lambda: file.readline(_MAX_LINE_BYTES), b""):
                yield _result_of(line)

    def _write(self, model: str, requests: Iterable[EmbedRequest], keys: Iterable[str] | None, target: BinaryIO) -> int:
        """Write requests as lines of input and return the number of bytes."""
        named = iter(keys) if keys is not None else None
        for index, request in enumerate(requests):
            key = str(index) if named is None else next(named)
            fitted = fit_to_google(model, request) if self._is_google else request
            encoded = encode_request(model, fitted, index)
            target.write(b'{"key":' + msgspec.json.encode(key) + b',"request":' + encoded + b"}\n")
        return target.tell()

    def _create_from_path(
        self, model: str, path: Path, file_name: str, display_name: str, priority: int
    ) -> EmbedContentBatch:
        """Upload a file and create a batch; the file is deleted with the batch, or at once if the batch is refused."""
        uploaded = self.files.upload(path, display_name=file_name, mime_type="jsonl").name
        try:
            batch = self.create_from_file(model, uploaded, display_name=display_name, priority=priority)
        except ApiError as error:
            if error.code < _SERVER_ERRORS:
                self._delete_upload(uploaded)
            raise
        self._uploaded[batch.batch_id] = uploaded
        return batch

    def _delete_upload(self, name: str) -> None:
        with suppress(ApiError, TransportFailure):  # it expires anyway
            self.files.delete(name)

    def _create(self, model: str, body: dict[str, Any]) -> EmbedContentBatch:
        path = f"/models/{model}:asyncBatchEmbedContent"
        request = Request(method="POST", path=path, body=msgspec.json.encode(body))

        try:
            answer = run(self._api.call(request, may_repeat=_was_not_accepted))
        except TransportFailure as error:
            if not error.connected:
                raise
            hint = "The batch may have been accepted: check the list of batches before you create it again."
            raise TransportFailure(f"{error} {hint}") from error
        return read(answer, parse_operation).batch

    def _get(self, name: str) -> Operation:
        return run(self._api.fetch(_path_of(name), parse_operation, max_answer_bytes=_MAX_RESULT_BYTES))

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Response:
        request = Request(method=method, path=path, body=msgspec.json.encode(body) if body is not None else b"")
        return run(self._api.call(request))


def _was_not_accepted(outcome: Outcome) -> bool:
    """Whether the server has certainly not accepted a request, so that it may be sent again."""
    return outcome.code in _NOT_ACCEPTED if isinstance(outcome, Response) else not outcome.connected


def _batches_of(page: Any) -> list[EmbedContentBatch]:
    return [each.batch for each in parse_operations(page)]


def _result_of(line: bytes) -> ResponseLine:
    try:
        return parse_response_line(line)
    except InvalidRequest as error:
        raise BadAnswer(f"A line of the results is not a result: {error.message.strip()}") from error


def _path_of(name: str) -> str:
    return f"/batches/{parse_resource_id(name, 'batches')}"
