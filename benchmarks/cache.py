"""What the cache of embeddings costs when it knows nothing, and saves when it knows everything.

    python benchmarks/cache.py [--texts 3000] [--rounds 5] [--output benchmarks/results/cache.json]

The same passages (of Python's standard library) are embedded by the model in this process: without a cache, with an
empty one, and again with the full one. The three take turns for `--rounds` rounds, each with its own file; a case ends
when everything is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sysconfig
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from machine import describe_run

from gemvec.cache import CachedEmbedder, EmbeddingCache
from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.embedder import Embedder
from gemvec.models.local import open_embedder
from gemvec.settings import Settings

MODEL = "all-minilm-l6-v2"
PASSAGE_CHARACTERS = 300
TEXTS_PER_CALL = 512
PACKAGES = ("gemvec", "openvino", "numpy")


def collect(count: int) -> list[str]:
    """Return different passages of about equal length."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = "\n".join(path.read_text(encoding="utf-8", errors="ignore") for path in files)
    cuts = (text[start : start + PASSAGE_CHARACTERS] for start in range(0, len(text), PASSAGE_CHARACTERS))
    return list(islice(dict.fromkeys(each for each in cuts if each.strip()), count))


async def embed_all(embedder: Embedder, texts: list[str]) -> None:
    """Embed in calls of the size that `gemvec index` makes, two at a time."""
    calls = iter(range(0, len(texts), TEXTS_PER_CALL))

    async def work() -> None:
        for start in calls:
            await embedder.embed(
                embedder.get_model(MODEL), [EmbedRequest(text=text) for text in texts[start : start + TEXTS_PER_CALL]]
            )

    await asyncio.gather(work(), work())


async def time_it(embedder: Embedder, texts: list[str], cache: EmbeddingCache | None) -> dict[str, float]:
    """Return wall and CPU seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    await embed_all(embedder, texts)
    if cache is not None:
        cache.flush()
    return {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


async def measure(texts: list[str], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Return each case's figures, one a round."""
    embedder = open_embedder(Settings.load(model=(MODEL,)))
    figures: dict[str, list[dict[str, float]]] = {"without": [], "all_missing": [], "all_found": []}
    await embed_all(embedder, texts[:TEXTS_PER_CALL])
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            cache = EmbeddingCache(Path(folder) / "embeddings.sqlite3", max_bytes=2**30)
            cached = CachedEmbedder(embedder, cache, source="benchmark")
            figures["without"].append(await time_it(embedder, texts, None))
            figures["all_missing"].append(await time_it(cached, texts, cache))
            figures["all_found"].append(await time_it(cached, texts, cache))
            cache.close()
    await embedder.close()
    return figures


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    texts = collect(options.texts)
    figures = asyncio.run(measure(texts, options.rounds))
    medians = {
        case: {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
        for case, rounds in figures.items()
    }
    result: dict[str, Any] = {
        **describe_run(PACKAGES),
        "texts": len(texts),
        "medians": medians,
        "overhead_of_all_missing": {
            name: round(medians["all_missing"][name] / medians["without"][name] - 1, 4) for name in medians["without"]
        },
        "texts_per_second_when_all_are_found": round(len(texts) / medians["all_found"]["wall_seconds"]),
        "rounds": figures,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
