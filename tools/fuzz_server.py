"""Send a server requests nobody should send, and fail on any 5xx, hang or growth of memory.

    python tools/fuzz_server.py [--requests 200000] [--seed 1] [--output benchmarks/results/fuzz.json]

One request in forty is made by schemathesis from our OpenAPI document, as it asks for and as it does not; the others
are those and the document's examples with their JSON bent or their bytes broken. They go to a `gemvec serve` of its
own, over raw sockets, several at a time. Not a benchmark: how long it takes says nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
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
from http_mutations import Request, mutate
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis.errors import Unsatisfiable
from served import Served, machine, served

from gemvec.server.docs import full_path, openapi_document
from gemvec.server.routes import ROUTES

HANG_SECONDS = 5.0
CALLERS = 64  # most of them wait for the server to lose patience with a request that never ends
MADE_OF = 40  # one request of so many is made from the document
MOST_GROWTH_BYTES = 64 * 2**20
_SHOWN = 20
_MOST_LINES = 200
_SERVER_ERROR = 500


@dataclass
class Findings:
    """What came of the requests.

    Attributes:
        answers: how many of each status; `closed` where the server closed without one.
        server_errors: the first requests answered with 5xx.
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
        if status.isdecimal() and int(status) >= _SERVER_ERROR:
            self.server_errors.append(_shown(sent, answer))

    @property
    def growth_bytes(self) -> int:
        """What the server's memory grew by after the first half, when everything that is kept was used once."""
        half = self.memory_bytes[len(self.memory_bytes) // 2 :]
        return half[-1] - half[0] if half else 0


def _shown(sent: bytes, answer: bytes) -> dict[str, Any]:
    return {"sent": sent[:2000].decode("latin-1"), "bytes": len(sent), "answer": answer[:500].decode("latin-1")}


def examples(server: Served) -> list[Request]:
    """Return a valid request for each route, with a file, an upload and a batch that exist."""
    names = make_things(server)
    found = []
    for row in ROUTES:
        path = full_path(row)
        for name, value in names.items():
            path = path.replace("{" + name + "}", value)
        body = json.dumps(row.example).encode() if row.example is not None else b""
        headers = {"Content-Type": "application/json"} if body else {}
        if path.startswith("/upload"):
            headers = {"X-Goog-Upload-Protocol": "raw", "X-Goog-Upload-Command": "upload", "X-Goog-Upload-Offset": "0"}
            body = b'{"file": {"displayName": "x"}}'
        found.append(Request(row.method, path, headers, body))
    return found


def make_things(server: Served) -> dict[str, str]:
    """Make what routes name, and return it by the name of the parameter."""
    upload = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    with httpx.Client(base_url=server.url) as http:
        url = http.post("/upload/v1beta/files", json={}, headers=upload).headers["x-goog-upload-url"]
        http.post("/upload/v1beta/files?uploadType=media", content=b"{}").raise_for_status()
        file = http.get("/v1beta/files").json()["files"][0]["name"]
        body = {
            "batch": {"inputConfig": {"requests": {"requests": [{"request": {"content": {"parts": [{"text": "a"}]}}}]}}}
        }
        batch = http.post("/v1beta/models/tiny:asyncBatchEmbedContent", json=body).json()["name"]
    return {
        "model": "tiny",
        "version": "v1beta",
        "upload": url.rpartition("/")[2],
        "file": file.rpartition("/")[2],
        "batch": batch.rpartition("/")[2],
    }


def document(names: dict[str, str]) -> dict[str, Any]:
    """Return our OpenAPI document with path parameters that name what exists, or nearly every request would be 404."""
    described: dict[str, Any] = copy.deepcopy(openapi_document(ROUTES))
    for operations in described["paths"].values():
        for operation in operations.values():
            for each in operation["parameters"]:
                if each["in"] == "path":
                    each["schema"] = {"type": "string", "enum": [names[each["name"]], "none"]}
    return described


def made_requests(described: dict[str, Any], count: int, seed: int) -> list[Request]:
    """Return about `count` requests that schemathesis makes of a document, good and bad."""
    import schemathesis

    schema = schemathesis.openapi.from_dict(described)
    schema.config.base_url = "http://x"
    operations = [each.ok() for each in schema.get_all_operations()]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    ways = [(operation, mode) for operation in operations for mode in modes]
    each_count = max(1, count // len(ways))
    if count < len(ways):
        ways = random.Random(seed).sample(ways, count)
    return [
        request
        for operation, mode in ways
        for request in _drawn(operation.as_strategy(generation_mode=mode), each_count, seed)
    ]


def _drawn(strategy: Any, count: int, seed: int) -> list[Request]:
    cases: list[Request] = []

    @hypothesis_seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def take(case: Any) -> None:
        cases.append(_request_of(case))

    try:
        take()
    except Unsatisfiable:  # no wrong value exists for this operation
        return []
    return cases


def _request_of(case: Any) -> Request:
    import requests

    prepared = requests.Request(**case.as_transport_kwargs()).prepare()
    headers = {
        name: value if isinstance(value, str) else value.decode("latin-1")
        for name, value in prepared.headers.items()
        if name.lower() not in {"content-length", "connection", "transfer-encoding", "host"}
    }
    body = prepared.body or b""
    return Request(
        prepared.method or "GET", prepared.path_url, headers, body if isinstance(body, bytes) else str(body).encode()
    )


def wire_requests(seeds: list[Request], made: list[Request], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` requests as bytes: those that were made as they are, and broken copies of all."""
    draw = random.Random(seed)
    for request in made[:count]:
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
    """Send bytes on a connection of their own and return the first answer, or what came of it; None for a hang."""
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


def report(server: Served, findings: Findings, seed: int, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Return the result, and what is wrong with it."""
    has_traceback = any(line.startswith("Traceback") for line in server.log)
    faults = [f"{len(findings.server_errors)} requests were answered with 5xx"] if findings.server_errors else []
    faults += [f"{len(findings.hangs)} requests hung for {HANG_SECONDS:g} s"] if findings.hangs else []
    faults += ["the server's memory grew"] if findings.growth_bytes > MOST_GROWTH_BYTES else []
    faults += ["the log has tracebacks"] if has_traceback else []
    faults += [] if server.is_alive() and httpx.get(server.url + "/readyz").is_success else ["the server is not ready"]
    result = {
        "command": f"python tools/fuzz_server.py --requests {findings.answers.total()} --seed {seed}",
        **machine(),
        "requests": findings.answers.total(),
        "seconds": round(seconds),
        "answers": dict(sorted(findings.answers.items())),
        "server_errors": findings.server_errors[:_SHOWN],
        "hangs": findings.hangs[:_SHOWN],
        "log": server.log[:_MOST_LINES] if has_traceback else [],
        "memory_bytes": findings.memory_bytes,
        "memory_growth_bytes": findings.growth_bytes,
        "faults": faults,
    }
    return result, faults


def run(count: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Fuzz a server of its own with `count` requests; return the result and what is wrong with it."""
    started = time.monotonic()
    with served("--client-timeout-seconds", "0.5") as server:
        seeds = examples(server)
        made = made_requests(document(make_things(server)), count // MADE_OF, seed)
        findings = asyncio.run(fuzz(server, wire_requests(seeds, made, count, seed), count))
        return report(server, findings, seed, time.monotonic() - started)


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
