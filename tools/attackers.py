"""What attackers send: one function for each attack, on a connection of its own, and one server that is an attacker."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

MIB = 2**20
_MODEL = "/v1beta/models/gemini-embedding-001"
EMBED, MANY, COUNT = f"{_MODEL}:embedContent", f"{_MODEL}:batchEmbedContents", f"{_MODEL}:countTokens"
BATCH, UPLOAD = f"{_MODEL}:asyncBatchEmbedContent", "/upload/v1beta/files"
_HONEST_REQUEST = {"content": {"parts": [{"text": "How much wood would a woodchuck chuck?"}]}}
_TIMEOUT_SECONDS = 20.0
_numbers = count()


@dataclass(frozen=True)
class Attacker:
    """Somebody with a connection.

    Attributes:
        host: where the server is.
        port: its port.
        key: the attacker's key; empty for none.
        answers: the statuses that came back, counted.
    """

    host: str
    port: int
    key: str
    answers: Counter[str]

    async def call(self, path: str, body: bytes, *lines: str) -> bytes:
        """Send a whole request; return the body of the answer, empty if there is none."""
        answer = b""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_TIMEOUT_SECONDS), self.connected() as (reader, writer):
                writer.write(self._head(path, f"Content-Length: {len(body)}", "Connection: close", *lines) + body)
                answer = await reader.read()
        self.answers[answer[9:12].decode("latin-1") or "closed"] += 1
        return answer.partition(b"\r\n\r\n")[2]

    @contextlib.asynccontextmanager
    async def connected(self) -> Any:
        """Open a connection for the block."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def pour(self, path: str, lines: Sequence[str], start: bytes, piece: bytes, pieces: int) -> None:
        """Begin a request and send the same piece again and again; then wait for an answer."""
        async with self.connected() as (reader, writer):
            writer.write(self._head(path, *lines) + start)
            sending = asyncio.create_task(_send(writer, piece, pieces))
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    answer = await reader.read(65536)
                self.answers[answer[9:12].decode("latin-1") or "closed"] += 1
            except TimeoutError:
                self.answers["nothing"] += 1
            except OSError:
                self.answers["closed"] += 1
            finally:
                sending.cancel()

    def _head(self, path: str, *lines: str) -> bytes:
        key = [f"x-goog-api-key: {self.key}"] if self.key else []
        return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *key, *lines, "", ""]).encode()


async def _send(writer: asyncio.StreamWriter, piece: bytes, pieces: int) -> None:
    with contextlib.suppress(OSError):
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()


Attack = Callable[[Attacker], Awaitable[object]]
_FOR_EVER = 10**9


# Heads, trailers, connections


async def endless_trailer(attacker: Attacker) -> None:
    """Send a trailer without end."""
    await attacker.pour(EMBED, ["Transfer-Encoding: chunked"], b"0\r\n", b"X: bbbb\r\n" * 1000, _FOR_EVER)


async def endless_head(attacker: Attacker) -> None:
    """Send headers without end."""
    async with attacker.connected() as (_, writer):
        writer.write(f"POST {EMBED} HTTP/1.1\r\nHost: localhost\r\n".encode())
        await _send(writer, b"X: bbbb\r\n" * 1000, _FOR_EVER)
    attacker.answers["closed"] += 1


async def quadratic_parameters(attacker: Attacker) -> None:
    """Send a media type with parameters that took quadratic time to parse."""
    await attacker.call(
        f"{UPLOAD}?uploadType=multipart", b"", 'Content-Type: multipart/related; a="' + ";" * 60_000 + '"'
    )


async def forbidden_heads(attacker: Attacker) -> None:
    """Send what the standard forbids: a second host, and another coding than chunked."""
    await attacker.call(EMBED, b"", "Host: elsewhere")
    await attacker.call(EMBED, b"", "Transfer-Encoding: gzip, chunked")


async def idle_connections(attacker: Attacker) -> None:
    """Hold a connection, and send nothing."""
    async with attacker.connected() as (reader, _):
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                attacker.answers[(await reader.read(12))[9:12].decode() or "closed"] += 1


# Memory


async def unfinished_bodies(attacker: Attacker) -> None:
    """Send 19 MiB of a body and never the rest."""
    lines, start = [f"Content-Length: {19 * MIB + 1}"], b'{"content": {"parts": [{"text": "'
    await attacker.pour(EMBED, lines, start, b"a " * 32768, 19 * 16)


_PARTS = b'{"content": {"parts": [' + b'{"text":""},' * 1_600_000 + b'{"text":"a"}]}}'
_TEXTS = b'{"requests": [' + b",".join([b'{"content":{"parts":[{"text":"a"}]}}'] * 50_000) + b"]}"
_FEW_TEXTS = b'{"requests": [' + b",".join([b'{"content":{"parts":[{"text":"a"}]}}'] * 5_000) + b"]}"


async def empty_parts(attacker: Attacker) -> None:
    """Send 19 MiB of parts, each of which becomes an object."""
    await attacker.call(EMBED, _PARTS)


async def fifty_thousand_vectors(attacker: Attacker) -> None:
    """Ask for an answer that is a thousand times as large as the question."""
    await attacker.call(MANY, _TEXTS)


_SHORT_VECTORS = _TEXTS.replace(b'{"content"', b'{"outputDimensionality":16,"content"')


async def fifty_thousand_short_vectors(attacker: Attacker) -> None:
    """Ask for as many vectors, so short that they are computed."""
    await attacker.call(MANY, _SHORT_VECTORS)


# Batches


def _batch_of(*lines: bytes, times: int = 1) -> Attack:
    """Return an attack that uploads these lines, so many times, and makes a batch of them."""

    async def attack(attacker: Attacker) -> None:
        body = b"\n".join(lines) * times
        stored = await attacker.call(UPLOAD, body, "X-Goog-Upload-Protocol: raw")
        with contextlib.suppress(ValueError, KeyError):
            name = json.loads(stored)["file"]["name"]
            batch = {"displayName": "attack", "inputConfig": {"fileName": name}, "priority": str(2**62)}
            await attacker.call(BATCH, json.dumps({"batch": batch}).encode())
        await asyncio.sleep(2)

    return attack


def _line(text: bytes = b"a", metadata: bytes = b"{}") -> bytes:
    return b'{"metadata":%b,"request":{"content":{"parts":[{"text":"%b"}]}}}' % (metadata, text)


_NESTED = b'{"a":[' + b"[]," * 6_500_000 + b"[]]}"

poison_batch = _batch_of(*[_line(metadata=_NESTED)] * 4)
heavy_batch = _batch_of(*[_line(text=b"ab " * 6_000_000)] * 8)
short_lines = _batch_of(b"x\n" * MIB, times=128)


# Limits of a key


async def calls_beyond_the_limit(attacker: Attacker) -> None:
    """Ask for more than the key may: texts, and tokens to count."""
    await attacker.call(MANY, _FEW_TEXTS)
    await attacker.call(COUNT, json.dumps({"contents": [{"parts": [{"text": "a b c d " * 200_000}]}]}).encode())


async def uploads_without_end(attacker: Attacker) -> None:
    """Begin uploads and never finish them."""
    lines = ["X-Goog-Upload-Protocol: resumable", "X-Goog-Upload-Command: start"]
    await attacker.call(UPLOAD, b"{}", *lines, "X-Goog-Upload-Header-Content-Length: 1000000000")


async def batches_without_end(attacker: Attacker) -> None:
    """Make batches of the highest priority there is, and of none."""
    for priority in (2**62, 0):
        requests = {"requests": {"requests": [{"request": _HONEST_REQUEST}] * 50}}
        batch = {"displayName": "attack", "inputConfig": requests, "priority": str(priority)}
        await attacker.call(BATCH, json.dumps({"batch": batch}).encode())


# An upstream server that is an attacker


async def hostile_upstream(attacker: Attacker) -> None:
    """Ask a gateway for what its upstream server answers with something else."""
    text = f"{next(_numbers)} texts"
    await attacker.call(EMBED, json.dumps({"content": {"parts": [{"text": text}]}}).encode())


_ROW = b'{"values":[' + b"0.5," * 7 + b"0.5]}"
_GZIP = {"content-encoding": "gzip"}
# Depth; a number for a row; a wrong length; a row for each of many texts; no number.
_HOSTILE: tuple[tuple[bytes, dict[str, str]], ...] = (
    (b"[" * 10 * MIB, {}),
    (b'{"embeddings":[{"values":0}]}', {}),
    (b'{"embeddings":[{"values":[0.5]}]}', {}),
    (b'{"embeddings":[' + b",".join([_ROW] * 300_000) + b"]}", {}),
    (b'{"embeddings":[{"values":[NaN,1e999]}]}', {}),
)


@functools.cache
def _bomb() -> bytes:
    """Return half a megabyte that becomes 500 when it is unpacked."""
    return gzip.compress(b'{"embeddings":[', 1) + gzip.compress(b" " * MIB, 9) * 500


class _Hostile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b'{"models":[{"name":"models/gemini-embedding-001","inputTokenLimit":2048}]}', {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        chosen = next(_numbers) % (len(_HOSTILE) + 1)
        self._answer(*(_HOSTILE[chosen] if chosen < len(_HOSTILE) else (_bomb(), _GZIP)))

    def _answer(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def hostile_server() -> Generator[str]:
    """Serve what no client expects; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hostile)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
