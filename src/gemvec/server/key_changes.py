"""Making and changing API keys by calls of the console, where the operator allows it (`--allow-key-changes`).

It is off by default: otherwise an admin key that only reads metrics could make keys. A new key is in one answer and
nowhere else, neither in an address nor in a log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gemvec.errors import InvalidRequest, KeyChangesForbidden
from gemvec.logs import get_logger
from gemvec.server.bodies import answer, read_body
from gemvec.server.context import services_of
from gemvec.server.key_limits import KEY_LIMITS, KeyLimits
from gemvec.server.keys import KeyStore
from gemvec.server.origins import refuse_other_sites
from gemvec.storage.threads import in_database_thread
from gemvec.storage.timestamps import utc_now
from gemvec.wire.console import CreateKeyRequest, KeyLimitValues, KeyName, NewKey, RotateKeyRequest, SetKeyRequest
from gemvec.wire.message import Message, to_wire

log = get_logger("server")

_MAX_SECONDS = 100 * 365 * 86_400
MessageT = TypeVar("MessageT", bound=Message)


async def create_key(request: Request) -> Response:
    """Make a key."""
    asked = await _read(request, CreateKeyRequest)
    expires_at = _end_of(asked.lifetime_seconds)

    def create(store: KeyStore) -> str:
        _, secret = store.create(
            asked.name,
            is_admin=asked.is_admin,
            models=(asked.model,) if asked.model else (),
            limits=KeyLimits(**_limits_in(asked.limits)),
            expires_at=expires_at,
        )
        return secret

    return _show(request, asked.name, await _change(request, "key made", asked.name, create))


async def rotate_key(request: Request) -> Response:
    """Replace a key."""
    asked = await _read(request, RotateKeyRequest)
    expires_at, overlap = _end_of(asked.lifetime_seconds), _duration_of("overlap_seconds", asked.overlap_seconds)

    def rotate(store: KeyStore) -> str:
        return store.rotate(asked.name, expires_at=expires_at, overlap=overlap)[1]

    return _show(request, asked.name, await _change(request, "key replaced", asked.name, rotate))


async def set_key(request: Request) -> Response:
    """Change the limits of a key."""
    asked = await _read(request, SetKeyRequest)
    limits = _limits_in(asked.limits)
    await _change(request, "limits of key changed", asked.name, lambda store: store.set_limits(asked.name, limits))
    return answer(request, {})


async def revoke_key(request: Request) -> Response:
    """Stop a key from working."""
    name = (await _read(request, KeyName)).name
    await _change(request, "key revoked", name, lambda store: store.revoke(name))
    return answer(request, {})


async def delete_key(request: Request) -> Response:
    """Delete a key with what it owns, but not the caller's own: without any key the server would be open to all.

    Raises:
        InvalidRequest: it is the caller's own.
    """
    name = (await _read(request, KeyName)).name
    own = request.state.caller.key
    if own is not None and own.name == name.strip():
        raise InvalidRequest("A key cannot delete itself here; gemvec keys delete does it.", field="name")
    await _change(request, "key deleted", name, lambda store: store.delete(name))
    return answer(request, {})


def may_change_keys(request: Request) -> bool:
    """Say whether the caller may make and change keys: with an admin key, and where the operator allows it.

    Where no key is needed nobody has one, and the first is made by `gemvec keys create`.
    """
    caller = request.state.caller
    return services_of(request).settings.allow_key_changes and caller.is_admin and bool(caller.owner)


async def _read(request: Request, kind: type[MessageT]) -> MessageT:
    """Return what the caller asks for.

    Raises:
        OriginForbidden: a page of another site asks.
        KeyChangesForbidden: the caller may not change keys.
    """
    refuse_other_sites(request)
    if not may_change_keys(request):
        raise KeyChangesForbidden(
            "Keys are changed here only with an admin key, and if the server was started with --allow-key-changes. "
            "On its machine, gemvec keys does the same."
        )
    return await read_body(request, kind)


ResultT = TypeVar("ResultT")


async def _change(request: Request, event: str, name: str, change: Callable[[KeyStore], ResultT]) -> ResultT:
    result = await in_database_thread(change, KeyStore(services_of(request).database))
    log.info(event, extra={"name_of_key": name.strip(), "key": request.state.caller.key_name})
    return result


def _show(request: Request, name: str, secret: str) -> Response:
    response = answer(request, to_wire(NewKey(name=name.strip(), key=secret)))
    response.headers["cache-control"] = "no-store"
    return response


def _limits_in(asked: KeyLimitValues | None) -> dict[str, int | None]:
    """Return every limit by its name; one that was not given is the server's own."""
    return {name: getattr(asked, name, None) for name in KEY_LIMITS}


def _end_of(lifetime_seconds: int | None) -> datetime | None:
    lifetime = _duration_of("lifetime_seconds", lifetime_seconds)
    return utc_now() + lifetime if lifetime else None


def _duration_of(field: str, seconds: int | None) -> timedelta | None:
    if seconds is None:
        return None
    if not 1 <= seconds <= _MAX_SECONDS:
        raise InvalidRequest(
            f"{field} is {seconds}; it must be 1 to {_MAX_SECONDS}, which is a hundred years.", field=field
        )
    return timedelta(seconds=seconds)
