"""Finds the route for a path and a method: one regular expression over the whole table, matched once.

Starlette's own router tries one route after the other, which would cost every request more than the rest of its way
through the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from gemvec.server.auth import ANONYMOUS
from gemvec.server.docs import full_path
from gemvec.server.errors import Dialect
from gemvec.server.route import VERSIONS, Route

_NOT_FOUND = 404
_METHOD_NOT_ALLOWED = 405
_SLASHES = re.compile(r"//+")
# What the other APIs have and this server does not.
_FOREIGN_SEGMENTS = {
    **dict.fromkeys(("chat", "completions", "responses", "moderations"), Dialect.OPENAI),
    **dict.fromkeys(("audio", "images", "assistants", "threads", "vector_stores"), Dialect.OPENAI),
    **dict.fromkeys(("rerank", "predict", "embed_sparse"), Dialect.TEI),
}
# Other paths that clients ask for, listed here so that the log can name them.
_OTHER_WORDS = ("generate", "pull", "ps", "v3", "ws", "openapi", "favicon.ico")
_MAX_LOGGED_SEGMENTS = 10
# How much of a path must be like a route's to name that route, and how long it may be, because comparing takes time.
_ALIKE = 0.75
_MAX_COMPARED = 120
_VERSION = "|".join(re.escape(each.removeprefix("/")) for each in VERSIONS)
# Google's older projects have a domain before their name: `google.com:project`.
_FORMS = {"version": _VERSION, "project": "[^/]+"}
_PARAMETER = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What answers calls without a route.

    Attributes:
        takes: whether it answers those with this path, which resembles those of this API.
        route: what is said about all of them.
        app: answers them.
    """

    takes: Callable[[str, Dialect], bool]
    route: Route
    app: ASGIApp


class Router:
    """Calls the application of a request's route, and notes on the request what its path contains."""

    def __init__(self, routes: Sequence[tuple[Route, ASGIApp]], rest: Rest | None = None) -> None:
        """Take each route with the application that answers it, and what answers some of the other paths.

        A parameter has no slash and no colon, but a `{project}` may have one, and `{version}` is one of the known ones.
        """
        self._rest = rest
        self._methods: dict[str, dict[str, tuple[Route, ASGIApp]]] = {}
        for route, app in routes:
            self._methods.setdefault(route.path, {})[route.method] = (route, app)
        self._paths = list(self._methods)
        # What a caller may have meant, by its path.
        self._shown = {full_path(route): route for route, _ in reversed(routes)}
        self._words = {"", *_FOREIGN_SEGMENTS, *_OTHER_WORDS, *(each.strip("/") for each in VERSIONS)}
        self._words |= {each for path in self._methods for each in path.split("/") if "{" not in each}
        self._dialects = _FOREIGN_SEGMENTS | _own_segments([route for route, _ in routes])
        patterns: dict[bool, list[str]] = {True: [], False: []}
        for index, path in enumerate(self._paths):
            route, _ = next(iter(self._methods[path].values()))
            patterns[route.versioned].append(_pattern(index, path))
        versioned, others = "|".join(patterns[True]), "|".join(patterns[False])
        self._pattern = re.compile(f"(?:/(?P<version>{_VERSION}))??(?:{versioned})|(?:{others})")

    def _guess_dialect(self, path: str) -> Dialect:
        """Return the API that a path without a route resembles: that of its first segment that only one API has."""
        found = (self._dialects[each] for each in path.split("/") if each in self._dialects)
        return next(found, Dialect.GEMINI)

    def _find_nearest(self, path: str) -> Route | None:
        """Return the route whose path is most like one without a route; None if none is."""
        found = get_close_matches(path, self._shown, 1, _ALIKE) if len(path) <= _MAX_COMPARED else []
        return self._shown[found[0]] if found else None

    def _known_words(self, path: str) -> str:
        """Return a path for the log, without names that the caller may have chosen."""
        return "/".join(each if each in self._words else "*" for each in path.split("/")[:_MAX_LOGGED_SEGMENTS])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to its route.

        Raises:
            HTTPException: 404 if there is no such path; 405 if it does not support this method.
        """
        path = scope["path"] = _plain(scope["path"])
        found = self._pattern.fullmatch(path)
        if not found or not found.lastgroup:
            await self._answer_rest(path, scope, receive, send)
            return
        index = int(found.lastgroup[1:])
        methods = self._methods[self._paths[index]]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route, app = methods.get(method) or next(iter(methods.values()))
        if method not in methods:
            scope["state"]["dialect"] = route.dialect
            raise HTTPException(_METHOD_NOT_ALLOWED, headers={"allow": ", ".join(sorted(methods))})
        scope["path_params"] = {name: found[f"p{index}_{name}"] for name in _PARAMETER.findall(route.path)}
        scope["state"] |= {"route": route, "dialect": route.dialect, "version": found["version"] or ""}
        scope["state"] |= {"caller": ANONYMOUS, "owner": ""}
        await app(scope, receive, send)

    async def _answer_rest(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        dialect, rest = self._guess_dialect(path), self._rest
        scope["state"] |= {"dialect": dialect, "unknown_path": self._known_words(path)}
        if rest is None or not rest.takes(path, dialect):
            if (nearest := self._find_nearest(path)) is not None:
                scope["state"]["nearest_route"] = f"{nearest.method} {full_path(nearest)}"
                scope["state"]["dialect"] = nearest.dialect if dialect is Dialect.GEMINI else dialect
            raise HTTPException(_NOT_FOUND)
        scope["state"] |= {"route": rest.route, "version": "", "caller": ANONYMOUS, "owner": ""}
        await rest.app(scope, receive, send)


def _own_segments(routes: Sequence[Route]) -> dict[str, Dialect]:
    """Return the words by which the paths of only one API begin, without Gemini's."""
    words: dict[str, set[Dialect]] = {}
    for route in routes:
        first = route.path.split("/")[1]
        if f"/{first}" not in VERSIONS:  # Jina has its own route under one of them
            words.setdefault(first, set()).add(route.dialect)
    return {
        each: next(iter(dialects))
        for each, dialects in words.items()
        if len(dialects) == 1 and Dialect.GEMINI not in dialects
    }


def _plain(path: str) -> str:
    """Return a path with single slashes between segments and no slash at its end.

    In many clients base URLs end in a slash, and some encode the slash in `models/{model}`; it is already decoded here.
    """
    if "//" in path or path.endswith("/"):
        path = _SLASHES.sub("/", path).rstrip("/") or "/"
    return path


def _pattern(index: int, path: str) -> str:
    """Return the pattern of one path, as group `r{index}`, with a group `p{index}_{name}` for each parameter."""
    literal_and_names = _PARAMETER.split(path)
    parts = [
        f"(?P<p{index}_{each}>{_FORMS.get(each, '[^/:]+')})" if position % 2 else re.escape(each)
        for position, each in enumerate(literal_and_names)
    ]
    return f"(?P<r{index}>{''.join(parts)})"
