"""How large the memory budget is (`gemvec/memory.py`), how much of it requests take, and whose share that is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.types import Scope

from gemvec.files.content import BLOCK_BYTES
from gemvec.memory import UNLIMITED, Reservation
from gemvec.settings import Settings

# The share of the process' memory; the model and the interpreter need the rest.
_SHARE = 0.4

# Bodies up to this size are not counted; `--max-connections` bounds them together.
FREE_BYTES = 16 * 1024
# The most that the JSON of one body may take as objects. Decoding so many stops everything else for about 0.1 s.
MAX_JSON_BYTES = 256 * 2**20
# The memory of an upload: a block of its body, and the pieces that the block is made of.
STREAM_BYTES = 2 * BLOCK_BYTES
# A vector's value in an answer: a float32, its JSON, and the JSON again in the whole answer.
ANSWER_VALUE_BYTES = 26
# What each text takes beside its characters and its vector: its request, its tokens, its place in the queue.
TEXT_BYTES = 2 * 1024


def reservation_of(request: Request) -> Reservation:
    """Return the reservation of `request`."""
    reservation: Reservation = request.scope["state"]["memory"]
    return reservation


def payer_of(scope: Scope) -> str:
    """Return whose share a request counts against: its key's owner, or the address of a caller without a key."""
    owner: str = scope["state"].get("owner", "")
    client: tuple[str, int] | None = scope.get("client")
    return owner or (client[0] if client else "")


def budget_bytes(settings: Settings) -> int:
    """Return the budget from the settings, or a share of the memory that this process may have."""
    return settings.memory_budget or int(_SHARE * available_bytes())


def available_bytes(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory that this process may have: that of its control groups or limits, or of the machine."""
    return min(_machine_bytes(), _address_space_bytes(), *_cgroup_limits(proc, root))


def _cgroup_limits(proc: Path, root: Path) -> Iterator[int]:
    """Yield the limits of this process' control group and of its parents, in either version of the interface."""
    lines = proc.read_text().splitlines() if proc.is_file() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        folder = top / path.lstrip("/")
        for each in (folder, *folder.parents):
            yield _read_limit(each / name)
            if each == top:
                break
    yield UNLIMITED


def _read_limit(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return UNLIMITED
    return int(text) if text.isdecimal() and int(text) > 0 else UNLIMITED


def _address_space_bytes() -> int:
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return UNLIMITED
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def _machine_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        return UNLIMITED
