"""Measure what 500 slow connections do to everybody else.

    python tools/slow_connections.py [--connections 500] [--seconds 120] [--output FILE.json]

A `gemvec serve` that the tool starts answers a few ordinary callers, first alone, then beside the slow connections: a
third of them send a head byte by byte, a third send a body byte by byte, and a third download a file byte by byte; a
connection that is cut off is opened again at once. The times of the ordinary callers' requests are compared. The
measuring process also uses part of the machine (uvloop keeps that small); the quiet run has the same number of ordinary
callers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvloop
from served import Served, machine, served

CALLERS = 4
PAUSE_SECONDS = 0.02  # between two requests of one caller: a steady load, not a flood
BYTE_SECONDS = 1.0
MAX_RATIO = 2.0

_TEXT = json.dumps({"content": {"parts": [{"text": "How much wood would a woodchuck chuck?"}]}}).encode()
_PATH = "/v1beta/models/tiny:embedContent"
REQUEST = f"POST {_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(_TEXT)}\r\n\r\n".encode() + _TEXT
DOWNLOAD = b"GET /v1beta/files/large:download HTTP/1.1\r\nHost: localhost\r\n\r\n"
FILE_BYTES = 16 * 2**20  # more than the kernel keeps for a connection


async def ordinary(server: Served, until: float, seconds: list[float]) -> None:
    """Ask again and again on one connection, and note how long each answer took."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    while time.monotonic() < until:
        started = time.perf_counter()
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_SECONDS)
    writer.close()


async def trickle(sent: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send byte by byte, until it is all sent or the server has had enough."""
    for byte in sent:
        writer.write(bytes([byte]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BYTE_SECONDS):
                await reader.read(1)
                return
    await reader.read(1)


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a head byte by byte."""
    await trickle(REQUEST, reader, writer)


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a head, and the body byte by byte."""
    head, _, body = REQUEST.partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    await trickle(body, reader, writer)


async def slow_reader(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Download a file, and take it byte by byte."""
    writer.write(DOWNLOAD)
    for _ in range(FILE_BYTES):
        await reader.readexactly(1)
        await asyncio.sleep(BYTE_SECONDS)


SLOW = (slow_head, slow_body, slow_reader)
Way = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def slow(server: Served, way: Way, until: float, ends: Counter[str]) -> None:
    """Keep one slow connection open; count how often the server cut it off."""
    await asyncio.sleep(random.uniform(0, BYTE_SECONDS))
    while time.monotonic() < until:
        # A small buffer, so that an answer waits at the server and not here.
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await way(reader, writer)
            ends[f"{way.__name__} cut off"] += 1
        except TimeoutError:
            ends[f"{way.__name__} lasted"] += 1
        except (OSError, asyncio.IncompleteReadError):
            ends[f"{way.__name__} cut off"] += 1
        finally:
            writer.transport.abort()


def upload(server: Served) -> None:
    """Upload the file that slow readers download."""
    start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    rest = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
    with httpx.Client(base_url=server.url) as http:
        url = http.post("/upload/v1beta/files", json={"file": {"name": "files/large"}}, headers=start)
        http.post(url.headers["x-goog-upload-url"], content=bytes(FILE_BYTES), headers=rest).raise_for_status()


async def measure(server: Served, lasting_seconds: float, connections: int) -> tuple[list[float], Counter[str]]:
    """Return how long ordinary requests took beside so many slow connections, and what became of those."""
    until = time.monotonic() + lasting_seconds
    seconds: list[float] = []
    ends: Counter[str] = Counter()
    slow_ones = [slow(server, SLOW[number % len(SLOW)], until, ends) for number in range(connections)]
    await asyncio.gather(*slow_ones, *(ordinary(server, until, seconds) for _ in range(CALLERS)))
    return seconds, ends


def summary(seconds: list[float]) -> dict[str, float]:
    """Return how many requests there were and their times in milliseconds."""
    p50, p99 = (round(float(each) * 1000, 2) for each in np.percentile(seconds, [50, 99]))
    return {"requests": len(seconds), "p50_ms": p50, "p99_ms": p99, "max_ms": round(max(seconds) * 1000, 2)}


def run(connections: int, lasting_seconds: float, *options: str) -> dict[str, Any]:
    """Measure a server of its own, quiet and under slow connections."""
    with served(*options) as server:
        upload(server)
        uvloop.run(measure(server, min(5, lasting_seconds), 0))  # everything is loaded and warm
        quiet, _ = uvloop.run(measure(server, lasting_seconds, 0))
        busy, ends = uvloop.run(measure(server, lasting_seconds, connections))
        ratio = float(np.percentile(busy, 99) / np.percentile(quiet, 99))
        return {
            "command": f"python tools/slow_connections.py --connections {connections} --seconds {lasting_seconds:g}",
            **machine(),
            "connections": connections,
            "seconds": lasting_seconds,
            "quiet": summary(quiet),
            "under_slow_connections": summary(busy),
            "p99_ratio": round(ratio, 2),
            "slow_connections": dict(sorted(ends.items())),
            "memory_bytes": server.memory_bytes(),
        }


def main() -> int:
    """Measure and write the result; fails when the others' p99 reached twice its quiet value."""
    parser = argparse.ArgumentParser(description="Measure what slow connections do to everybody else.")
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--output", type=Path, help="write the result to this JSON file")
    options = parser.parse_args()
    result = run(options.connections, options.seconds)
    text = json.dumps(result, indent=1)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")
    print(text)
    return 0 if result["p99_ratio"] < MAX_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
