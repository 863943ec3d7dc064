"""`gemvec wait`: wait until a server is ready."""

from __future__ import annotations

import http.client
import time
from typing import Annotated
from urllib.parse import urlsplit

import typer

from gemvec.errors import BadSetting, TransportFailure

_PAUSE_SECONDS = 0.1
_TRY_SECONDS = 2.0
_OK = 200


def wait(
    url: Annotated[str, typer.Argument(help="Address of the server.")] = "http://127.0.0.1:8000",
    *,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Longest time to wait.")] = 60.0,
) -> None:
    """Wait until a server is ready.

    The exit status is 0 when the server takes requests, and 1 if it does not within the timeout.

    Examples:
        gemvec wait
        gemvec wait http://127.0.0.1:8000 --timeout 10
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadSetting(f"URL has value {url!r}: expected http://host:port or https://host.")
    ends_at = time.monotonic() + timeout
    reason = _why_not_ready(url)
    while reason:
        if time.monotonic() >= ends_at:
            raise TransportFailure(f"{url} was not ready within {timeout:g} s: {reason}.", connected=False)
        time.sleep(_PAUSE_SECONDS)
        reason = _why_not_ready(url)


def _why_not_ready(url: str) -> str:
    """Return why a server does not take requests; empty if it does."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TRY_SECONDS)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if status == _OK else f"it answers {status}"
