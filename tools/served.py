"""A `gemvec serve` process with the tiny model, for tools that try to break one; what a result says of its machine."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from os import cpu_count
from pathlib import Path
from typing import IO, Any

from make_tiny_model import write_tiny_model

_numbers = count()
_PACKAGES = ("gemvec", "uvicorn", "httptools", "starlette", "uvloop")


@dataclass
class Served:
    """A running server.

    Attributes:
        process: the server's process.
        host: its address.
        port: its port.
        data_dir: its data folder.
        log: the lines it has written to standard error.
    """

    process: subprocess.Popen[str]
    host: str
    port: int
    data_dir: Path
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    def memory_bytes(self) -> int:
        """Return what the process has in memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def is_alive(self) -> bool:
        """Say whether the process still runs."""
        return self.process.poll() is None


@contextmanager
def served(*options: str, memory_bytes: int | None = None) -> Generator[Served]:
    """Serve the tiny model, under its own name `tiny` and the Gemini names, for as long as the context lasts.

    Args:
        options: more of `gemvec serve`; with `--upstream` or `--model`, the tiny model is not served.
        memory_bytes: how much memory the process may have.
    """
    with tempfile.TemporaryDirectory(prefix="gemvec-served-") as folder, limited(memory_bytes) as prefix:
        data_dir = Path(folder) / "data"
        command = [*prefix, sys.executable, "-m", "gemvec", "serve", "--port", "0", "--log-level", "warning"]
        command += ["--data-dir", str(data_dir), "--cache-dir", str(Path(folder) / "cache")]
        if not {"--upstream", "--model"} & set(options):
            command += ["--model", str(write_tiny_model(Path(folder) / "tiny"))]
        command += options
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stderr
        found = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline())
        if found is None:
            raise RuntimeError(process.communicate()[1])
        server = Served(process, found[1], int(found[2]), data_dir)
        readers = [
            threading.Thread(target=_read, args=(process.stderr, server.log)),
            threading.Thread(target=_read, args=(process.stdout, [])),
        ]
        for reader in readers:
            reader.start()
        try:
            yield server
        finally:
            process.terminate()
            process.wait(60)
            for reader in readers:
                reader.join()
            process.stdout.close()
            process.stderr.close()


@contextmanager
def limited(memory_bytes: int | None) -> Generator[tuple[str, ...]]:
    """Yield what a command begins with to be limited: in a control group of its own, else by its address space."""
    if memory_bytes is None:
        yield ()
        return
    group = _make_group(memory_bytes)
    if group is None:
        yield ("sh", "-c", f'ulimit -v {memory_bytes // 1024}; exec "$@"', "sh")
        return
    try:
        yield ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
    finally:
        group.rmdir()


def _make_group(memory_bytes: int) -> Path | None:
    """Return a new control group with this limit, in either version of the interface; None where that cannot be."""
    for root, limit in (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        if not (Path(root) / "cgroup.procs").exists():
            continue
        group = Path(root) / f"gemvec-{os.getpid()}-{next(_numbers)}"
        with contextlib.suppress(OSError):
            group.mkdir()
            try:
                (group / limit).write_text(str(memory_bytes))
            except OSError:
                group.rmdir()
            else:
                return group
    return None


def _read(stream: IO[str], lines: list[str]) -> None:
    lines.extend(stream)


def machine() -> dict[str, Any]:
    """Describe where and with what a result was made."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "processor": model[1] if model else platform.machine(),
        "cores": cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
    }
