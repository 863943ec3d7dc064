"""From a path and a method to the route that answers: one regular expression over the whole table, matched once.

Starlette's own router tries one route after the other, which would cost every request more than all the rest of its
way through the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.server.auth import ANONYMOUS
from gemvec.server.route import VERSIONS, Route

_NOT_FOUND = 404
_METHOD_NOT_ALLOWED = 405
_SLASHES = re.compile(r"//+")
_PARAMETER = re.compile(r"{(\w+)}")


class Router:
    """Calls the application of the route that a request is for, and notes on the request what comes of its path."""

    def __init__(self, routes: Sequence[tuple[Route, ASGIApp]]) -> None:
        """Take each route with the application that answers it; a parameter has no slash and no colon."""
        self._methods: dict[str, dict[str, tuple[Route, ASGIApp]]] = {}
        for route, app in routes:
            self._methods.setdefault(route.path, {})[route.method] = (route, app)
        self._paths = list(self._methods)
        alternatives = "|".join(_pattern(index, path) for index, path in enumerate(self._paths))
        versions = "|".join(re.escape(each) for each in VERSIONS)
        self._pattern = re.compile(f"(?P<version>{versions})?(?:{alternatives})")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to its route.

        Raises:
            HTTPException: 404, there is no such path; 405, it does not take this method.
        """
        path = scope["path"] = _plain(scope["path"])
        found = self._pattern.fullmatch(path)
        if not found or not found.lastgroup:
            raise HTTPException(_NOT_FOUND)
        index = int(found.lastgroup[1:])
        methods = self._methods[self._paths[index]]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route, app = methods.get(method) or next(iter(methods.values()))
        if found["version"] and not route.versioned:
            raise HTTPException(_NOT_FOUND)
        if method not in methods:
            scope["state"]["dialect"] = route.dialect
            raise HTTPException(_METHOD_NOT_ALLOWED, headers={"allow": ", ".join(sorted(methods))})
        scope["path_params"] = {name: found[f"p{index}_{name}"] for name in _PARAMETER.findall(route.path)}
        version = (found["version"] or "").lstrip("/")
        scope["state"] |= {"route": route, "dialect": route.dialect, "version": version}
        scope["state"] |= {"caller": ANONYMOUS, "owner": ""}
        await app(scope, receive, send)


def _plain(path: str) -> str:
    """Return a path with single slashes between segments and none at its end.

    Base URLs end in a slash in many clients, and some encode the one inside `models/{model}`; it is decoded by now.
    """
    if "//" in path or path.endswith("/"):
        path = _SLASHES.sub("/", path).rstrip("/") or "/"
    return path


def _pattern(index: int, path: str) -> str:
    """Return the pattern of one path, as group `r{index}`, with a group `p{index}_{name}` for each parameter."""
    literal_and_names = _PARAMETER.split(path)
    parts = [
        f"(?P<p{index}_{each}>[^/:]+)" if position % 2 else re.escape(each)
        for position, each in enumerate(literal_and_names)
    ]
    return f"(?P<r{index}>{''.join(parts)})"
