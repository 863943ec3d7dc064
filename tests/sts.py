"""The SemEval similarity test sets of 2013, 2014 and 2017, scored as MTEB scores them.

Spearman's rank correlation between gold scores and cosines, over all pairs of a year together.
"""

from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "data"


def score(embed, year):
    """Return 100 times the rank correlation of `embed(texts) -> vectors` on the pairs of `year`, or skip."""
    return _score(embed, sorted((FOLDER / "sts").glob(f"{year}.*.test.tsv")))


def score_languages(embed, languages):
    """Return the same for the pairs of 2017 in two languages, such as `es-en`, or skip."""
    return _score(embed, sorted((FOLDER / "sts17").glob(f"2017.{languages}.tsv")))


def _score(embed, files):
    if not files:
        pytest.skip(f"the STS data is not at {FOLDER}")
    rows = [line.split("\t") for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    first, second = (np.asarray(embed([row[column] for row in rows])) for column in (1, 2))
    cosines = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    gold = np.array([float(row[0]) for row in rows])
    return 100 * np.corrcoef(_ranks(gold), _ranks(cosines))[0, 1]


def _ranks(values):
    """Return ranks from 0; equal values share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[group]
