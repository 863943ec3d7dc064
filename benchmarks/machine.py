"""Where and with what figures were measured: part of every result, because two machines cannot be compared."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

INSTRUCTIONS = frozenset({"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8"})


def describe_run(packages: Iterable[str] = ("gemvec",)) -> dict[str, Any]:
    """Return the command, the commit, the machine, and the versions of Python and of packages."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit,
        "machine": describe_machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def describe_machine() -> dict[str, Any]:
    """Return the processor, the instructions that matter here, and how busy the machine is just now."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {
        "processor": facts.get("model name", platform.processor()),
        "instructions": sorted(INSTRUCTIONS & set(facts.get("flags", "").split())),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
    }
