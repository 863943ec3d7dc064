"""Are the served embeddings right? Spearman's correlation on STS13 and STS14, measured through HTTP.

    python benchmarks/sts.py FOLDER [--model all-minilm-l6-v2] [--output benchmarks/results/sts.json]

FOLDER has the SemEval test sets as tab-separated files (`2013.headlines.test.tsv`: gold score, sentence, sentence). For
each precision a server is started in a separate process; every sentence is sent to it as by a client. The protocol is
that of MTEB's tasks of these names. Exit status 1 when a reference figure is missed by more than the tolerance.
`languages.py` measures other languages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import describe_run

from gemvec.client import find_target, open_target
from gemvec.evaluation.datasets import Dataset
from gemvec.evaluation.layouts import load_datasets
from gemvec.evaluation.measurement import EvaluationOptions, Measurement, evaluate

# Source: the MTEB leaderboard for sentence-transformers/all-MiniLM-L6-v2.
REFERENCES = {"all-minilm-l6-v2": {"STS13": 80.60, "STS14": 75.59}}
TOLERANCE = 0.05
PRECISIONS = ("exact", "fast")
PACKAGES = ("gemvec", "openvino", "tokenizers", "starlette", "uvicorn", "numpy")


@contextmanager
def serving(model: str, precision: str) -> Generator[str]:
    """Run `gemvec serve` and give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        options = [
            "--port",
            "0",
            "--model",
            model,
            "--precision",
            precision,
            "--data-dir",
            folder,
            "--log-level",
            "warning",
        ]
        command = [sys.executable, "-m", "gemvec", "serve", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                yield find_url(server)
            finally:
                server.terminate()


def find_url(server: subprocess.Popen[str]) -> str:
    """Return the URL that the server prints when it is ready."""
    for line in server.stdout or ():
        if found := re.search(r"http://[\w.:]+", line):
            return found[0]
    raise SystemExit("the server did not start")


async def measure(
    url: str, model: str, datasets: Sequence[Dataset], options: EvaluationOptions | None = None
) -> list[Measurement]:
    """Embed and compare everything through the server."""
    embedder = open_target(find_target(url), model=model)
    try:
        return await evaluate(embedder, datasets, model=model, options=options)
    finally:
        await embedder.close()


def describe(measurement: Measurement, precision: str, references: dict[str, float]) -> dict[str, Any]:
    """Return one line of the results; scores times 100."""
    spearman = round(100 * measurement.scores["spearman"], 3)
    reference = references.get(measurement.dataset)
    return {
        "dataset": measurement.dataset,
        "precision": precision,
        "weights": measurement.weights,
        "dimensionality": measurement.dimensionality,
        "spearman": spearman,
        "reference": reference,
        "difference": None if reference is None else round(spearman - reference, 3),
    }


def main() -> int:
    """Measure both precisions and say whether the published figures are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="all-minilm-l6-v2")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    datasets = load_datasets([options.folder])
    references = REFERENCES.get(options.model, {})
    results: list[dict[str, Any]] = []
    started = time.perf_counter()
    for precision in PRECISIONS:
        with serving(options.model, precision) as url:
            measured = asyncio.run(measure(url, options.model, datasets))
        results += [describe(each, precision, references) for each in measured]
    command = f"python benchmarks/sts.py FOLDER --model {options.model}"
    outcome = {**describe_run(PACKAGES), "command": command, "seconds": round(time.perf_counter() - started, 1)}
    text = json.dumps({**outcome, "tolerance": TOLERANCE, "results": results}, indent=2)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")
    return int(any(abs(each["difference"] or 0) > TOLERANCE for each in results))


if __name__ == "__main__":
    sys.exit(main())
