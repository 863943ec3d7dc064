"""Which program should parse HTTP/1.1: what a request costs under each, and how each handles bad clients.

    python benchmarks/http_servers.py [--rounds 5] [--output benchmarks/results/http_servers.json]

The same application with a static model of random weights runs under each server. Costs are processor seconds of the
server's process, so that other load on the machine matters little: a small call (one text), a large one (`TEXTS` texts)
and an upload of 16 MiB. Under `behaviour` it is tried whether a body behind an `Upgrade` header is kept, whether a body
or a reader that stands still is cut off, how much of an endless trailer is read, and whether the application hears that
its caller has left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import describe_run

from gemvec.settings import process_environ

SERVERS = ("uvicorn-httptools", "uvicorn-h11", "gemvec", "hypercorn", "granian")
SMALL, LARGE, TEXTS, UPLOADS = 500, 10, 1000, 5
CALLS_BESIDE = 10
PATIENCE_SECONDS = 2.0
PATH = "/v1beta/models/tiny:batchEmbedContents"
ONE = {"content": {"parts": [{"text": "How much wood would a woodchuck chuck?"}]}}
LEFT = b"the application heard that its caller left\n"


def serve(name: str, port: int, folder: str) -> None:
    """Serve in this process until it is killed."""
    from make_tiny_model import write_tiny_model

    from gemvec.server.app import create_app
    from gemvec.server.services import open_services
    from gemvec.settings import Settings

    model = write_tiny_model(Path(folder) / "tiny")
    settings = Settings(
        model=(str(model),), data_dir=Path(folder), streams=1, client_timeout_seconds=PATIENCE_SECONDS, port=port
    )
    services = open_services(settings)
    app = _telling(create_app(services), Path(folder) / "note")
    if name in {"gemvec", "uvicorn-h11", "uvicorn-httptools"}:
        import uvicorn

        from gemvec.server.protocol import bounded_protocol

        protocol: Any = bounded_protocol(settings) if name == "gemvec" else name.partition("-")[2]
        uvicorn.run(app, port=port, http=protocol, access_log=False, log_level="error")
    elif name == "hypercorn":
        from hypercorn.asyncio import serve as hypercorn_serve
        from hypercorn.config import Config

        config = Config()
        config.bind = [f"127.0.0.1:{port}"]
        config.read_timeout = int(PATIENCE_SECONDS)
        import uvloop

        uvloop.run(hypercorn_serve(app, config))  # type: ignore[arg-type]
    else:
        import uvloop
        from granian.constants import Interfaces
        from granian.http import HTTP1Settings
        from granian.server.embed import Server

        http1 = HTTP1Settings(header_read_timeout=int(PATIENCE_SECONDS * 1000))
        uvloop.run(Server(app, port=port, interface=Interfaces.ASGI, http1_settings=http1, log_enabled=False).serve())


def _telling(app: Any, note: Path) -> Any:
    """Wrap an application so that a call of `/wait` waits until its caller leaves, and leaves a note then."""

    async def telling(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != "/wait":
            await app(scope, receive, send)
            return
        while (await receive())["type"] != "http.disconnect":
            pass
        await asyncio.to_thread(note.write_bytes, LEFT)

    return telling


@contextmanager
def running(name: str, port: int) -> Generator[tuple[int, Path]]:
    """Run a server; gives its process id and the file in which the application leaves its note."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "note"
        environment = process_environ() | {"PYTHONPATH": "tools"}
        command = [sys.executable, __file__, "--serve", name, "--port", str(port), "--folder", folder]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    call(port, "GET", "/readyz", b"")
                    break
                time.sleep(0.1)
            yield process.pid, note
        finally:
            process.kill()
            process.wait()


def call(port: int, method: str, path: str, body: bytes) -> int:
    """Make one call on a new connection and return its status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def costs(pid: int, port: int) -> dict[str, float]:
    """Return milliseconds of processor time for each kind of call."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def repeat(count: int, path: str, body: bytes) -> float:
        before = cpu_seconds(pid)
        for _ in range(count):
            connection.request("POST", path, body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
        return 1000 * (cpu_seconds(pid) - before) / count

    small, large = (json.dumps({"requests": [ONE] * count}).encode() for count in (1, TEXTS))
    repeat(50, PATH, small)
    result = {"small_call_ms": repeat(SMALL, PATH, small), "large_call_ms": repeat(LARGE, PATH, large)}
    upload = "/upload/v1beta/files?uploadType=media"
    return result | {"upload_16_mib_ms": repeat(UPLOADS, upload, bytes(16 * 2**20))}


def behaviour(port: int, note: Path) -> dict[str, Any]:
    """Return how bad clients are handled."""
    body = json.dumps({"requests": [ONE]}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
    offered = _answer_to(port, head + b"Connection: upgrade, close\r\nUpgrade: h2c\r\n\r\n" + body)
    return {
        "keeps_the_body_behind_an_upgrade_offer": offered.startswith(b"HTTP/1.1 200"),
        "cuts_off_a_body_that_stands_still": _is_cut_off(port, head + b"\r\n" + body[:10]),
        "cuts_off_a_head_that_stands_still": _is_cut_off(port, head),
        "worst_call_ms_beside_an_endless_trailer": _beside_trailer(port, body),
        "tells_the_application_that_the_caller_left": _is_told(port, note),
    }


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=4 * PATIENCE_SECONDS)


def _answer_to(port: int, sent: bytes) -> bytes:
    with _connect(port) as connection, contextlib.suppress(OSError):
        connection.sendall(sent)
        return connection.recv(65536)
    return b""


def _is_cut_off(port: int, sent: bytes) -> bool:
    with _connect(port) as connection:
        connection.sendall(sent)
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def _beside_trailer(port: int, body: bytes) -> float:
    """Return the milliseconds of the slowest of a few small calls beside a client that sends a trailer without end."""
    ended = threading.Event()

    def attack() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError), _connect(port) as connection:
                connection.sendall(
                    f"POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode()
                )
                while not ended.is_set():
                    connection.sendall(b"X: bbbb\r\n" * 1000)

    attacker = threading.Thread(target=attack)
    attacker.start()
    took: list[float] = []
    for _ in range(CALLS_BESIDE):
        started = time.perf_counter()
        call(port, "POST", PATH, body)
        took.append(1000 * (time.perf_counter() - started))
    ended.set()
    attacker.join()
    return round(max(took), 1)


def _is_told(port: int, note: Path) -> bool:
    with _connect(port) as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
    until = time.monotonic() + 5
    while time.monotonic() < until and not note.exists():
        time.sleep(0.05)
    return note.exists()


def measure(first_port: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Return the medians of each server's costs, measured in turns, and its behaviour."""
    with contextlib.ExitStack() as stack:
        ports = {name: first_port + index for index, name in enumerate(SERVERS)}
        started = {name: stack.enter_context(running(name, port)) for name, port in ports.items()}
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in SERVERS}
        for _ in range(rounds):
            for name, (pid, _) in started.items():
                taken[name].append(costs(pid, ports[name]))
        found: dict[str, dict[str, Any]] = {}
        for name, (_, note) in started.items():
            middle = {kind: round(statistics.median(one[kind] for one in taken[name]), 3) for kind in taken[name][0]}
            found[name] = middle | behaviour(ports[name], note)
            print(name, json.dumps(found[name]), flush=True)
        return found


def main() -> None:
    """Measure every server, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=18_766)
    parser.add_argument("--serve", choices=SERVERS)
    parser.add_argument("--folder")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port, options.folder)
        return
    found = measure(options.port, options.rounds)
    if options.output:
        run = describe_run(("gemvec", "uvicorn", "h11", "httptools", "hypercorn", "granian"))
        options.output.write_text(json.dumps({**run, "servers": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
