"""How long a small caller waits for single texts while another floods the server with texts, 1,000 in a call.

    python tools/flood.py [--seconds 30] [--most-milliseconds 300] [--output benchmarks/results/flood.json]

Both have a key. The flood calls on 16 connections, again and again; the small caller asks for one text at a time, with
short pauses. Before the flood the small caller is measured alone. Fails if a call of the small caller is answered with
anything but 200, or if the 99th percentile of its calls beside the flood is longer than allowed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from attackers import MANY, Attacker
from honest_caller import calling
from served import Served, machine, served
from steady_load import MODEL

from gemvec.settings import cache_home

CONNECTIONS, TEXTS = 16, 1000
_SMALL_KEY, _FLOOD_KEY = "small", "flood"
_MAX_WORDS = 60


def make_body(seed: int) -> bytes:
    """Return a call with as many different texts as the flood sends at once, of common lengths."""
    chance = random.Random(seed)
    words = [f"{chance.choice(('red', 'old', 'far', 'new'))} word {number}" for number in range(200)]
    texts = [" ".join(chance.choices(words, k=chance.randint(1, _MAX_WORDS // 3))) for _ in range(TEXTS)]
    return json.dumps({"requests": [{"content": {"parts": [{"text": text}]}} for text in texts]}).encode()


async def measure(server: Served, seconds: float) -> dict[str, Any]:
    """Return how long the small caller waits alone and beside the flood."""
    answers: Counter[str] = Counter()
    flood = Attacker(server.host, server.port, _FLOOD_KEY, answers)
    until = time.monotonic() + 4 * seconds

    async def go_on(number: int) -> None:
        body = make_body(number)
        while time.monotonic() < until:
            await flood.call(MANY, body)

    async with calling(server.host, server.port, 2, "--key", _SMALL_KEY):  # everything is loaded
        pass
    async with calling(server.host, server.port, seconds, "--key", _SMALL_KEY) as alone:
        pass
    flooding = [asyncio.create_task(go_on(number)) for number in range(CONNECTIONS)]
    await asyncio.sleep(1)  # until all of them wait
    async with calling(server.host, server.port, seconds, "--key", _SMALL_KEY) as beside:
        pass
    for each in flooding:
        each.cancel()
    await asyncio.gather(*flooding, return_exceptions=True)
    return {"alone": _summary(alone.found), "beside_the_flood": _summary(beside.found), "flood_got": dict(answers)}


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    milliseconds = sorted(found["milliseconds"])
    return {
        "calls": found["statuses"],
        "median_ms": round(milliseconds[len(milliseconds) // 2], 1),
        "p99_ms": round(milliseconds[int(0.99 * (len(milliseconds) - 1))], 1),
        "worst_ms": round(milliseconds[-1], 1),
    }


def main() -> int:
    """Flood, print and write the result."""
    parser = argparse.ArgumentParser(description="Measure a small caller beside a flood.")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--most-milliseconds", type=float, default=300, help="the longest 99th percentile allowed")
    parser.add_argument("--output", type=Path, help="write the result to this JSON file")
    options = parser.parse_args()
    keys = ("--api-key", _SMALL_KEY, "--api-key", _FLOOD_KEY)
    with served("--model", options.model, "--cache-dir", str(cache_home()), *keys) as server:
        found = asyncio.run(measure(server, options.seconds))
    faults = [
        f"{name}: {found[name]['calls']}"
        for name in ("alone", "beside_the_flood")
        if set(found[name]["calls"]) != {"200"}
    ]
    if found["beside_the_flood"]["p99_ms"] > options.most_milliseconds:
        faults.append(f"the 99th percentile beside the flood is {found['beside_the_flood']['p99_ms']} ms")
    flood = {"connections": CONNECTIONS, "texts_in_a_call": TEXTS}
    command = "python tools/flood.py " + " ".join(sys.argv[1:])
    text = json.dumps(
        {"command": command.strip(), **machine(), "model": options.model, **flood, **found, "faults": faults}, indent=1
    )
    if options.output:
        options.output.write_text(text + "\n")
    print(text)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
