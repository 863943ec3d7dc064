"""Who calls: API keys in a header, `?key=` or `Authorization: Bearer`, compared in constant time.

Keys are known here by their SHA-256 only; what the rest of the server sees is `Caller.owner`, which no key can be
recovered from.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import HTTPConnection

from gemvec.errors import BadSetting, KeyInvalid, KeyMissing
from gemvec.server.keys import Key, KeyRing, has_stored_keys
from gemvec.server.origins import refuse_foreign_pages
from gemvec.settings import Settings

_KEY_MISSING = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
    "form of API consumer identity to call this API."
)
_KEY_INVALID = "API key not valid. Please pass a valid API key."


# Gemini's clients, then Azure's and those of servers like this one.
_KEY_HEADERS = ("x-goog-api-key", "x-api-key", "api-key")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is.

    Attributes:
        owner: names the key without giving it away; empty where the server asks for no key.
        key: its limits and models; None where it has none.
    """

    owner: str
    key: Key | None = None

    @property
    def key_name(self) -> str:
        """What logs call the caller's key: the operator's name for it, or what names it without giving it away."""
        return self.key.name if self.key else self.owner

    def may_use(self, model: str) -> bool:
        """Say whether the caller's key is for the served name `model`."""
        return self.key is None or not self.key.models or model in self.key.models


ANONYMOUS = Caller(owner="")


class Authenticator:
    """Tells callers by their key."""

    def __init__(self, keys: tuple[str, ...], ring: KeyRing, *, origins: tuple[str, ...]) -> None:
        """Accept `keys` and those of the ring.

        Without any, everybody is anonymous whatever key they present. Of web pages only those of `origins` and of the
        server itself may call then.
        """
        self._digests = [sha256(key.encode()).digest() for key in keys]
        self._ring = ring
        self._origins = origins

    async def authenticate(self, request: HTTPConnection) -> Caller:
        """Return whose request it is.

        Raises:
            KeyMissing: keys are asked for and none was presented.
            KeyInvalid: the key is not one of them.
            OriginForbidden: none are asked for, and a browser sent it for a page of another site.
        """
        if not self._digests and not await self._ring.is_in_use():
            refuse_foreign_pages(request, self._origins)
            return ANONYMOUS
        key = presented_key(request)
        if key is None:
            raise KeyMissing(_KEY_MISSING)
        digest = sha256(key.encode("utf-8", "surrogateescape")).digest()
        # Every key is compared, so that the time tells nothing about which one matched.
        if sum(hmac.compare_digest(digest, known) for known in self._digests):
            return Caller(owner=digest.hex()[:16])
        stored = await self._ring.find(key)
        if stored is None:
            raise KeyInvalid(_KEY_INVALID)
        return Caller(owner=stored.key_id, key=stored)


def presented_key(request: HTTPConnection) -> str | None:
    """Return the key of a request, wherever it is, or None."""
    for name in _KEY_HEADERS:
        if key := request.headers.get(name):
            return key
    if b"key=" in request.scope["query_string"] and (key := request.query_params.get("key")):
        return key
    return bearer_token(request)


def bearer_token(request: HTTPConnection) -> str | None:
    """Return the token of `Authorization: Bearer`, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def require_keys(settings: Settings) -> None:
    """Refuse to be reachable by others without keys, unless that is what the operator said.

    Raises:
        BadSetting: the address is not a loopback address, there is no key, and anonymous callers are not allowed.
    """
    if settings.api_key or settings.allow_anonymous or _is_loopback(settings.host) or has_stored_keys(settings):
        return
    raise BadSetting(
        f"--host {settings.host} lets other machines call without a key. Make one with gemvec keys create, give "
        "--api-key (or GEMVEC_API_KEY), or say --allow-anonymous if that is what you want."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
