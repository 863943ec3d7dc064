"""A caller who asks again and again, and notes how long each answer took: what others do to it is measured.

    python tools/honest_caller.py HOST PORT SECONDS [--key KEY] [--method GET --path PATH]

A process of its own, so that only the server can keep it waiting. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvloop

PATH = "/v1beta/models/gemini-embedding-001:embedContent"
_BODY = json.dumps({"content": {"parts": [{"text": "How much wood would a woodchuck chuck?"}]}}).encode()
_PAUSE_SECONDS = 0.02  # between two calls: a steady load, not a flood
_TIMEOUT_SECONDS = 60.0


def _request(method: str, path: str, key: str) -> bytes:
    body = b"" if method == "GET" else _BODY
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"x-goog-api-key: {key}"] if key else []
    return "\r\n".join([*lines, "", ""]).encode() + body


async def call(host: str, port: int, lasting_seconds: float, request: bytes) -> dict[str, Any]:
    """Ask on one connection until the time is over; return the time of each call in milliseconds, and the statuses."""
    reader, writer = await asyncio.open_connection(host, port)
    until = time.monotonic() + lasting_seconds
    milliseconds: list[float] = []
    statuses: Counter[str] = Counter()
    while time.monotonic() < until:
        started = time.perf_counter()
        writer.write(request)
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
            statuses[head[9:12].decode()] += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            statuses["nothing"] += 1
            milliseconds.append(1000 * (time.perf_counter() - started))
            break
        milliseconds.append(1000 * (time.perf_counter() - started))
        await asyncio.sleep(_PAUSE_SECONDS)
    writer.close()
    return {"milliseconds": milliseconds, "statuses": dict(statuses)}


class HonestCaller:
    """A running caller.

    Attributes:
        found: what it printed, once it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Watch a process that has connected."""
        self._process = process
        self.found: dict[str, Any] = {}

    async def finish(self) -> None:
        """Wait until its time is over."""
        output, _ = await self._process.communicate()
        self.found = json.loads(output)


@asynccontextmanager
async def calling(host: str, port: int, lasting_seconds: float, *options: str) -> AsyncGenerator[HonestCaller]:
    """Let an honest caller call while the block lasts, at least for so many seconds."""
    command = [sys.executable, __file__, host, str(port), str(lasting_seconds), *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    caller = HonestCaller(process)
    try:
        yield caller
        await caller.finish()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def main() -> None:
    """Call, and print what was felt."""
    parser = argparse.ArgumentParser(description="Ask a server again and again, and note how long it takes.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--key", default="")
    parser.add_argument("--method", default="POST")
    parser.add_argument("--path", default=PATH)
    options = parser.parse_args()
    request = _request(options.method, options.path, options.key)
    print(json.dumps(uvloop.run(call(options.host, options.port, options.seconds, request))))


if __name__ == "__main__":
    main()
