"""Send a server requests nobody should send, and fail on any 5xx, hang or growth of memory.

    python tools/fuzz_server.py [--requests 200000] [--seed 1] [--output benchmarks/results/fuzz.json]

One request in twenty is made by schemathesis from our OpenAPI document, valid or not; the others are copies of those
and of the document's examples with changed JSON or broken bytes. They are sent to a `gemvec serve` that the tool
starts, over raw sockets, several at a time; the result says how many were of which kind. This is not a benchmark: its
time means nothing. Calls without a route are passed on to a second server, which repeats what it gets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from echo_server import echoing
from http_mutations import Request, mutate
from http_requests import document, examples, made_requests, make_things, passed_on
from served import Served, machine, served

HANG_SECONDS = 5.0
CALLERS = 64  # most of them wait for the server to lose patience with a request that never ends
CLIENT_TIMEOUT_SECONDS = 0.5  # the server's patience, far below what counts as a hang
MADE_OF = 20  # one request of so many is made from the document
MAX_GROWTH_BYTES = 64 * 2**20
_OWN_HALT_SECONDS = 0.5
_SHOWN = 20
_MAX_LINES = 200
_SERVER_ERROR = 500
_UNKNOWN_CODING = 501


@dataclass
class Findings:
    """The results of the requests.

    Attributes:
        answers: how many of each status; `closed` where the server closed without one.
        server_errors: the first requests answered with 5xx, 501 excepted: RFC 9112 (section 6.1) asks for it where a
            transfer coding is not known.
        hangs: the first requests neither answered nor closed in time.
        memory_bytes: of the server, sampled twenty times.
    """

    answers: Counter[str] = field(default_factory=Counter)
    server_errors: list[dict[str, Any]] = field(default_factory=list)
    hangs: list[dict[str, Any]] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)

    def note(self, sent: bytes, answer: bytes | None) -> None:
        """Take one answer; None for a hang."""
        if answer is None:
            self.answers["hang"] += 1
            self.hangs.append(_shown(sent, b""))
            return
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "closed"
        self.answers[status] += 1
        if status.isdecimal() and int(status) >= _SERVER_ERROR and int(status) != _UNKNOWN_CODING:
            self.server_errors.append(_shown(sent, answer))

    @property
    def growth_bytes(self) -> int:
        """What the server's memory grew by after the first half, when everything that is kept was used once."""
        half = self.memory_bytes[len(self.memory_bytes) // 2 :]
        return half[-1] - half[0] if half else 0


def _shown(sent: bytes, answer: bytes) -> dict[str, Any]:
    return {"sent": sent[:2000].decode("latin-1"), "bytes": len(sent), "answer": answer[:500].decode("latin-1")}


def wire_requests(seeds: list[Request], made: list[Request], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` requests as bytes: those that were made as they are, and broken copies of all."""
    draw = random.Random(seed)
    for request in made:
        yield request.to_bytes()
    for _ in range(count - len(made)):
        yield mutate(draw.choice(seeds if not made or draw.random() < 0.5 else made), draw)  # noqa: PLR2004 - half and half


def is_whole(answer: bytes, *, has_body: bool) -> bool:
    """Say whether bytes begin with a whole answer."""
    head, ended, body = answer.partition(b"\r\n\r\n")
    if not ended or head.startswith(b"HTTP/1.1 100"):
        return bool(ended) and is_whole(body, has_body=has_body)
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    if not has_body:
        return True
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


async def exchange(server: Served, sent: bytes) -> bytes | None:
    """Send bytes on a connection of their own and return the first answer, or what came of it; None for a hang.

    Sent again where this process itself came to a halt meanwhile: it cannot say then how long the server took.
    """
    clock = asyncio.get_running_loop().time
    while True:
        expected_at = clock() + HANG_SECONDS
        answer = await _exchange(server, sent)
        if answer is not None or clock() < expected_at + _OWN_HALT_SECONDS:
            return answer


async def _exchange(server: Served, sent: bytes) -> bytes | None:
    writer = None
    try:
        async with asyncio.timeout(HANG_SECONDS):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(sent)
            answer = b""
            while not is_whole(answer, has_body=not sent.startswith(b"HEAD ")) and (block := await reader.read(65536)):
                answer += block
            return answer
    except TimeoutError:
        return None
    except OSError:  # the server closed while it was still being written to
        return b""
    finally:
        if writer is not None:
            writer.transport.abort()


async def fuzz(server: Served, sent: Iterator[bytes], count: int) -> Findings:
    """Send everything, several requests at a time."""
    findings = Findings()
    every = max(1, count // 20)

    async def call() -> None:
        for each in sent:
            findings.note(each, await exchange(server, each))
            if findings.answers.total() % every == 0 and server.is_alive():
                findings.memory_bytes.append(server.memory_bytes())

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return findings


def report(server: Served, findings: Findings, sent: dict[str, int]) -> tuple[dict[str, Any], list[str]]:
    """Return the result, and what is wrong with it; `sent` says how many requests were of which kind."""
    has_traceback = any(line.startswith("Traceback") for line in server.log)
    faults = [f"{len(findings.server_errors)} requests were answered with 5xx"] if findings.server_errors else []
    faults += [f"{len(findings.hangs)} requests hung for {HANG_SECONDS:g} s"] if findings.hangs else []
    faults += ["the server's memory grew"] if findings.growth_bytes > MAX_GROWTH_BYTES else []
    faults += ["the log has tracebacks"] if has_traceback else []
    faults += [] if server.is_alive() and httpx.get(server.url + "/readyz").is_success else ["the server is not ready"]
    result = {
        "requests": findings.answers.total(),
        "sent": sent,
        "callers": CALLERS,
        "client_timeout_seconds": CLIENT_TIMEOUT_SECONDS,
        "hang_seconds": HANG_SECONDS,
        "answers": dict(sorted(findings.answers.items())),
        "server_errors": findings.server_errors[:_SHOWN],
        "hangs": findings.hangs[:_SHOWN],
        "log": server.log[:_MAX_LINES] if has_traceback else [],
        "memory_bytes": findings.memory_bytes,
        "memory_growth_bytes": findings.growth_bytes,
        "faults": faults,
    }
    return result, faults


def run(count: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Fuzz a server of its own with `count` requests; return the result and what is wrong with it."""
    started = time.monotonic()
    with (
        echoing() as behind,
        served("--client-timeout-seconds", str(CLIENT_TIMEOUT_SECONDS), "--pass-through", behind) as server,
    ):
        # The vocabulary of token arrays is loaded once, when the first of them comes: 100 MiB that do not count as
        # growth.
        httpx.post(server.url + "/v1/embeddings", json={"input": [1]}, timeout=60)
        seeds = examples(server) + passed_on()
        made = made_requests(document(make_things(server)), count // MADE_OF, seed)[:count]
        findings = asyncio.run(fuzz(server, wire_requests(seeds, made, count, seed), count))
        sent = {"made from our OpenAPI document": len(made), "bent or broken copies": count - len(made)}
        result, faults = report(server, findings, sent)
    command = f"python tools/fuzz_server.py --requests {count} --seed {seed}"
    return {"command": command, **machine(), "seconds": round(time.monotonic() - started), **result}, faults


def main() -> int:
    """Fuzz and write the result."""
    parser = argparse.ArgumentParser(description="Send a server requests nobody should send.")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the result to this JSON file")
    options = parser.parse_args()
    result, faults = run(options.requests, options.seed)
    text = json.dumps(result, indent=1)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")
    print(text if faults else json.dumps(result["answers"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
