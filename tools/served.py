"""A `gemvec serve` process with the tiny model, for tools that try to break one; what a result says of its machine."""

from __future__ import annotations

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
from os import cpu_count
from pathlib import Path
from typing import IO, Any

from make_tiny_model import write_tiny_model

_PACKAGES = ("gemvec", "uvicorn", "h11", "starlette", "uvloop")


@dataclass
class Served:
    """A running server.

    Attributes:
        process: the server's process.
        host: its address.
        port: its port.
        log: the lines it has written to standard error.
    """

    process: subprocess.Popen[str]
    host: str
    port: int
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
def served(*options: str) -> Generator[Served]:
    """Serve the tiny model, under its own name `tiny` and the Gemini names, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="gemvec-served-") as folder:
        model = write_tiny_model(Path(folder) / "tiny")
        command = [sys.executable, "-m", "gemvec", "serve", "--port", "0", "--model", str(model)]
        command += ["--data-dir", str(Path(folder) / "data"), "--log-level", "warning", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stderr
        found = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline())
        if found is None:
            raise RuntimeError(process.communicate()[1])
        server = Served(process, found[1], int(found[2]))
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
