"""Load a server with everything at once for half an hour, and see whether its memory goes on growing.

    python tools/steady_load.py [--minutes 30] [--model NAME] [--output benchmarks/results/steady_load.json]

Several callers at a modest rate, each with calls of its own: single texts and many, counts, calls that are refused or
broken off, files that come and go, batches that are made, cancelled and deleted. Resident memory is noted every second.
The result compares the last third of the time with the one before. Fails if the mean has grown by more than 20 MiB, or
if the server died or answered 500.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attackers import BATCH, COUNT, EMBED, MANY, UPLOAD
from served import Served, machine, served

from gemvec.settings import cache_home

MODEL = "all-minilm-l6-v2"
MAX_GROWTH_MIB = 20
MIB = 2**20
_TIMEOUT_SECONDS = 120.0
_CANCELLED = 0.3  # of the batches
_WORDS = (
    "a",
    "server",
    "must",
    "not",
    "take",
    "more",
    "memory",
    "than",
    "it",
    "had",
    "after",
    "its",
    "first",
    "minutes",
)


@dataclass
class Caller:
    """Somebody who calls, and counts what was answered.

    Attributes:
        host: where the server is.
        port: its port.
        chance: chooses texts and sizes.
        answers: statuses by kind of call.
    """

    host: str
    port: int
    chance: random.Random
    answers: Counter[str] = field(default_factory=Counter)

    async def call(self, method: str, path: str, body: bytes = b"", *lines: str, kind: str = "") -> bytes:
        """Send a request; return the body of its answer."""
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close"]
        answer = b""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                writer.write("\r\n".join([*head, *lines, "", ""]).encode() + body)
                answer = await reader.read()
                writer.close()
        except (OSError, TimeoutError):
            pass
        self.answers[f"{kind} {answer[9:12].decode('latin-1') or 'nothing'}"] += 1
        return answer.partition(b"\r\n\r\n")[2]

    def text(self, most_words: int = 60) -> str:
        """Return some words."""
        return " ".join(self.chance.choices(_WORDS, k=self.chance.randint(1, most_words)))

    def content(self) -> dict[str, Any]:
        """Return a content with some words."""
        return {"content": {"parts": [{"text": self.text()}]}}


async def _embed_one(caller: Caller) -> None:
    await caller.call("POST", EMBED, _json(caller.content()), kind="one text")


async def _embed_many(caller: Caller) -> None:
    count = caller.chance.choice((10, 50, 100, 500))
    requests = [{"model": "models/gemini-embedding-001", **caller.content()} for _ in range(count)]
    await caller.call("POST", MANY, _json({"requests": requests}), kind="many texts")


async def _embed_for_others(caller: Caller) -> None:
    body = {"model": MODEL, "input": [caller.text() for _ in range(20)]}
    await caller.call("POST", "/v1/embeddings", _json(body), kind="OpenAI")


async def _count(caller: Caller) -> None:
    await caller.call("POST", COUNT, _json({"contents": [caller.content()["content"]]}), kind="count")


async def _refused(caller: Caller) -> None:
    await caller.call("POST", EMBED, b'{"content": {"parts": [{"text": 1}]}}', kind="refused")
    await caller.call("GET", f"/v1beta/files/none-{caller.chance.randrange(10**6)}", kind="missing")


async def _broken_off(caller: Caller) -> None:
    reader, writer = await asyncio.open_connection(caller.host, caller.port)
    writer.write(f"POST {MANY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n".encode() + b"{" * 20_000)
    await writer.drain()
    writer.transport.abort()
    del reader
    caller.answers["broken off"] += 1


async def _file(caller: Caller) -> None:
    content = caller.chance.randbytes(caller.chance.randint(1, 2 * MIB))
    stored = await caller.call("POST", UPLOAD, content, "X-Goog-Upload-Protocol: raw", kind="upload")
    name = _field(stored, "file", "name")
    if name:
        await caller.call("GET", f"/v1beta/{name}:download?alt=media", kind="download")
        await caller.call("DELETE", f"/v1beta/{name}", kind="delete file")


async def _batch(caller: Caller) -> None:
    requests = [{"request": caller.content()} for _ in range(caller.chance.randint(1, 300))]
    batch = {"displayName": "load", "inputConfig": {"requests": {"requests": requests}}}
    name = _field(await caller.call("POST", BATCH, _json({"batch": batch}), kind="batch"), "name")
    if not name:
        return
    if caller.chance.random() < _CANCELLED:
        await caller.call("POST", f"/v1beta/{name}:cancel", kind="cancel")
    for _ in range(60):
        if _field(await caller.call("GET", f"/v1beta/{name}", kind="poll"), "done"):
            break
        await asyncio.sleep(1)
    await caller.call("DELETE", f"/v1beta/{name}", kind="delete batch")


async def _look(caller: Caller) -> None:
    for path in ("/metrics", "/v1beta/models", "/v1beta/batches", "/readyz", "/"):
        await caller.call("GET", path, kind="look")


# Each kind of caller, and its pause between two calls in seconds.
_CALLERS: tuple[tuple[Callable[[Caller], Awaitable[None]], float], ...] = (
    (_embed_one, 0.2),
    (_embed_many, 2.0),
    (_embed_for_others, 1.0),
    (_count, 1.0),
    (_refused, 1.0),
    (_broken_off, 2.0),
    (_file, 3.0),
    (_batch, 5.0),
    (_look, 10.0),
)


async def load(server: Served, seconds: float, seed: int) -> tuple[list[float], Counter[str]]:
    """Load a server; return its resident memory in MiB once a second, and what was answered."""
    until = time.monotonic() + seconds
    answers: Counter[str] = Counter()

    async def go_on(act: Callable[[Caller], Awaitable[None]], pause_seconds: float, number: int) -> None:
        caller = Caller(server.host, server.port, random.Random(f"{seed} {number}"), answers)
        while time.monotonic() < until:
            await act(caller)
            await asyncio.sleep(caller.chance.uniform(0, 2 * pause_seconds))

    calling = [asyncio.create_task(go_on(act, pause, number)) for number, (act, pause) in enumerate(_CALLERS)]
    resident: list[float] = []
    while time.monotonic() < until and server.is_alive():
        resident.append(server.memory_bytes() / MIB)
        await asyncio.sleep(1)
    await asyncio.wait(calling, timeout=_TIMEOUT_SECONDS)
    return resident, answers


def judge(resident: list[float], answers: Counter[str], *, is_alive: bool) -> dict[str, Any]:
    """Return what was found, with what is wrong with it."""
    third = len(resident) // 3
    before, last = resident[third : 2 * third], resident[2 * third :]
    growth = statistics.mean(last) - statistics.mean(before)
    faults = [] if is_alive else ["the server died"]
    faults += [f"answered: {each}" for each in answers if re.search(r" 500$| nothing$", each)]
    if growth > MAX_GROWTH_MIB:
        faults.append(f"resident memory grew by {growth:.1f} MiB")
    return {
        "minutes": round(len(resident) / 60, 1),
        "resident_mib": {
            "first_third_mean": round(statistics.mean(resident[:third]), 1),
            "second_third_mean": round(statistics.mean(before), 1),
            "last_third_mean": round(statistics.mean(last), 1),
            "second_third_most": round(max(before), 1),
            "last_third_most": round(max(last), 1),
            "growth_of_the_mean": round(growth, 1),
        },
        "answers": dict(sorted(answers.items())),
        "faults": faults,
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _field(body: bytes, *names: str) -> Any:
    """Return a field of a JSON answer, None where it is not there."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def main() -> int:
    """Load, print and write the result."""
    parser = argparse.ArgumentParser(description="Load a server with everything at once, and watch its memory.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the result to this JSON file")
    options = parser.parse_args()
    with served("--model", options.model, "--cache-dir", str(cache_home())) as server:
        resident, answers = asyncio.run(load(server, 60 * options.minutes, options.seed))
        found = judge(resident, answers, is_alive=server.is_alive())
    command = "python tools/steady_load.py " + " ".join(sys.argv[1:])
    text = json.dumps({"command": command.strip(), **machine(), "model": options.model, **found}, indent=1)
    if options.output:
        options.output.write_text(text + "\n")
    print(text)
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
