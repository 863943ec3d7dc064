"""Files at Google or at a gemvec server: upload, list, get, download, delete.

Bytes are moved between disk and network one block at a time. A broken transfer is resumed: an upload asks the server
how much has arrived, a download asks for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from gemvec.client.api import ApiClient, iterate, read
from gemvec.client.background import run
from gemvec.client.retries import is_transient
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.target import Target
from gemvec.client.transport import Request, Response, Transport
from gemvec.errors import BadAnswer, BadSetting, InvalidRequest, TransportFailure
from gemvec.wire import message
from gemvec.wire.files import CreateFileResponse, File, ListFilesResponse, parse_file
from gemvec.wire.names import parse_resource_id

PIECE_BYTES = 8 * 2**20  # Google takes multiples of 256 KiB; its SDKs send 8 MiB
_PARTIAL_CONTENT = 206

# Called with the bytes moved so far and the total; during a download, from another thread.
Progress = Callable[[int, int], None]


class FileClient:
    """The files of one owner at one server; a context manager. Not for several threads at once."""

    def __init__(self, target: Target, *, retries: RetryPolicy | None = None) -> None:
        """Open no connection yet.

        Args:
            target: which server, from `find_target`.
            retries: how long to keep trying while nothing moves; None for the default.

        Raises:
            BadSetting: the target is this process, which has no files.
        """
        if target.is_local:
            raise BadSetting("Files need a server: give its address as the base URL.")
        self._api = ApiClient(
            Transport(target.base_url, api_key=target.api_key, headers=target.headers),
            retries or RetryPolicy(attempt_seconds=target.attempt_seconds),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        run(self._api.close())

    def upload(
        self,
        path: Path,
        *,
        file_id: str | None = None,
        display_name: str = "",
        mime_type: str = "",
        progress: Progress | None = None,
    ) -> File:
        """Upload a file in pieces.

        Args:
            path: what to upload.
            file_id: the file's id; None to let the server choose one.
            display_name: a human-readable name.
            mime_type: its media type; any string.
            progress: called after each piece.

        Raises:
            ApiError: the server refused.
            TransportFailure: the server cannot be reached, or not any more.
        """
        named = {"displayName": display_name, "mimeType": mime_type}
        if file_id:
            named["name"] = f"files/{parse_resource_id(file_id, 'files')}"
        with path.open("rb") as source:
            size = source.seek(0, 2)
            url = self._start({name: value for name, value in named.items() if value}, size)
            upload = _Upload(self._api, url, source, size)
            while True:
                answer = run(self._api.repeat(upload.send_piece))
                if progress:
                    progress(upload.received or 0, size)
                if upload.is_complete:
                    return read(answer, _uploaded_file_of)

    def get(self, name: str) -> File:
        """Describe a file.

        Raises:
            ApiError: there is no such file.
        """
        return run(self._api.fetch(_path_of(name), parse_file))

    def list(self, *, page_size: int = 100) -> Iterator[File]:
        """Yield every file, fetching pages as they are needed."""
        for page in iterate(self._api.pages("/files", _files_of, page_size=page_size)):
            yield from page

    def delete(self, name: str) -> None:
        """Delete a file.

        Raises:
            ApiError: there is no such file.
        """
        run(self._api.call(Request(method="DELETE", path=_path_of(name))))

    def download(self, name: str, target: BinaryIO, *, progress: Progress | None = None) -> int:
        """Write a file's bytes to `target`, which must be seekable, and return their number.

        Raises:
            ApiError: there is no such file, or it cannot be downloaded (Google allows it for generated files only).
            TransportFailure: the server cannot be reached, or not any more.
        """
        download = _Download(self._api, f"{_path_of(name)}:download?alt=media", target, progress)
        while not download.is_complete:
            run(self._api.repeat(download.receive))
        return target.tell()

    def _start(self, file: dict[str, str], size: int) -> str:
        """Start an upload and return where to send its bytes."""
        base_url = self._api.transport.base_url
        root, _, version = base_url.rpartition("/")
        request = Request(
            method="POST",
            path=f"{root}/upload/{version}/files",
            body=msgspec.json.encode({"file": file}),
            headers={
                "X-Goog-Upload-Protocol": "resumable",
                "X-Goog-Upload-Command": "start",
                "X-Goog-Upload-Header-Content-Length": str(size),
                "X-Goog-Upload-Header-Content-Type": file.get("mimeType", ""),
            },
        )
        url = run(self._api.call(request)).headers.get("x-goog-upload-url")
        if not url:
            raise BadAnswer("The server did not say where to send the file.")
        # As Google's SDKs do: a server behind a proxy does not know its own address.
        try:
            here, there = urlsplit(base_url), urlsplit(url)
        except ValueError:
            raise BadAnswer("The server says to send the file to something that is not an address.") from None
        return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))


@dataclass(slots=True)
class _Upload:
    """An upload that was started.

    Attributes:
        received: how many bytes have arrived; None if only the server knows.
        is_complete: whether the server has them all.
    """

    api: ApiClient
    url: str  # the URL is itself the secret: no key is sent with it
    source: BinaryIO
    size: int
    received: int | None = 0
    is_complete: bool = False

    async def send_piece(self, seconds: float) -> Response:
        """Send the next piece once; after a failure, first ask the server where it starts."""
        try:
            answer = await self._send_piece(seconds)
        except TransportFailure:
            self.received = None
            raise
        if is_transient(answer):
            self.received = None
        return answer

    async def _send_piece(self, seconds: float) -> Response:
        if self.received is None:
            answer = await self._send(seconds, "query")
            if not answer.is_success:
                return answer
            self.received = _received_of(answer, self.size)
        offset = self.received
        piece = await asyncio.to_thread(self._read, offset)
        command = "upload" if offset + len(piece) < self.size else "upload, finalize"
        answer = await self._send(seconds, command, {"X-Goog-Upload-Offset": str(offset)}, piece)
        if answer.is_success:
            self.is_complete = answer.headers.get("x-goog-upload-status") == "final"
            self.received = self.size if self.is_complete else offset + len(piece)
            if self.received == self.size and not self.is_complete:
                raise BadAnswer("The server accepted the last piece of the file and expects more.")
        return answer

    async def _send(
        self, seconds: float, command: str, headers: dict[str, str] | None = None, piece: bytes = b""
    ) -> Response:
        request = Request(
            method="POST",
            path=self.url,
            body=piece,
            headers={"Content-Type": "application/octet-stream", "X-Goog-Upload-Command": command, **(headers or {})},
            has_key=False,
            is_long=bool(piece),
        )
        return await self.api.transport.send(request, timeout_seconds=seconds)

    def _read(self, offset: int) -> bytes:
        self.source.seek(offset)
        return self.source.read(PIECE_BYTES)


class _Download:
    """A download into a file.

    Attributes:
        is_complete: whether every byte is there.
    """

    def __init__(self, api: ApiClient, path: str, target: BinaryIO, progress: Progress | None) -> None:
        self.is_complete = False
        self._api = api
        self._path = path
        self._target = target
        self._progress = progress
        self._etag = ""
        self._total = 0
        self._furthest = 0

    async def receive(self, seconds: float) -> Response:
        """Ask once for what is missing. If the transfer breaks after new bytes arrived, that is not a failure."""
        start, furthest = self._target.tell(), self._furthest
        # Offsets in a compressed body would differ from those in the file.
        headers = {"Accept-Encoding": "identity"}
        if start and self._etag:
            headers |= {"Range": f"bytes={start}-", "If-Range": self._etag}
        request = Request(method="GET", path=self._path, headers=headers, is_long=True)
        try:
            answer = await self._api.transport.send(request, timeout_seconds=seconds, sink=self._open)
        except TransportFailure:
            if self._furthest > furthest:
                return Response(code=_PARTIAL_CONTENT)
            raise
        self.is_complete = answer.is_success
        return answer

    def _open(self, answer: Response) -> Callable[[bytes], None]:
        etag = answer.headers.get("etag", "")
        self._etag = "" if etag.startswith("W/") else etag  # a weak ETag does not promise the same bytes
        start = self._target.tell()
        if answer.code != _PARTIAL_CONTENT:
            start = self._target.seek(0)
            self._target.truncate()
        elif not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
            raise BadAnswer(f"Asked for the bytes from {start} and got {answer.headers.get('content-range')!r}.")
        length = answer.headers.get("content-length", "")
        self._total = start + int(length) if length.isdecimal() else 0
        return self._write

    def _write(self, block: bytes) -> None:
        self._target.write(block)
        self._furthest = max(self._furthest, self._target.tell())
        if self._progress:
            self._progress(self._target.tell(), self._total)


def _received_of(answer: Response, size: int) -> int:
    """Return how many of an upload's `size` bytes have arrived.

    Raises:
        BadAnswer: the server does not say so.
    """
    received = answer.headers.get("x-goog-upload-size-received", "0")
    if not received.isdecimal() or len(received) > len(str(size)) or int(received) > size:
        raise BadAnswer(f"The server has received {received!r} of {size} bytes.")
    return int(received)


def _uploaded_file_of(answer: Any) -> File:
    file = message.read(CreateFileResponse, answer, ignore_unknown=True).file
    if file is None:
        raise InvalidRequest("it does not describe the file")
    return file


def _files_of(page: Any) -> list[File]:
    return message.read(ListFilesResponse, page, ignore_unknown=True).files or []


def _path_of(name: str) -> str:
    return f"/files/{parse_resource_id(name, 'files')}"
