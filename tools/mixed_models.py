"""Ask a server for vectors of three models that do not fit into its memory together: are any lost or wrong?

    python tools/mixed_models.py [--requests 10000] [--output benchmarks/results/mixed_models.json]

The server may hold two of the three (`--model-memory`), so models are put away and loaded again all the time. Requests
come in random order over HTTP. Every answer is compared with the vector that the text has when its model is served
alone; bf16 and other company in a micro-batch explain a cosine of 0.999. A refused call is counted and repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from served import machine, served

from gemvec.models.weights import load_model
from gemvec.settings import cache_home

MODELS = ("all-minilm-l6-v2", "wordllama-256", "multilingual-e5-small-q4")
SENTENCES = (
    "What is the capital of France?",
    "¿Cuál es la capital de Francia?",
    "Where is the library, and when does it open on Sundays in winter?",
    "A search query for documents in a vector database. " * 6,
    "x",
    "The quick brown fox jumps over the lazy dog.",
)
TEXTS = [f"{number}: {sentence}" for number in range(20) for sentence in SENTENCES]
CONCURRENCY = 256
PATIENCE_SECONDS = 300.0
LEAST_COSINE = 0.999


async def embed(client: httpx.AsyncClient, model: str, text: str, refused: Counter[int]) -> np.ndarray:
    """Return the vector of a text; ask again while the server says that it is busy."""
    while True:
        body = {"content": {"parts": [{"text": text}]}}
        answer = await client.post(f"/v1beta/models/{model}:embedContent", json=body)
        if answer.status_code not in {429, 503}:
            answer.raise_for_status()
            return np.array(answer.json()["embedding"]["values"], np.float32)
        refused[answer.status_code] += 1
        await asyncio.sleep(1.0)


async def ask(url: str, calls: list[tuple[str, str]]) -> tuple[list[Any], Counter[int]]:
    """Ask for all vectors, many at a time; a call that fails gives its error."""
    refused: Counter[int] = Counter()
    limits = httpx.Limits(max_connections=CONCURRENCY)
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, limits=limits, trust_env=False) as client:
        tasks = [embed(client, model, text, refused) for model, text in calls]
        return await asyncio.gather(*tasks, return_exceptions=True), refused


def vectors_alone(model: str) -> dict[tuple[str, str], np.ndarray]:
    """Return the vectors of all texts from a server that has only this model."""
    with served("--model", model, "--cache-dir", str(cache_home())) as server:
        vectors, _ = asyncio.run(ask(server.url, [(model, text) for text in TEXTS]))
    return {(model, text): vector for text, vector in zip(TEXTS, vectors, strict=True)}


def cosine(vector: np.ndarray, expected: np.ndarray) -> float:
    """Return the cosine of two vectors; -1 if they have different lengths."""
    if vector.shape != expected.shape:
        return -1.0
    return float(vector @ expected / np.linalg.norm(vector) / np.linalg.norm(expected))


def count_loads(url: str) -> dict[str, int]:
    """Return how often each model was loaded."""
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    found = (line.split() for line in lines if line.startswith("gemvec_model_loads_total"))
    return {name.split('"')[1]: int(float(value)) for name, value in found}


def run(requests: int) -> dict[str, Any]:
    """Return what became of the requests."""
    expected: dict[tuple[str, str], np.ndarray] = {}
    for model in MODELS:
        expected |= vectors_alone(model)
    sizes = [load_model(model, cache_home()).memory_bytes for model in MODELS]
    budget = sum(sizes) - min(sizes) // 2
    chance = random.Random(12)
    calls = [(chance.choice(MODELS), chance.choice(TEXTS)) for _ in range(requests)]
    options = [option for model in MODELS for option in ("--model", model)]
    with served(*options, "--model-memory", str(budget), "--cache-dir", str(cache_home())) as server:
        started = time.perf_counter()
        answers, refused = asyncio.run(ask(server.url, calls))
        seconds = time.perf_counter() - started
        loads, memory = count_loads(server.url), server.memory_bytes()
    vectors = [answer for answer in answers if not isinstance(answer, BaseException)]
    cosines = [
        cosine(answer, expected[call])
        for call, answer in zip(calls, answers, strict=True)
        if not isinstance(answer, BaseException)
    ]
    return {
        "requests": requests,
        "answered": len(vectors),
        "lost": requests - len(vectors),
        "wrong": sum(each < LEAST_COSINE for each in cosines),
        "lowest_cosine": min(cosines),
        "refused_then_answered": dict(refused),
        "loads": loads,
        "estimated_bytes": dict(zip(MODELS, sizes, strict=True)),
        "model_memory_bytes": budget,
        "resident_bytes_at_the_end": memory,
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """Run, print the result, and return 1 if a request was lost or answered wrongly."""
    parser = argparse.ArgumentParser(description="Three models in the memory of two, many mixed requests.")
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
