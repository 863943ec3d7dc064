"""Ask a server for vectors of three models that do not fit into its memory together: are any lost or wrong?

    python tools/mixed_models.py [--requests 10000] [--output benchmarks/results/mixed_models.json]

The server may hold the largest of the three or the two others (`--model-memory`), so models are put away and loaded
again all the time. Several clients, each with connections of its own, ask over HTTP in random order for the vectors of
one text or of several. Every vector is compared with the one that the text has when its model is served alone; bf16 and
other company in a micro-batch explain a cosine of 0.999. No two texts are that near to each other, so the vector of
another text or of another model would be noticed. A refused call is counted and repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from served import Served, machine, served

from gemvec.models.weights import load_model
from gemvec.settings import Settings, cache_home

MODELS = ("all-minilm-l6-v2", "wordllama-256", "multilingual-e5-small-q4")
WORDS = """
    river invoice galaxy kitchen lawsuit orchid tractor violin glacier password quantum bakery fever harbour mortgage
    zebra algebra curtain drought elephant biblioteca invierno ayer domingo ciudad библиотека зима вчера город поезд
"""
TEXTS = 300
WORDS_IN_A_TEXT = (1, 5, 5, 9, 9, 9, 9, 30, 30, 400)  # the last is longer than the networks' windows
TEXTS_IN_A_CALL = (1, 1, 1, 1, 3)
CLIENTS = 8
CALLS_AT_ONCE = 8  # of each client
PATIENCE_SECONDS = 3_600.0  # a call is lost if it is never answered, however busy or stopped the machine is
MIN_COSINE = 0.999
Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request: the texts whose vectors a model is asked for."""

    model: str
    places: tuple[int, ...]


@dataclass(kw_only=True)
class Outcome:
    """What became of the calls.

    Attributes:
        vectors: those of each call, float32[texts, values]; None where it was lost.
        refused: how often a call was refused, by the status.
        errors: why calls were lost.
    """

    vectors: list[Vectors | None] = field(repr=False)  # asyncio describes the result of a task when it ends
    refused: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


def make_texts(chance: random.Random) -> list[str]:
    """Return texts of very different lengths, each with words of its own."""
    lengths = (chance.choice(WORDS_IN_A_TEXT) for _ in range(TEXTS))
    return [f"{place} " + " ".join(chance.choices(WORDS.split(), k=length)) for place, length in enumerate(lengths)]


async def embed(client: httpx.AsyncClient, call: Call, texts: list[str], refused: Counter[int]) -> Vectors:
    """Return the vectors of a call's texts; ask again while the server says that it is busy."""
    path, name = f"/v1beta/models/{call.model}", f"models/{call.model}"
    contents = [{"parts": [{"text": texts[place]}]} for place in call.places]
    while True:
        if len(contents) == 1:
            answer = await client.post(f"{path}:embedContent", json={"content": contents[0]})
        else:
            requests = [{"model": name, "content": each} for each in contents]
            answer = await client.post(f"{path}:batchEmbedContents", json={"requests": requests})
        if answer.status_code not in {429, 503}:
            answer.raise_for_status()
            body = answer.json()
            found = [body["embedding"]] if len(contents) == 1 else body["embeddings"]
            return np.array([each["values"] for each in found], np.float32)
        refused[answer.status_code] += 1
        await asyncio.sleep(1.0)


async def ask(url: str, calls: list[Call], texts: list[str]) -> Outcome:
    """Make all calls, many at a time."""
    outcome = Outcome(vectors=[None] * len(calls))
    left = iter(range(len(calls)))

    async def work(client: httpx.AsyncClient) -> None:
        for place in left:
            try:
                outcome.vectors[place] = await embed(client, calls[place], texts, outcome.refused)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                outcome.errors[repr(error)] += 1

    async def run_client() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
            await asyncio.gather(*(work(client) for _ in range(CALLS_AT_ONCE)))

    await asyncio.gather(*(run_client() for _ in range(CLIENTS)))
    return outcome


def vectors_alone(model: str, texts: list[str]) -> Vectors:
    """Return the vectors of all texts from a server that has only this model, of length 1."""
    calls = [Call(model=model, places=(place,)) for place in range(len(texts))]
    with served("--model", model, "--cache-dir", str(cache_home())) as server:
        outcome = asyncio.run(ask(server.url, calls, texts))
    vectors = np.concatenate([each for each in outcome.vectors if each is not None])
    if len(vectors) != len(texts):
        raise SystemExit(f"{model}, served alone, failed: {outcome.errors}")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest_two(vectors: Vectors) -> float:
    """Return the largest cosine between two texts."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    return float(cosines.max())


def lowest_cosine(vectors: Vectors, expected: Vectors) -> float:
    """Return the lowest cosine of a vector to the one it should be; -1 if their number or lengths differ."""
    if vectors.shape != expected.shape:
        return -1.0
    return float((np.einsum("ij,ij->i", vectors, expected) / np.linalg.norm(vectors, axis=1)).min())


def count_loads(url: str) -> dict[str, int]:
    """Return how often each model was loaded."""
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    found = (line.split() for line in lines if line.startswith("gemvec_model_loads_total"))
    return {name.split('"')[1]: int(float(value)) for name, value in found}


@contextmanager
def watched(server: Served) -> Generator[list[int]]:
    """Give a list to which the server's resident memory is added every half second, in bytes."""
    sizes, is_over = [server.memory_bytes()], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.5):
            sizes.append(server.memory_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        is_over.set()
        watcher.join()


def run(requests: int) -> dict[str, Any]:
    """Return what became of the requests."""
    chance = random.Random(12)
    texts = make_texts(chance)
    expected = {model: vectors_alone(model, texts) for model in MODELS}
    sizes = [load_model(model, cache_home()).count_memory(Settings.load({})) for model in MODELS]
    budget = max(sizes) + min(sizes) // 2
    calls = [
        Call(model=chance.choice(MODELS), places=tuple(chance.sample(range(TEXTS), chance.choice(TEXTS_IN_A_CALL))))
        for _ in range(requests)
    ]
    options = [option for model in MODELS for option in ("--model", model)]
    with (
        served(*options, "--model-memory", str(budget), "--cache-dir", str(cache_home())) as server,
        watched(server) as resident,
    ):
        started = time.perf_counter()
        outcome = asyncio.run(ask(server.url, calls, texts))
        seconds, loads = time.perf_counter() - started, count_loads(server.url)
    cosines = [
        lowest_cosine(vectors, expected[call.model][list(call.places)])
        for call, vectors in zip(calls, outcome.vectors, strict=True)
        if vectors is not None
    ]
    return {
        "requests": requests,
        "texts": sum(len(call.places) for call in calls),
        "clients": CLIENTS,
        "calls_at_once": CLIENTS * CALLS_AT_ONCE,
        "answered": len(cosines),
        "lost": requests - len(cosines),
        "why_lost": dict(outcome.errors),
        "wrong": sum(each < MIN_COSINE for each in cosines),
        "lowest_cosine": min(cosines),
        "nearest_two_texts_cosine": {model: nearest_two(vectors) for model, vectors in expected.items()},
        "refused_then_answered": dict(outcome.refused),
        "loads": loads,
        "estimated_bytes": dict(zip(MODELS, sizes, strict=True)),
        "model_memory_bytes": budget,
        "resident_bytes": {"at_the_start": resident[0], "highest": max(resident), "at_the_end": resident[-1]},
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """Run, print the result, and return 1 if a request was lost or answered wrongly."""
    parser = argparse.ArgumentParser(description="Three models, room for the largest of them, many mixed requests.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    result = machine() | run(arguments.requests)
    print(json.dumps(result, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    return int(bool(result["lost"] or result["wrong"]))


if __name__ == "__main__":
    raise SystemExit(main())
