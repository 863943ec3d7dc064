"""Who calls: API keys in a header, `?key=` or `Authorization: Bearer`, compared in constant time.

Keys are known here only by their SHA-256. The rest of the server sees `Caller.owner`, from which no key can be
recovered.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from starlette.requests import HTTPConnection

from gemvec.errors import BadSetting, GemvecError, KeyInvalid, KeyMissing
from gemvec.logs import get_logger
from gemvec.server.key_ring import KeyRing
from gemvec.server.keys import Key, has_stored_keys
from gemvec.server.origins import refuse_foreign_pages
from gemvec.settings import Settings

_KEY_MISSING = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
    "form of API consumer identity to call this API."
)
_KEY_INVALID = "API key not valid. Please pass a valid API key."

_log = get_logger("server")


# Headers of Gemini's clients, then of Azure's and of servers like this one.
_KEY_HEADERS = ("x-goog-api-key", "x-api-key", "api-key")


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request.

    Attributes:
        owner: names the key without revealing it; empty if the server asks for no key.
        key: its limits and models; None if it has none.
        is_admin: whether the caller may see what concerns all callers. With keys made by `gemvec keys`, only those made
            for it may; keys in the settings, and callers of a server that asks for no key, are the operator's.
    """

    owner: str
    key: Key | None = None
    is_admin: bool = False

    @property
    def key_name(self) -> str:
        """The name of the caller's key in logs: the operator's name for it, or one that does not reveal it."""
        return self.key.name if self.key else self.owner

    @property
    def is_bound_to_models(self) -> bool:
        """Whether the caller's key may use only some models."""
        return self.key is not None and bool(self.key.models)

    def may_use(self, model: str) -> bool:
        """Say whether the caller's key may use the served name `model`."""
        return self.key is None or not self.key.models or model in self.key.models

    def may_use_served(self, name: str) -> bool:
        """Say whether the caller's key may use what serves `name` to it, which may be an alias of the key."""
        return self.may_use(self.meant_name(name))

    def meant_name(self, name: str) -> str:
        """Return the server's name for what serves `name` to the caller, which may be an alias of the key."""
        return self.key.aliases.get(name, name) if self.key else name


ANONYMOUS = Caller(owner="")
_OPERATOR = Caller(owner="", is_admin=True)


class Authenticator:
    """Finds callers by their key."""

    def __init__(
        self, keys: tuple[str, ...], ring: KeyRing, *, origins: tuple[str, ...] = (), may_be_open: bool = True
    ) -> None:
        """Accept `keys` and those of the ring.

        Without any, all callers are anonymous, also if they send a key, and only web pages of `origins` and of the
        server itself may call; nobody may call a server that may not be open.
        """
        self._may_be_open = may_be_open
        self._was_needed = False
        self._digests = [sha256(key.encode()).digest() for key in keys]
        self._ring = ring
        self._origins = origins

    async def authenticate(self, request: HTTPConnection) -> Caller:
        """Return whose request it is.

        Raises:
            KeyMissing: a key is needed and none was sent.
            KeyInvalid: the key is not one of them.
            OriginForbidden: no key is needed, and a browser sent the request for a page of another site.
        """
        if not await self._is_key_needed():
            return self._open_to(request)
        key = presented_key(request)
        caller = None if key is None else await self._find(key)
        if caller is not None:
            return caller
        if not await self._is_key_needed(anew=True):
            return self._open_to(request)
        raise KeyMissing(_KEY_MISSING) if key is None else KeyInvalid(_KEY_INVALID)

    async def recognise(self, request: HTTPConnection) -> Caller | None:
        """Return whose request it is, or None for a caller who may not call; for what anybody may read in part."""
        try:
            return await self.authenticate(request)
        except GemvecError:
            return None

    async def _is_key_needed(self, *, anew: bool = False) -> bool:
        """Whether a caller needs a key; once one was needed, it is read again only for a caller without a valid one."""
        if self._digests or not self._may_be_open or (self._was_needed and not anew):
            return True
        is_needed = await self._ring.is_in_use()
        if self._was_needed and not is_needed:
            _log.warning("the last key was deleted: callers need no key now")
        self._was_needed = is_needed
        return is_needed

    def _open_to(self, request: HTTPConnection) -> Caller:
        refuse_foreign_pages(request, self._origins)
        return _OPERATOR

    async def _find(self, key: str) -> Caller | None:
        digest = sha256(key.encode("utf-8", "surrogateescape")).digest()
        # Every key is compared, so that the time does not reveal which one matched.
        if sum(hmac.compare_digest(digest, known) for known in self._digests):
            return Caller(owner=digest.hex()[:16], is_admin=True)
        stored = await self._ring.find(key)
        return stored and Caller(owner=stored.key_id, key=stored, is_admin=stored.is_admin)


def open_authenticator(settings: Settings, ring: KeyRing) -> Authenticator:
    """Return what finds the callers of a server with these settings."""
    may_be_open = settings.allow_anonymous or _is_loopback(settings.host)
    return Authenticator(settings.api_key, ring, origins=settings.allow_origin, may_be_open=may_be_open)


def authenticator_of(request: HTTPConnection) -> Authenticator:
    """Return what finds the callers of the server that `request` came to."""
    return cast("Authenticator", request.app.state.authenticator)


def presented_key(request: HTTPConnection) -> str | None:
    """Return the key of a request, from the first of its places, or None."""
    return next(presented_keys(request), None)


def presented_keys(request: HTTPConnection) -> Iterator[str]:
    """Yield the key in each place of a request that has one."""
    for name in _KEY_HEADERS:
        if key := request.headers.get(name):
            yield key
    if b"key=" in request.scope["query_string"] and (key := request.query_params.get("key", "").strip(" \t\r\n")):
        yield key
    if key := bearer_token(request):
        yield key


def bearer_token(request: HTTPConnection) -> str | None:
    """Return the token of `Authorization: Bearer`, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def require_keys(settings: Settings) -> None:
    """Refuse to serve other machines without keys, unless the operator allows it.

    Raises:
        BadSetting: the address is not a loopback address, there is no key, and anonymous callers are not allowed.
    """
    if settings.api_key or settings.allow_anonymous or _is_loopback(settings.host) or has_stored_keys(settings):
        return
    raise BadSetting(
        f"--host {settings.host} lets other machines call without a key. Make one with gemvec keys create, give "
        "--api-key (or GEMVEC_API_KEY), or give --allow-anonymous to allow it."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
