"""Attack a server of its own in several ways, each beside an honest caller, and say what the honest caller felt.

    python tools/attacks.py [--seconds 10] [--memory-budget 800MiB] [--output FILE.json]

Each attack lasts some seconds on connections of its own, without a key. The result has, for each, the slowest of the
honest caller's small calls, the server's memory at its peak, and what the attacker was answered. Only this machine is
attacked. Fails where the server died, or an honest call was answered with anything but 200.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from served import Served, machine, served
from slow_connections import PAUSE_SECONDS, REQUEST

MIB = 2**20
_EMBED = "/v1beta/models/tiny:embedContent"
_MANY = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
_PATIENCE_SECONDS = 20.0

Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


def _head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def _whole(path: str, body: bytes, *lines: str) -> Send:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(_head(path, f"Content-Length: {len(body)}", *lines) + body)
        await writer.drain()

    return send


async def endless_trailer(writer: asyncio.StreamWriter) -> None:
    """Send a trailer without end."""
    writer.write(_head(_EMBED, "Transfer-Encoding: chunked") + b"0\r\n")
    while True:
        writer.write(b"X: bbbb\r\n" * 1000)
        await writer.drain()


async def unfinished_body(writer: asyncio.StreamWriter) -> None:
    """Send 19 MiB of a body and never the rest."""
    writer.write(_head(_EMBED, f"Content-Length: {19 * MIB + 1}") + b'{"content": {"parts": [{"text": "')
    for _ in range(19 * 16):
        writer.write(b"a " * 32768)
        await writer.drain()
    await asyncio.sleep(3600)


async def endless_head(writer: asyncio.StreamWriter) -> None:
    """Send headers without end."""
    writer.write(f"POST {_EMBED} HTTP/1.1\r\nHost: localhost\r\n".encode())
    while True:
        writer.write(b"X: bbbb\r\n" * 1000)
        await writer.drain()


_PARTS = b'{"content": {"parts": [' + b'{"text":""},' * 1_600_000 + b'{"text":"a"}]}}'
_VECTORS = b'{"requests": [' + b",".join([b'{"content":{"parts":[{"text":"a"}]}}'] * 50_000) + b"]}"

# How many connections each has at a time, and what they send.
ATTACKS: dict[str, tuple[int, Send]] = {
    "endless_trailer": (2, endless_trailer),
    "endless_head": (2, endless_head),
    "quadratic_parameters": (
        2,
        _whole(
            "/upload/v1beta/files?uploadType=multipart",
            b"",
            'Content-Type: multipart/related; a="' + ";" * 60_000 + '"',
        ),
    ),
    "unfinished_bodies": (100, unfinished_body),
    "empty_parts": (3, _whole(_EMBED, _PARTS)),
    "fifty_thousand_vectors": (3, _whole(_MANY, _VECTORS)),
    "idle_connections": (500, lambda _: asyncio.sleep(3600)),
}


async def honest(server: Served, until: float, seconds: list[float], answers: Counter[str]) -> None:
    """Ask again and again on one connection; note how long each answer took, and its status."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    while time.monotonic() < until:
        started = time.perf_counter()
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - started)
        answers[head[9:12].decode()] += 1
        await asyncio.sleep(PAUSE_SECONDS)
    writer.close()


async def attack(server: Served, send: Send, until: float, answers: Counter[str]) -> None:
    """Attack again and again until the time is over; count what comes back."""
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        sending = asyncio.create_task(_quietly(send, writer))
        try:
            async with asyncio.timeout(min(_PATIENCE_SECONDS, max(0.0, until - time.monotonic()))):
                answer = await reader.read(65536)
            answers[answer[9:12].decode("latin-1") or "closed"] += 1
        except TimeoutError:
            answers["nothing"] += 1
        except OSError:
            answers["closed"] += 1
        finally:
            sending.cancel()
            writer.transport.abort()
        await asyncio.sleep(PAUSE_SECONDS)


async def _quietly(send: Send, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await send(writer)


async def measure(server: Served, name: str, lasting_seconds: float) -> dict[str, Any]:
    """Return what one attack did."""
    connections, send = ATTACKS[name]
    until = time.monotonic() + lasting_seconds
    seconds: list[float] = []
    honest_answers: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    attackers = [attack(server, send, until, answers) for _ in range(connections)]
    await asyncio.gather(honest(server, until, seconds, honest_answers), *attackers)
    return {
        "connections": connections,
        "attacker_got": dict(answers),
        "honest_calls": dict(honest_answers),
        "honest_worst_ms": round(1000 * max(seconds), 1),
        "peak_memory_mib": round(peak_memory_bytes(server) / MIB),
    }


def peak_memory_bytes(server: Served) -> int:
    """Return the most that the server's process ever had in memory."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def run(lasting_seconds: float, memory_budget: str, names: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Attack a fresh server with each attack; return the result and what is wrong with it."""
    found: dict[str, Any] = {}
    faults: list[str] = []
    for name in names:
        with served("--memory-budget", memory_budget) as server:
            asyncio.run(measure(server, "idle_connections", 1.0))  # everything is loaded
            found[name] = asyncio.run(measure(server, name, lasting_seconds))
            if not server.is_alive():
                faults.append(f"{name}: the server died")
            if set(found[name]["honest_calls"]) != {"200"}:
                faults.append(f"{name}: honest calls were answered {found[name]['honest_calls']}")
    command = f"python tools/attacks.py --seconds {lasting_seconds:g} --memory-budget {memory_budget}"
    return {"command": command, **machine(), "attacks": found, "faults": faults}, faults


def main() -> int:
    """Attack, print and write the result."""
    parser = argparse.ArgumentParser(description="Attack a server beside an honest caller.")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--memory-budget", default="800MiB", help="two fifths of 2 GiB unless given")
    parser.add_argument("--attack", action="append", choices=sorted(ATTACKS))
    parser.add_argument("--output", type=Path, help="write the result to this JSON file")
    options = parser.parse_args()
    result, faults = run(options.seconds, options.memory_budget, options.attack or list(ATTACKS))
    text = json.dumps(result, indent=1)
    if options.output:
        options.output.write_text(text + "\n")
    print(text)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
