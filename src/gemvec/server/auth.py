"""Who calls: API keys in a header, `?key=` or `Authorization: Bearer`, compared in constant time.

Keys are known here only by their SHA-256. The rest of the server sees `Caller.owner`, from which no key can be
recovered.
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


# Headers of Gemini's clients, then of Azure's and of servers like this one.
_KEY_HEADERS = ("x-goog-api-key", "x-api-key", "api-key")


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request.

    Attributes:
        owner: names the key without revealing it; empty if the server asks for no key.
        key: its limits and models; None if it has none.
    """

    owner: str
    key: Key | None = None

    @property
    def key_name(self) -> str:
        """The name of the caller's key in logs: the operator's name for it, or one that does not reveal it."""
        return self.key.name if self.key else self.owner

    def may_use(self, model: str) -> bool:
        """Say whether the caller's key may use the served name `model`."""
        return self.key is None or not self.key.models or model in self.key.models


ANONYMOUS = Caller(owner="")


class Authenticator:
    """Finds callers by their key."""

    def __init__(self, keys: tuple[str, ...], ring: KeyRing, *, origins: tuple[str, ...]) -> None:
        """Accept `keys` and those of the ring.

        Without any, all callers are anonymous, also if they send a key, and only web pages of `origins` and of the
        server itself may call.
        """
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
        if not self._digests and not await self._ring.is_in_use():
            refuse_foreign_pages(request, self._origins)
            return ANONYMOUS
        key = presented_key(request)
        if key is None:
            raise KeyMissing(_KEY_MISSING)
        digest = sha256(key.encode("utf-8", "surrogateescape")).digest()
        # Every key is compared, so that the time does not reveal which one matched.
        if sum(hmac.compare_digest(digest, known) for known in self._digests):
            return Caller(owner=digest.hex()[:16])
        stored = await self._ring.find(key)
        if stored is None:
            raise KeyInvalid(_KEY_INVALID)
        return Caller(owner=stored.key_id, key=stored)


def presented_key(request: HTTPConnection) -> str | None:
    """Return the key of a request, from any of its places, or None."""
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
