"""Invalid requests: valid ones with changed JSON or broken bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**40, 1e308, -0.0, 0.1,
    "", " ", "a", "0", "-1", "NaN", "\x00", "\ud800", "\U0010ffff", "a" * 5000, "models/", "files/../x", "2026-01-01",
    [], {}, [[]], [{}], {"a": None}, [None] * 200,
)  # fmt: skip
_TOKENS = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\x00", b"\xff\xfe", b"\xc3\x28", b"{", b"}", b"[" * 500, b'"', b"\\u", b",", b":",
    b"%", b"%00", b"%2f", b"/../", b"//", b"?", b"&key=", b"#", b" ", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"POST ",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Content-Length: 0\r\n",
    b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Encoding: gzip\r\n",
    b"Expect: 100-continue\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Range: bytes=0-\r\n",
    b"X-Goog-Upload-Command: start\r\n", b"X-Goog-Upload-Protocol: resumable\r\n", b"X-Goog-Upload-Offset: 7\r\n",
    b"x: " + b"a" * 70_000 + b"\r\n", b"1e999", b"99999999999999999999", b"-0", b"null", b"0\r\n\r\n", b"ffffffff\r\n",
)  # fmt: skip


class Request:
    """One request: its first line, headers and body, and how they look on the wire."""

    def __init__(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.method, self.path, self.body = method, path, body
        self.headers = headers or {}

    def to_bytes(self) -> bytes:
        """Return the request as it is sent on its own connection."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body or self.method in {"POST", "PATCH"}:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


def mutate(request: Request, draw: random.Random) -> bytes:
    """Return a broken copy of a request."""
    if request.body and draw.random() < 0.5:  # noqa: PLR2004 - half and half
        request = Request(request.method, request.path, request.headers, bend_json(request.body, draw))
        if draw.random() < 0.7:  # noqa: PLR2004 - mostly well-formed HTTP, or little would reach the handlers
            return request.to_bytes()
    broken = request.to_bytes()
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        broken = draw.choice(_BREAKS)(broken, draw)
    return broken


def bend_json(body: bytes, draw: random.Random) -> bytes:
    """Return a JSON body with a few of its values replaced, removed, repeated or buried."""
    try:
        document = json.loads(body)
    except ValueError:
        return draw.choice(_BREAKS)(body, draw)
    for _ in range(draw.choice((1, 1, 2, 4))):
        document = _bend(document, draw)
    return json.dumps(document).encode()


def _bend(value: Any, draw: random.Random) -> Any:
    """Change one place below `value`, found by a random walk."""
    if isinstance(value, dict) and value and draw.random() < 0.8:  # noqa: PLR2004 - mostly deep down
        return _bend_object(value, draw)
    if isinstance(value, list) and value and draw.random() < 0.8:  # noqa: PLR2004 - as above
        index = draw.randrange(len(value))
        bent = [*value[:index], _bend(value[index], draw), *value[index + 1 :]]
        return draw.choice((bent, bent, bent, value * 3, value[:index], [*value, draw.choice(_VALUES)]))
    return draw.choice((draw.choice(_VALUES), [value], {"x": value}, [value, value]))


def _bend_object(value: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    name = draw.choice(list(value))
    rest = {key: each for key, each in value.items() if key != name}
    other_name = draw.choice((name.upper(), name + "_", _snake(name), "", "\x00", "a" * 300))
    return draw.choice(
        (value | {name: _bend(value[name], draw)},) * 4
        + (rest, rest | {other_name: value[name]}, value | {other_name: value[name]}, value | {"x": value})
    )


def _snake(name: str) -> str:
    return "".join("_" + each.lower() if each.isupper() else each for each in name)


def _flip(data: bytes, draw: random.Random) -> bytes:
    broken = bytearray(data or b"x")
    for _ in range(draw.randint(1, 8)):
        broken[draw.randrange(len(broken))] = draw.randrange(256)
    return bytes(broken)


def _insert(data: bytes, draw: random.Random) -> bytes:
    at = draw.randint(0, len(data))
    return data[:at] + draw.choice(_TOKENS) + data[at:]


def _add_header(data: bytes, draw: random.Random) -> bytes:
    at = data.find(b"\r\n") + 2
    return data[:at] + draw.choice(_TOKENS) + data[at:]


def _remove(data: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(data))
    return data[:start] + data[start + draw.randint(1, 60) :]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(data))
    piece = data[start : start + draw.randint(1, 100)]
    return data[:start] + piece * draw.randint(2, 20) + data[start:]


def _truncate(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randint(0, len(data))]


def _pipeline(data: bytes, draw: random.Random) -> bytes:
    return data.replace(b"Connection: close", b"Connection: keep-alive", 1) * draw.randint(2, 4) + data


def _noise(data: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(draw.randint(1, len(data) + 1))


_BREAKS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _insert, _insert, _add_header, _add_header, _remove, _repeat, _truncate, _pipeline, _noise,
)  # fmt: skip
