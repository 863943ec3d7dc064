"""What building and searching the index of vectors costs, and how many of the nearest ones it finds.

    python benchmarks/graph.py [--passages 10000] [--output benchmarks/results/graph.json]

The vectors are those of real passages, of which the last tenth are the queries. Each graph is made as Milvus Lite makes
it, with `M` 16 and as many candidates as `efConstruction` says, and searched with as many as `ef` says, all queries at
once. Recall is the part of the ten nearest ones of the exact search.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from ingest import MODEL, PACKAGES, collect
from machine import describe_run

from gemvec.embedding.embed import EmbedRequest, Priority
from gemvec.embedding.task_type import TaskType
from gemvec.models.local import open_embedder
from gemvec.models.weights import load_model
from gemvec.settings import Settings

LINKS, NEAREST = 16, 10
CONSTRUCTIONS, BREADTHS = (100, 128, 200), (128, 192, 256)
ROUNDS = 3

Vectors = npt.NDArray[np.float32]


def read_requests(path: Path) -> list[EmbedRequest]:
    """Return what the model is asked for the passages in a file."""
    return [
        EmbedRequest(text=each["text"], title=each["title"], task_type=TaskType.RETRIEVAL_DOCUMENT)
        for each in map(json.loads, path.read_text().splitlines())
    ]


async def embed(settings: Settings, requests: list[EmbedRequest]) -> Vectors:
    """Return the vectors, each of length 1."""
    embedder = open_embedder(settings)
    try:
        found = await embedder.embed(embedder.get_model(MODEL), requests, priority=Priority.BATCH)
    finally:
        await embedder.close()
    vectors = np.stack([each.vector for each in found])
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def measure(vectors: Vectors, queries: Vectors, construction: int) -> dict[str, Any]:
    """Return the seconds that a graph takes, and what is found in it; the best of some rounds."""
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :NEAREST]
    build, searches = float("inf"), dict.fromkeys(BREADTHS, float("inf"))
    recalls: dict[int, float] = {}
    for _ in range(ROUNDS):
        graph: Any = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = construction
        started = time.perf_counter()
        graph.add(vectors)
        build = min(build, time.perf_counter() - started)
        for breadth in BREADTHS:
            graph.hnsw.efSearch = breadth
            started = time.perf_counter()
            _, found = graph.search(queries, NEAREST)
            searches[breadth] = min(searches[breadth], time.perf_counter() - started)
            shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
            recalls[breadth] = sum(shared) / exact.size
    return {
        "efConstruction": construction,
        "build_seconds": round(build, 3),
        "searches": [
            {"ef": ef, "recall": round(recalls[ef], 4), "milliseconds": round(1000 * searches[ef] / len(queries), 4)}
            for ef in BREADTHS
        ],
    }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args()
    settings = Settings.load(model=(MODEL,))
    tokenizer_file = load_model(MODEL, settings.cache_dir).folder / "tokenizer.json"
    with tempfile.TemporaryDirectory() as name:
        requests = read_requests(collect(Path(name), tokenizer_file, options.passages))
    vectors = asyncio.run(embed(settings, requests))
    count = options.passages // 10
    result = {
        **describe_run((*PACKAGES, "faiss-cpu")),
        "passages": len(vectors) - count,
        "queries": count,
        "graphs": [measure(vectors[:-count], vectors[-count:], each) for each in CONSTRUCTIONS],
    }
    print(json.dumps(result, indent=2))
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
