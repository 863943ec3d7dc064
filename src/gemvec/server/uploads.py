"""media.upload: resumable in pieces, multipart, or raw; bytes go to disk as they arrive.

A resumable upload goes on at a URL that is itself the secret: those requests have no key. Every answer to them has the
state of the upload in `X-Goog-Upload-Status`. An answer without it makes Google's SDKs send the same piece again, which
is harmless and, after a temporary error, just right.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gemvec.errors import GemvecError, InvalidRequest, UploadNotActive, UploadNotFound
from gemvec.files.content import BLOCK_BYTES
from gemvec.files.file import StoredFile
from gemvec.files.upload import Upload, UploadState
from gemvec.files.upload_store import UploadStore
from gemvec.server.bodies import answer
from gemvec.server.context import services_of
from gemvec.server.errors import error_response
from gemvec.server.files import files_of, resource_of
from gemvec.server.keys import KeyStore
from gemvec.server.multipart import RelatedParts, parse_boundary
from gemvec.storage.threads import in_database_thread, in_file_thread
from gemvec.wire.files import CreateFileRequest, CreateFileResponse, File
from gemvec.wire.kinds import INT64, Refused
from gemvec.wire.message import read, to_wire
from gemvec.wire.proto_json import parse_json, shown

_MAX_JSON_BYTES = 64 * 1024
_STATUS, _RECEIVED = "x-goog-upload-status", "x-goog-upload-size-received"
_START = ({"start"},)
_CONTINUE = ({"upload"}, {"upload", "finalize"}, {"finalize"}, {"query"}, {"cancel"})


async def start_upload(request: Request) -> Response:
    """Start an upload, or take a whole file."""
    protocol = _protocol(request)
    if protocol == "resumable":
        return await _start_resumable(request)
    if protocol == "multipart":
        return await _take_multipart(request)
    size = _header_number(request, "Content-Length")
    asked = File(size_bytes=size)
    mime_type = request.headers.get("content-type", "")
    return await _take_whole(request, asked, mime_type, request.stream())


async def continue_upload(request: Request) -> Response:
    """Take a piece, finish, query or cancel, depending on the request's command."""
    try:
        await check_owner(request, request.path_params["upload"])
        return await _continue(request, request.path_params["upload"])
    except UploadNotFound as error:
        return _ended(request, error, UploadState.CANCELLED)
    except UploadNotActive as error:
        upload = await in_database_thread(uploads_of(request).get, request.path_params["upload"])
        return _ended(request, error, upload.state)


async def check_owner(request: Request, upload_id: str) -> None:
    """Refuse to go on with an upload whose key has been revoked since it began; the URL alone is not enough."""
    upload = await in_database_thread(uploads_of(request).get, upload_id)
    if not await in_database_thread(KeyStore(services_of(request).database).may_go_on, upload.owner):
        raise UploadNotFound


def _ended(request: Request, error: GemvecError, state: UploadState) -> Response:
    """Return an error with the header that makes clients give up at once."""
    response = error_response(error, request.scope)
    if state is not UploadState.ACTIVE:
        response.headers[_STATUS] = state
    return response


def _protocol(request: Request) -> str:
    query = request.query_params
    named = request.headers.get("x-goog-upload-protocol") or query.get("uploadType") or query.get("upload_protocol")
    if named in {"resumable", "multipart", "raw", "media"}:
        return named
    if named is None and request.headers.get("content-type", "").startswith("multipart/related"):
        return "multipart"
    if named is None and "x-goog-upload-command" in request.headers:
        return "resumable"
    raise InvalidRequest(
        "Say how the file is uploaded: X-Goog-Upload-Protocol is resumable, multipart or raw.",
        field="X-Goog-Upload-Protocol",
    )


def _is_media(request: Request) -> bool:
    """Whether the upload is resumed as Google's API libraries do it, see `media_uploads`."""
    return request.query_params.get("uploadType") == "resumable" and "x-goog-upload-command" not in request.headers


async def _start_resumable(request: Request) -> Response:
    is_media = _is_media(request)
    prefix = "X-Upload-Content" if is_media else "X-Goog-Upload-Header-Content"
    if not is_media:
        _commands(request, _START)
    asked = _file_in(await _read_json(request.stream()))
    announced = _header_number(request, f"{prefix}-Length")
    if None not in {announced, asked.size_bytes} and announced != asked.size_bytes:
        raise InvalidRequest(
            f"* file.size_bytes: the body says {asked.size_bytes}, {prefix}-Length {announced}\n",
            field="file.size_bytes",
        )
    declared = asked.size_bytes if announced is None else announced
    mime_type = request.headers.get(f"{prefix}-Type", "")
    upload = await _start(request, asked, mime_type, declared)
    url = f"{str(request.base_url).rstrip('/')}/upload/{request.path_params['version']}/files/{upload.upload_id}"
    response = answer(request, {})
    if is_media:
        response.headers["location"] = url
    response.headers[_STATUS] = upload.state
    response.headers["x-goog-upload-url"] = response.headers["x-goog-upload-control-url"] = url
    return response


async def _start(request: Request, asked: File, mime_type: str, declared: int | None) -> Upload:
    return await in_database_thread(
        uploads_of(request).start,
        request.state.owner,
        file_id=asked.name or None,
        display_name=asked.display_name,
        mime_type=asked.mime_type or mime_type,
        declared_bytes=declared,
    )


async def _continue(request: Request, upload_id: str) -> Response:
    commands, uploads = _commands(request, _CONTINUE), uploads_of(request)
    if commands == {"cancel"}:
        await in_database_thread(uploads.cancel, upload_id)
    elif "upload" in commands:
        offset = _header_number(request, "X-Goog-Upload-Offset")
        if offset is None:
            raise InvalidRequest("X-Goog-Upload-Offset must say where the piece belongs.", field="X-Goog-Upload-Offset")
        await write_body(uploads, upload_id, offset, request.stream())
    body: dict[str, Any] = {}
    if "finalize" in commands:
        body = describe_file(request, await in_file_thread(uploads.finalize, upload_id))
    upload = await in_database_thread(uploads.query, upload_id)
    response = answer(request, body)
    response.headers[_STATUS], response.headers[_RECEIVED] = upload.state, str(upload.received_bytes)
    return response


async def _take_multipart(request: Request) -> Response:
    parts = RelatedParts(request.stream(), parse_boundary(request.headers.get("content-type", "")))
    await parts.skip_preamble()
    await parts.read_headers()
    asked = _file_in(await _read_json(parts.blocks()))
    headers = await parts.read_headers()
    return await _take_whole(request, asked, headers.get("content-type", ""), parts.blocks())


async def _take_whole(request: Request, asked: File, mime_type: str, body: AsyncIterator[bytes]) -> Response:
    uploads = uploads_of(request)
    upload = await _start(request, asked, mime_type, asked.size_bytes)
    try:
        await write_body(uploads, upload.upload_id, 0, body)
        file = await in_file_thread(uploads.finalize, upload.upload_id)
    except BaseException:
        with suppress(GemvecError):  # the first error is the one to report
            await asyncio.shield(in_database_thread(uploads.cancel, upload.upload_id))
        raise
    return answer(request, describe_file(request, file))


async def write_body(uploads: UploadStore, upload_id: str, offset: int, body: AsyncIterator[bytes]) -> None:
    """Write a request's body into an upload; what arrived before an error is kept."""
    writer = await in_file_thread(uploads.open_append, upload_id, offset)
    try:
        async for block in _in_blocks(body):
            await in_file_thread(writer.write, block)
    except BaseException:
        await asyncio.shield(in_file_thread(writer.abandon))
        raise
    await in_file_thread(writer.close)


async def _in_blocks(body: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield a body in blocks of about 1 MiB, because each block is handed to another thread."""
    pieces: list[bytes] = []
    size = 0
    broken: Exception | None = None
    try:
        async for piece in body:
            pieces.append(piece)
            size += len(piece)
            if size >= BLOCK_BYTES:
                yield b"".join(pieces)
                pieces, size = [], 0
    except Exception as error:  # noqa: BLE001 - raised again after what came before it
        broken = error
    if size:
        yield b"".join(pieces)
    if broken:
        raise broken


def _file_in(body: bytes) -> File:
    """Return what the start of an upload says about the file; all of it may be missing."""
    return read(CreateFileRequest, parse_json(body)).file or File()


async def _read_json(body: AsyncIterator[bytes]) -> bytes:
    """Return a whole body that describes a file."""
    read = bytearray()
    async for piece in body:
        read += piece
        if len(read) > _MAX_JSON_BYTES:
            raise InvalidRequest(f"The JSON that describes the file is longer than {_MAX_JSON_BYTES} bytes.")
    return bytes(read)


def uploads_of(request: Request) -> UploadStore:
    """Return the uploads of the server that `request` came to."""
    return files_of(request).uploads


def describe_file(request: Request, file: StoredFile) -> dict[str, Any]:
    """Return the answer to an upload that is complete."""
    return to_wire(CreateFileResponse(file=resource_of(request, file)))


def _commands(request: Request, allowed: Sequence[set[str]]) -> set[str]:
    named = request.headers.get("x-goog-upload-command", "")
    commands = {each.strip().lower() for each in named.split(",")}
    if commands not in allowed:
        expected = "; ".join(", ".join(sorted(each, reverse=True)) for each in allowed)
        raise InvalidRequest(
            f"X-Goog-Upload-Command is {shown(named)}; expected one of: {expected}.", field="X-Goog-Upload-Command"
        )
    return commands


def _header_number(request: Request, name: str) -> int | None:
    """Return the int64 in a header; None if the header is missing."""
    value = request.headers.get(name)
    try:
        return None if value is None else INT64.read(value)
    except Refused as refused:
        raise refused.to_error(name) from None
