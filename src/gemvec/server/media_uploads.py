"""Uploads as Google's API libraries send them (`uploadType=resumable`): PUT with `Content-Range`, 308 until the end.

Source: https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from gemvec.errors import InvalidRequest
from gemvec.files.upload import UploadState
from gemvec.server.bodies import answer
from gemvec.server.uploads import check_owner, describe_file, uploads_of, write_body
from gemvec.storage.threads import in_database_thread, in_file_thread
from gemvec.wire.proto_json import shown

_RESUME_INCOMPLETE = 308
_RANGE = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)", re.ASCII)


async def put_upload(request: Request) -> Response:
    """Take a part of a file, or say how much of it has arrived; the last part completes the file."""
    uploads, upload_id = uploads_of(request), request.path_params["upload"]
    await check_owner(request, upload_id)
    first, is_last = _parse_range(request)
    if first is not None:
        await write_body(uploads, upload_id, first, request.stream())
    upload = await in_database_thread(uploads.query, upload_id)
    if is_last or upload.state is UploadState.FINAL:
        return answer(request, describe_file(request, await in_file_thread(uploads.finalize, upload_id)))
    headers = {"range": f"bytes=0-{upload.received_bytes - 1}"} if upload.received_bytes else {}
    return Response(status_code=_RESUME_INCOMPLETE, headers=headers)


async def delete_upload(request: Request) -> Response:
    """Cancel an upload."""
    await check_owner(request, request.path_params["upload"])
    await in_database_thread(uploads_of(request).cancel, request.path_params["upload"])
    return answer(request, {})


def _parse_range(request: Request) -> tuple[int | None, bool]:
    """Return the offset of the body (None if the request only asks for the state) and whether it is the last part.

    Raises:
        InvalidRequest: Content-Range cannot be read.
    """
    named = request.headers.get("content-range")
    if named is None:
        return 0, True
    found = _RANGE.fullmatch(named)
    if not found:
        raise InvalidRequest(
            f"Content-Range is {shown(named)}; expected bytes FIRST-LAST/TOTAL or bytes */TOTAL.", field="Content-Range"
        )
    first, last, total = found.groups()
    if first is None:
        return None, False
    return int(first), total != "*" and int(last) + 1 == int(total)
