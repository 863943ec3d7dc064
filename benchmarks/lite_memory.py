"""How much memory an index into Milvus Lite takes, and how much of it is Milvus Lite's alone.

    python benchmarks/lite_memory.py [--rows 33600 100000] [--output benchmarks/results/lite_memory.json]

Each case is a process of its own. `indexing` writes passages of about 55 words with vectors of 384 values that no model
computes, so that its peak is that of the rows, as `gemvec index` does; `pymilvus` writes them through pymilvus and
Milvus Lite's engine. `again` indexes them once more with a few changes. `open` opens what was written and searches it
once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_run

from gemvec.documents import Document
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.milvus import Fingerprint, ingest, open_collection, search
from gemvec.models.fake import FakeEmbedder

DIMENSIONALITY, WORDS_PER_PASSAGE, PASSAGES_PER_DOCUMENT = 384, 55, 12
CASES = ("indexing", "again", "open", "pymilvus")
PACKAGES = ("gemvec", "milvus-lite", "pymilvus")
MAX_ROWS_THROUGH_PYMILVUS = 50_000  # more take gigabytes


_random = np.random.default_rng(0)  # not a secret


class RandomEmbedder(FakeEmbedder):
    """Vectors at random; a search only needs that there are some."""

    async def embed(self, _model: ServedModel, requests: Sequence[EmbedRequest], **_: Any) -> list[Embedding]:
        """Return a vector of length 1 for each text."""
        vectors = _random.standard_normal((len(requests), DIMENSIONALITY), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [Embedding(vector=vector, token_count=WORDS_PER_PASSAGE) for vector in vectors]


def make_documents(rows: int, *, changed: bool) -> Iterator[Document]:
    """Yield documents that have about this many passages; their words are as rare and as frequent as real ones."""
    chance = random.Random(0)  # not a secret
    words = [f"{number:x}{'abcdef'[: number % 6]}" for number in range(30_000)]
    for number in range(rows // PASSAGES_PER_DOCUMENT):
        sections = (
            " ".join(words[min(int(chance.paretovariate(0.4)), len(words) - 1)] for _ in range(WORDS_PER_PASSAGE))
            for _ in range(PASSAGES_PER_DOCUMENT)
        )
        text = "\n\n".join(f"# Part {part}\n\n{section}" for part, section in enumerate(sections))
        if changed and number % 100 == 0:
            text += "\n\n# Added\n\nAt the end."
        yield Document(id=f"{number}.md", title=f"Document {number}", text=text, format="markdown")


async def run(case: str, uri: str, rows: int) -> int:
    """Do what a case does; return how many passages the collection has."""
    embedder = RandomEmbedder()
    options = {} if case == "pymilvus" else {"is_only_client": True}
    if case in {"indexing", "again"}:
        options["snapshots"] = Path(uri).with_suffix(".snapshots")  # as `gemvec index` does
    with open_collection(uri, "docs", **options) as collection:
        if case == "open":
            await search(collection, embedder, "1a b2")
        else:
            wanted = replace(Fingerprint.of(embedder.list_models()[0]), dimensionality=DIMENSIONALITY)
            await ingest(collection, embedder, make_documents(rows, changed=case == "again"), fingerprint=wanted)
        return collection.resolve().count()


def run_case(case: str, uri: str, rows: int) -> None:
    """Run a case in this process, and print its passages and the most memory that the process ever had."""
    started, cpu_started = time.perf_counter(), time.process_time()
    passages = asyncio.run(run(case, uri, rows))
    figures = {
        "passages": passages,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu_started, 1),
    }
    print(json.dumps(figures))


def measure(rows: int) -> dict[str, Any]:
    """Return the peak of each case."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES if rows <= MAX_ROWS_THROUGH_PYMILVUS else CASES[:-1]:
            uri = str(Path(folder) / ("pymilvus.db" if case == "pymilvus" else "docs.db"))
            command = [sys.executable, __file__, "--case", case, "--uri", uri, "--rows", str(rows)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            figures |= {
                "passages": found["passages"],
                f"{case}, peak MiB": found["peak_mib"],
                f"{case}, CPU seconds": found["cpu_seconds"],
            }
            print(rows, case, found, file=sys.stderr, flush=True)
    return figures


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[33_600, 100_000])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--uri", default="")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.case:
        run_case(options.case, options.uri, options.rows[0])
        return
    result = describe_run(PACKAGES) | {"sizes": [measure(rows) for rows in options.rows]}
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
