"""files.get, files.list, files.delete, the download of bytes, and what other modules need to serve files."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gemvec.batches.store import RESULTS_PREFIX
from gemvec.errors import BatchNotFound, BeingRepaired, DataLost
from gemvec.files.content import FileContent
from gemvec.files.file import StoredFile
from gemvec.files.store import FileStore
from gemvec.logs import get_logger
from gemvec.server.bodies import answer, read_query
from gemvec.server.context import services_of
from gemvec.server.streams import follow
from gemvec.storage.threads import in_database_thread, in_file_thread
from gemvec.wire.files import File, ListFilesResponse
from gemvec.wire.message import to_wire
from gemvec.wire.names import parse_resource_id
from gemvec.wire.paging import PageQuery
from gemvec.wire.status import error_to_wire

log = get_logger("files")

# Hundreds of downloads may start at once. A separate thread for each would take the interpreter from interactive calls.
_readers = ThreadPoolExecutor(2, thread_name_prefix="gemvec-downloads")
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(; ?[\w-]+=[\w.-]+)*", re.ASCII)
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206


def files_of(request: Request) -> FileStore:
    """Return the store of files of the server that `request` came to."""
    return services_of(request).files


async def get_file(request: Request) -> Response:
    """Describe a file."""
    file = await in_database_thread(files_of(request).get, _file_id(request), request.state.owner)
    return answer(request, to_wire(resource_of(request, file)))


async def list_files(request: Request) -> Response:
    """List the caller's files."""
    query = read_query(request, PageQuery)
    store, owner = files_of(request), request.state.owner
    page = await in_database_thread(store.list, owner, page_size=query.page_size, page_token=query.page_token)
    # An empty list or token is left out: an empty token keeps some pagers going.
    files = [resource_of(request, file) for file in page.items] or None
    return answer(request, to_wire(ListFilesResponse(files=files, next_page_token=page.next_page_token or None)))


async def follow_files(request: Request) -> Response:
    """Send the list of the caller's files whenever it has changed."""

    async def read() -> bytes:
        return bytes((await list_files(request)).body)

    return await follow(request, read)


async def delete_file(request: Request) -> Response:
    """Delete a file."""
    await in_database_thread(files_of(request).delete, _file_id(request), request.state.owner)
    return answer(request, {})


async def download_file(request: Request) -> Response:
    """Send a file's bytes, or the requested range of them."""
    store, file_id, owner = files_of(request), _file_id(request), request.state.owner
    file = await in_database_thread(store.get, file_id, owner)
    content = await in_database_thread(store.open_content, file_id, owner)
    try:
        await in_file_thread(content.check)
    except DataLost:
        await in_database_thread(store.get, file_id, owner)  # it may have been deleted meanwhile
        await repair_results(request, file_id)
        raise
    # The name of a batch's results is only used once, but damaged ones may have been computed again.
    etag = f'"{file.sha256 or f"{file_id}-{file.updated_at.timestamp():.6f}"}"'
    headers = {
        "accept-ranges": "bytes",
        # The uploader chose the file's type: a browser must neither show the file nor guess another type.
        "content-type": file.mime_type if _MEDIA_TYPE.fullmatch(file.mime_type) else "application/octet-stream",
        "content-disposition": f'attachment; filename="{file_id}"',
        "x-content-type-options": "nosniff",
        "etag": etag,
    }
    wanted = request.headers.get("range", "")
    if request.headers.get("if-range", etag) != etag:
        wanted = ""
    return _send(request, content, wanted, headers)


async def repair_results(request: Request, file_id: str) -> None:
    """Have damaged results of a batch computed again, if that can be done.

    Raises:
        BeingRepaired: that is under way.
    """
    batches = services_of(request).batches
    with suppress(BatchNotFound):
        batch_id = file_id.removeprefix(RESULTS_PREFIX)
        job = await in_database_thread(batches.store.get, batch_id, request.state.owner)
        if file_id.startswith(RESULTS_PREFIX) and await batches.repair(job):
            raise BeingRepaired


def _send(request: Request, content: FileContent, wanted: str, headers: dict[str, str]) -> Response:
    size, status = content.size_bytes, 200
    start, stop = 0, size
    if asked := _parse_range(wanted, size):
        start, stop = asked
        if start >= stop:
            message = f"The range cannot be satisfied: the file has {size} bytes."
            body = error_to_wire(_RANGE_NOT_SATISFIABLE, "OUT_OF_RANGE", message)
            return JSONResponse(body, _RANGE_NOT_SATISFIABLE, {"content-range": f"bytes */{size}"})
        status = _PARTIAL_CONTENT
        headers = headers | {"content-range": f"bytes {start}-{stop - 1}/{size}"}
    headers = headers | {"content-length": str(stop - start)}
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_read(content, start, stop), status, headers)


async def _read(content: FileContent, start: int, stop: int) -> AsyncGenerator[bytes]:
    loop, blocks = asyncio.get_running_loop(), content.read(start, stop)
    while block := await loop.run_in_executor(_readers, next, blocks, b""):
        yield block


def _parse_range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return the start and stop of a Range header; None for the whole file, also when the header is not understood."""
    found = _RANGE.fullmatch(wanted)
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    stop = min(int(last) + 1, size) if last else size
    return None if last and int(last) < int(first) else (int(first), stop)


def resource_of(request: Request, file: StoredFile) -> File:
    """Return a stored file as a wire message, with its addresses on this server."""
    version = request.state.version or request.path_params.get("version", "v1beta")
    uri = f"{str(request.base_url).rstrip('/')}/{version}/files/{file.file_id}"
    return File(
        name=f"files/{file.file_id}",
        display_name=file.display_name,
        mime_type=file.mime_type,
        size_bytes=file.size_bytes,
        created_at=file.created_at,
        updated_at=file.updated_at,
        expires_at=file.expires_at,
        sha256=file.sha256 or "",
        uri=uri,
        download_uri=f"{uri}:download?alt=media",
        state="ACTIVE",
        source=file.source,
    )


def _file_id(request: Request) -> str:
    return parse_resource_id(request.path_params["file"], "files")
