"""How good are models in many languages? STS17, Tatoeba and XQuAD, measured through HTTP.

    python benchmarks/languages.py DATA... [--model NAME]... [--output benchmarks/results/languages.json]

DATA are folders in the layouts that `gemvec eval` reads, from public repositories: `STS2017.eval.v1.1` and `STS2017.gs`
(eduardofv/sts_eval), `data/tatoeba/v1` (facebookresearch/LASER), of which only `LANGUAGES` are measured, and the files
of google-deepmind/xquad. For each model a server is started in a separate process; every text is sent to it as by a
client. Pairs of sentences are measured in both precisions, the rest in `fast`. Scores are times 100: Spearman's
correlation; the part of the sentences whose English translation is the nearest; for XQuAD, nDCG@10 of a question's own
paragraph among 240, found by exact search. The output is written after each set. It keeps what it has of other sets,
models and commits: each line says of which commit it is, and is measured again only at another one. Exit status 1 when
a reference is missed by more than its tolerance.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from machine import describe_run

from gemvec.evaluation.datasets import Dataset, SentencePairs, Translations
from gemvec.evaluation.layouts import load_datasets
from gemvec.evaluation.measurement import EvaluationOptions, Measurement
from sts import PACKAGES, PRECISIONS, measure, serving

MODELS = ("multilingual-e5-small-q4", "all-minilm-l6-v2", "wordllama-256")
LANGUAGES = ("ara", "cmn", "deu", "fra", "hin", "ita", "jpn", "kor", "rus", "spa", "swh", "tha", "tur", "vie")
# Source: what the package gives that the 4-bit weights come from.
REFERENCES = {
    "multilingual-e5-small-q4": {
        "STS17.track1.ar-ar": 73.9,
        "STS17.track2.ar-en": 58.1,
        "STS17.track3.es-es": 85.7,
        "STS17.track4a.es-en": 73.0,
        "STS17.track5.en-en": 86.6,
        "STS17.track6.tr-en": 55.2,
        "tatoeba.deu-eng": 98.0,
        "tatoeba.fra-eng": 92.2,
        "tatoeba.jpn-eng": 83.2,
        "tatoeba.hin-eng": 94.4,
    }
}
TOLERANCES = {"spearman": 0.3, "accuracy": 0.5}
METRICS = ("spearman", "accuracy", "reverse_accuracy", "ndcg@10", "recall@1")
OPTIONS = EvaluationOptions(searches=("exact",), recall_at=(1,))


def choose(datasets: Sequence[Dataset], precision: str) -> list[Dataset]:
    """Return what is measured in a precision."""
    if precision == "exact":
        return [each for each in datasets if isinstance(each, SentencePairs)]
    return [
        each
        for each in datasets
        if not isinstance(each, Translations) or each.name.split(".")[1].split("-")[0] in LANGUAGES
    ]


def run(model: str, precision: str, datasets: Sequence[Dataset], commit: str) -> Iterator[dict[str, Any]]:
    """Measure a model in a precision and yield the lines of its results."""
    with serving(model, precision) as url:
        for data in datasets:
            started = time.perf_counter()
            (found,) = asyncio.run(measure(url, model, [data], OPTIONS))
            yield describe(found, precision, commit)
            print(f"{model} {precision} {data.name} {time.perf_counter() - started:.1f} s", file=sys.stderr)


def key_of(line: dict[str, Any]) -> tuple[str, str, str]:
    """Return what a line of the results is about: model, precision and data set."""
    return line["model"], line["precision"], line["dataset"]


def read_results(output: Path | None) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the lines that an output has already, each with its commit."""
    if output is None or not output.is_file():
        return {}
    return {key_of(each): each for each in json.loads(output.read_bytes())["results"]}


def in_order(results: dict[tuple[str, str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return lines by model, precision and data set, so that it does not matter when each was measured."""
    models = list(dict.fromkeys([*MODELS, *(model for model, _, _ in results)]))
    return sorted(results.values(), key=lambda line: (models.index(line["model"]), line["precision"], line["dataset"]))


def describe(measurement: Measurement, precision: str, commit: str) -> dict[str, Any]:
    """Return one line of the results, with its reference if there is one."""
    scores = {metric: round(100 * measurement.scores[metric], 2) for metric in METRICS if metric in measurement.scores}
    line = {
        "dataset": measurement.dataset,
        "model": measurement.model,
        "weights": measurement.weights,
        "precision": precision,
        "commit": commit,
        "scores": scores,
    }
    reference = REFERENCES.get(measurement.model, {}).get(measurement.dataset)
    if reference is None:
        return line
    metric = next(iter(scores))
    difference = round(scores[metric] - reference, 2)
    return line | {"reference": reference, "difference": difference, "tolerance": TOLERANCES[metric]}


def main() -> int:
    """Measure every model and say whether the references are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", action="append")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    datasets = load_datasets(options.data)
    names = " ".join(path.name for path in options.data)
    outcome = {**describe_run(PACKAGES), "command": f"python benchmarks/languages.py {names}"}
    commit, results = outcome["commit"], read_results(options.output)
    known = {key for key, line in results.items() if line["commit"] == commit}
    for model, precision in product(options.model or MODELS, PRECISIONS):
        missing = [data for data in choose(datasets, precision) if (model, precision, data.name) not in known]
        for line in run(model, precision, missing, commit) if missing else ():
            results[key_of(line)] = line
            if options.output:
                options.output.write_text(json.dumps(outcome | {"results": in_order(results)}, indent=1) + "\n")
    print(json.dumps(outcome | {"results": in_order(results)}, indent=1))
    missed = [each for each in results.values() if abs(each.get("difference", 0)) > each.get("tolerance", 0)]
    for each in missed:
        print(f"missed: {each}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
