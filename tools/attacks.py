"""Attack a server in many ways, each beside an honest caller, and report how the honest caller was affected.

    python tools/attacks.py [--seconds 10] [--attack NAME]... [--output FILE.json]

The server may have 2 GiB of memory: a control group limits it where this user may make one, else its address space. It
starts its own server. Each attack lasts some seconds on its own connections. The result has, for each, the slowest of
the honest caller's small calls, the server's memory at its peak, and what the attacker was answered. Only this machine
is attacked. Fails if the server died or took too much memory, or an honest call was answered with anything but 200;
with `--most-milliseconds`, also where one took longer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attackers
from attackers import MIB, Attack, Attacker, hostile_server
from honest_caller import calling
from served import Served, machine, served

from gemvec.server.key_limits import KeyLimits
from gemvec.server.keys import KeyStore
from gemvec.storage.database import DATABASE_NAME, open_database

MEMORY_BYTES = 2048 * MIB
MAX_BYTES = 1229 * MIB  # 1.2 GiB
_HONEST_KEY = "honest"
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Plan:
    """How an attack is carried out.

    Attributes:
        attack: what is sent.
        connections: how many send it at a time.
        options: of the server.
        has_key: whether the server asks for keys; the attacker's has limits.
        is_upstream: whether the attacker is the server behind a gateway.
    """

    attack: Attack
    connections: int = 3
    options: tuple[str, ...] = ()
    has_key: bool = False
    is_upstream: bool = False


PLANS: dict[str, Plan] = {
    "endless_trailer": Plan(attackers.endless_trailer),
    "endless_head": Plan(attackers.endless_head),
    "quadratic_parameters": Plan(attackers.quadratic_parameters),
    "forbidden_heads": Plan(attackers.forbidden_heads),
    "idle_connections": Plan(attackers.idle_connections, 500, ("--max-connections", "400")),
    "unfinished_bodies": Plan(attackers.unfinished_bodies, 100),
    "empty_parts": Plan(attackers.empty_parts),
    "fifty_thousand_vectors": Plan(attackers.fifty_thousand_vectors),
    "fifty_thousand_short_vectors": Plan(attackers.fifty_thousand_short_vectors),
    "heavy_batch": Plan(attackers.heavy_batch, 1),
    "poison_batch": Plan(attackers.poison_batch, 1),
    "short_lines": Plan(attackers.short_lines, 1),
    "calls_beyond_the_limit": Plan(attackers.calls_beyond_the_limit, has_key=True),
    "uploads_without_end": Plan(attackers.uploads_without_end, options=("--max-open-uploads", "20"), has_key=True),
    "batches_without_end": Plan(
        attackers.batches_without_end, options=("--max-open-batches", "5", "--max-priority", "0"), has_key=True
    ),
    "hostile_upstream": Plan(attackers.hostile_upstream, is_upstream=True),
}


@contextmanager
def target_of(plan: Plan) -> Generator[tuple[Served, str, tuple[str, ...]]]:
    """Serve what a plan attacks; yield the server, the attacker's key, and the options of the honest caller."""
    if plan.is_upstream:
        # What a hostile server answers is not the gateway's to mend: the honest caller asks for something else.
        with hostile_server() as url, served("--upstream", url, *plan.options, memory_bytes=MEMORY_BYTES) as server:
            yield server, "", ("--method", "GET", "--path", "/v1beta/models")
        return
    keys = ("--api-key", _HONEST_KEY) if plan.has_key else ()
    with served(*keys, *plan.options, memory_bytes=MEMORY_BYTES) as server:
        key = _make_key(server) if plan.has_key else ""
        yield server, key, ("--key", _HONEST_KEY) if plan.has_key else ()


def _make_key(server: Served) -> str:
    """Make a key that may little."""
    database = open_database(server.data_dir / DATABASE_NAME)
    try:
        _, key = KeyStore(database).create("attacker", limits=KeyLimits(requests_per_minute=10, tokens_per_minute=100))
    finally:
        database.close()
    return key


async def measure(name: str, lasting_seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Return what one attack did, and what is wrong with that."""
    plan = PLANS[name]
    answers: Counter[str] = Counter()
    with target_of(plan) as (server, key, options):
        async with calling(server.host, server.port, 0.3, *options):  # everything is loaded
            pass
        async with calling(server.host, server.port, lasting_seconds + 0.5, *options) as honest:
            await asyncio.sleep(0.4)  # until it is connected
            attacker = Attacker(server.host, server.port, key, answers)
            until = time.monotonic() + lasting_seconds
            attacking = [asyncio.create_task(_attack(plan.attack, attacker, until)) for _ in range(plan.connections)]
            await asyncio.wait(attacking, timeout=lasting_seconds)
            for each in attacking:
                each.cancel()
            await asyncio.gather(*attacking, return_exceptions=True)
        peak_bytes = peak_memory_bytes(server)
        is_alive = server.is_alive()
    milliseconds = sorted(honest.found["milliseconds"])
    found = {
        "connections": plan.connections,
        "attacker_got": dict(answers),
        "honest_calls": honest.found["statuses"],
        "honest_p99_ms": round(milliseconds[int(0.99 * (len(milliseconds) - 1))], 1),
        "honest_worst_ms": round(milliseconds[-1], 1),
        "peak_memory_mib": round(peak_bytes / MIB),
    }
    faults = [] if is_alive else [f"{name}: the server died"]
    if set(found["honest_calls"]) != {"200"}:
        faults.append(f"{name}: honest calls were answered {found['honest_calls']}")
    if peak_bytes > MAX_BYTES:
        faults.append(f"{name}: the server took {found['peak_memory_mib']} MiB of memory")
    return found, faults


async def _attack(attack: Attack, attacker: Attacker, until: float) -> None:
    """Attack again and again until the time is over."""
    while time.monotonic() < until:
        try:
            await attack(attacker)
        except OSError:
            attacker.answers["closed"] += 1
        await asyncio.sleep(_PAUSE_SECONDS)


def peak_memory_bytes(server: Served) -> int:
    """Return the most that the server's process ever had in memory, 0 if it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    except FileNotFoundError:
        return 0
    return int(found[1]) * 1024 if found else 0


def run(lasting_seconds: float, names: list[str], most_milliseconds: float) -> dict[str, Any]:
    """Attack a fresh server with each attack; return the result."""
    found: dict[str, Any] = {}
    faults: list[str] = []
    for name in names:
        found[name], its_faults = asyncio.run(measure(name, lasting_seconds))
        faults += its_faults
        if found[name]["honest_worst_ms"] > most_milliseconds:
            faults.append(f"{name}: an honest call took {found[name]['honest_worst_ms']} ms")
    command = f"python tools/attacks.py --seconds {lasting_seconds:g}"
    return {"command": command, **machine(), "attacks": found, "faults": faults}


def main() -> int:
    """Attack, print and write the result."""
    parser = argparse.ArgumentParser(description="Attack a server beside an honest caller.")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--attack", action="append", choices=sorted(PLANS))
    parser.add_argument("--most-milliseconds", type=float, default=float("inf"), help="the slowest honest call allowed")
    parser.add_argument("--output", type=Path, help="write the result to this JSON file")
    options = parser.parse_args()
    result = run(options.seconds, options.attack or list(PLANS), options.most_milliseconds)
    text = json.dumps(result, indent=1)
    if options.output:
        options.output.write_text(text + "\n")
    print(text)
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
