"""The web pages that may call: this server's own, and those of the origins that the operator names.

A browser sends any request that a page makes, also to this machine, and names the page's origin in `Origin`. If no key
is needed, only that header and `Host` distinguish a page from its user's own programs. The browser also asks the server
whether a page may read an answer: https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from ipaddress import ip_address

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection

from gemvec.errors import BadSetting, OriginForbidden
from gemvec.wire.proto_json import shown

_ANY = "*"
# Reserved for a machine and its network, like every name without a dot; Docker's host.docker.internal is one.
_PRIVATE_ENDS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc")
# As browsers write it: without the port if it is the scheme's default.
_ORIGIN = re.compile(
    r"(?!http://.*:80$|https://.*:443$)[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]+)?", re.ASCII
)
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
# Headers of answers that clients read.
_READ_HEADERS = (
    "x-goog-upload-url",
    "x-goog-upload-control-url",
    "x-goog-upload-status",
    "x-goog-upload-size-received",
    "x-gemvec-model",
    "x-gemvec-truncated",
    "x-request-id",
    "retry-after",
    "content-range",
)


def check_origins(origins: Collection[str]) -> None:
    """Refuse origins that no browser would send.

    Raises:
        BadSetting: one is not an origin.
    """
    for each in origins:
        if each not in {_ANY, "null"} and not _ORIGIN.fullmatch(each):
            raise BadSetting(
                f"--allow-origin has value {each!r}: expected * or an origin in lower case, such as "
                "https://app.example or http://localhost:3000: scheme, host, "
                "and the port if it is not the scheme's default."
            )


def answer_browsers(origins: Collection[str]) -> list[Middleware]:
    """Return the middleware that lets browsers' pages of these origins read answers; none when there are no origins."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=(_ANY,),
            allow_private_network=True,
            expose_headers=_READ_HEADERS,
        )
    ]


def refuse_foreign_pages(request: HTTPConnection, origins: Collection[str]) -> None:
    """Refuse what a page of another site sends through its user's browser.

    Args:
        request: what was sent.
        origins: whose pages may call, besides this server's own.

    Raises:
        OriginForbidden: the page is neither this server's nor of one of these origins.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host", "").lower()
    if _ANY in origins or origin in origins:
        return
    # A public name that leads here may belong to a site that wants the browser to take its page for one of this
    # server's pages (DNS rebinding).
    if not _is_private(host) and host not in map(_host_of, origins):
        raise OriginForbidden(
            f"This server asks for no key, so it answers to the public name {shown(host)} only if that is the host "
            "of an --allow-origin. Otherwise any web page could call it under a name of its own."
        )
    if origin is not None and _host_of(origin.lower()) != host:
        raise OriginForbidden


def refuse_other_sites(request: HTTPConnection) -> None:
    """Refuse what a page of any other site sends, also one that may call.

    Raises:
        OriginForbidden: the page is not this server's own.
    """
    origin = request.headers.get("origin")
    if origin is not None and _host_of(origin.lower()) != request.headers.get("host", "").lower():
        raise OriginForbidden


def _host_of(origin: str) -> str:
    return origin.partition("://")[2]


@functools.lru_cache(maxsize=256)
def _is_private(host: str) -> bool:
    """Whether a Host header has an IP address, or a name that no site can have."""
    name = re.sub(r":[0-9]*$", "", host)
    if "." not in name or name.endswith(_PRIVATE_ENDS):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
