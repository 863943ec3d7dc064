"""Files at Google or at a gemvec server: upload, list, get, download, delete.

Bytes flow between disk and network a block at a time. A transfer that breaks off goes on where it stopped: an upload
asks the server how much has arrived, a download asks for the rest.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit, urlunsplit

import httpx

import gemvec
from gemvec.client.retries import RetryPolicy, is_transient, next_delay
from gemvec.client.status import ErrorAnswer, parse_error
from gemvec.client.target import Target
from gemvec.client.transport import Response
from gemvec.errors import ApiError, BadSetting, TransportFailure
from gemvec.wire.files import FileResource, parse_file
from gemvec.wire.message import parse_message
from gemvec.wire.names import parse_resource_id

CHUNK_BYTES = 8 * 2**20  # Google takes multiples of 256 KiB; its SDKs send 8 MiB
_BLOCK_BYTES = 2**18
_PARTIAL_CONTENT = 206

# Called with the number of bytes moved so far, and of all.
Progress = Callable[[int, int], None]


class FileClient:
    """The files of one owner at one server; a context manager. Not for several threads at once."""

    def __init__(self, target: Target, *, retries: RetryPolicy | None = None) -> None:
        """Open nothing yet.

        Args:
            target: which server, from `find_target`.
            retries: how long to keep trying while nothing moves; the usual when None.

        Raises:
            BadSetting: the target is this process, which keeps no files.
        """
        if target.is_local:
            raise BadSetting("Files are kept by a server, not in this process: give its address as the base URL.")
        self._retries = retries or RetryPolicy()
        self._base_url = target.base_url
        self._keys = {**target.headers, **({"x-goog-api-key": target.api_key} if target.api_key else {})}
        self._http = httpx.Client(
            headers={"user-agent": f"gemvec/{gemvec.__version__}"},
            timeout=self._retries.attempt_seconds,
            follow_redirects=True,  # Google's downloads are elsewhere
            event_hooks={"request": [self._keep_keys]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(
        self,
        path: Path,
        *,
        file_id: str | None = None,
        display_name: str = "",
        mime_type: str = "",
        progress: Progress | None = None,
    ) -> FileResource:
        """Upload a file in chunks.

        Args:
            path: what to upload.
            file_id: the id to give it; None to have one made.
            display_name: a name for people.
            mime_type: what it is; any string.
            progress: told after each chunk.

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
            answer = self._send_all(url, source, size, progress)
        uploaded = parse_message(answer.content).take_message("file")
        if uploaded is None:
            raise TransportFailure("The server took the file and did not say what became of it.")
        return parse_file(uploaded)

    def get(self, name: str) -> FileResource:
        """Describe a file.

        Raises:
            ApiError: there is no such file.
        """
        return parse_file(parse_message(self._call("GET", self._url_of(name)).content))

    def list(self, *, page_size: int = 100) -> Iterator[FileResource]:
        """Yield every file, fetching pages as they are needed."""
        token: str | None = None
        while True:
            params = {"pageSize": str(page_size)} | ({"pageToken": token} if token else {})
            page = parse_message(self._call("GET", f"{self._base_url}/files", params=params).content)
            yield from (parse_file(file) for file in page.take_messages("files"))
            token = page.take_text("next_page_token")
            if not token:
                return

    def delete(self, name: str) -> None:
        """Delete a file.

        Raises:
            ApiError: there is no such file.
        """
        self._call("DELETE", self._url_of(name))

    def download(self, name: str, target: BinaryIO, *, progress: Progress | None = None) -> int:
        """Write a file's bytes to `target`, which can seek, and return how many they are.

        Raises:
            ApiError: there is no such file, or it is not for downloading (Google gives out generated files only).
            TransportFailure: the server cannot be reached, or not any more.
        """
        url, patience, etag = self._url_of(name) + ":download", _Patience(self._retries), ""
        while True:
            start = target.tell()
            # Compressed, it would have other offsets than the file.
            headers = self._keys | {"accept-encoding": "identity"}
            if start and etag:
                headers |= {"range": f"bytes={start}-", "if-range": etag}
            try:
                with self._streaming("GET", url, params={"alt": "media"}, headers=headers) as answer:
                    etag = answer.headers.get("etag", "")
                    if answer.status_code != _PARTIAL_CONTENT:
                        start = target.seek(0)
                        target.truncate()
                    total = start + int(answer.headers.get("content-length", 0))
                    for block in answer.iter_bytes(_BLOCK_BYTES):
                        target.write(block)
                        patience.renew()
                        if progress:
                            progress(target.tell(), total)
                return target.tell()
            except (ApiError, TransportFailure) as error:
                patience.wait(error)

    def _start(self, file: dict[str, Any], size: int) -> str:
        """Begin an upload and return where it goes on."""
        root, _, version = self._base_url.rpartition("/")
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(size),
            "X-Goog-Upload-Header-Content-Type": file.get("mimeType", ""),
        }
        answer = self._call("POST", f"{root}/upload/{version}/files", json={"file": file}, headers=headers)
        url: str | None = answer.headers.get("x-goog-upload-url")
        if not url:
            raise TransportFailure("The server did not say where to send the file.")
        # As Google's SDKs do: behind a proxy the server does not know the address it is reached by.
        here, there = urlsplit(self._base_url), urlsplit(url)
        return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))

    def _send_all(self, url: str, source: BinaryIO, size: int, progress: Progress | None) -> httpx.Response:
        patience = _Patience(self._retries)
        received: int | None = 0
        while True:
            try:
                received = self._received(url) if received is None else received
                answer = self._send_chunk(url, source, received, size)
            except (ApiError, TransportFailure) as error:
                patience.wait(error)
                received = None
                continue
            patience.renew()
            is_final = answer.headers.get("x-goog-upload-status") == "final"
            received = size if is_final else received + CHUNK_BYTES
            if progress:
                progress(received, size)
            if is_final:
                return answer

    def _received(self, url: str) -> int:
        """Return how much of an upload has arrived."""
        answer = self._once("POST", url, headers={"X-Goog-Upload-Command": "query"})
        return int(answer.headers.get("x-goog-upload-size-received", 0))

    def _send_chunk(self, url: str, source: BinaryIO, offset: int, size: int) -> httpx.Response:
        source.seek(offset)
        chunk = source.read(CHUNK_BYTES)
        command = "upload" if offset + len(chunk) < size else "upload, finalize"
        headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}
        return self._once("POST", url, content=chunk, headers=headers)  # the URL is the secret: no key

    def _url_of(self, name: str) -> str:
        return f"{self._base_url}/files/{parse_resource_id(name, 'files')}"

    def _call(self, method: str, url: str, *, headers: dict[str, str] | None = None, **content: Any) -> httpx.Response:
        """Send a request with the key until it is answered for good."""
        patience = _Patience(self._retries)
        while True:
            try:
                return self._once(method, url, headers=self._keys | (headers or {}), **content)
            except (ApiError, TransportFailure) as error:
                patience.wait(error)

    def _once(self, method: str, url: str, **content: Any) -> httpx.Response:
        with self._streaming(method, url, **content) as answer:
            answer.read()
            return answer

    @contextmanager
    def _streaming(self, method: str, url: str, **content: Any) -> Generator[httpx.Response]:
        """Send a request; give the answer before its body, or raise what it says went wrong."""
        try:
            with self._http.stream(method, url, **content) as answer:
                if not answer.is_success:
                    body = answer.read()
                    raise parse_error(Response(code=answer.status_code, headers=answer.headers, body=body)).to_error()
                yield answer
        except httpx.RequestError as error:
            connected = not isinstance(error, httpx.ConnectError)
            where = "broke off" if connected else "does not answer"
            raise TransportFailure(f"{self._base_url} {where}: {error}", connected=connected) from error

    def _keep_keys(self, request: httpx.Request) -> None:
        """Take the keys off a request that a redirect sends to another server."""
        if _origin_of(request.url) != _origin_of(httpx.URL(self._base_url)):
            for name in self._keys:
                request.headers.pop(name, None)


def _origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


class _Patience:
    """How long to keep trying while nothing moves."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self.renew()

    def renew(self) -> None:
        """Note that something moved."""
        self._attempts, self._since = 0, time.monotonic()

    def wait(self, error: ApiError | TransportFailure) -> None:
        """Wait before the next try.

        Raises:
            ApiError: trying again would change nothing, or it has been tried for long enough.
            TransportFailure: it has been tried for long enough.
        """
        hint, patience = None, self._policy.timeout_seconds
        if isinstance(error, ApiError):
            if not is_transient(error.code):
                raise error
            hint = ErrorAnswer(code=0, status="", message="", details=error.details).retry_after_seconds
        elif not error.connected:
            patience = min(patience, self._policy.unreachable_seconds)
        self._attempts += 1
        delay = next_delay(self._policy, attempt=self._attempts, hint=hint, jitter=random.random())  # noqa: S311 - no secret
        if time.monotonic() - self._since + delay >= patience:
            raise error
        time.sleep(delay)
