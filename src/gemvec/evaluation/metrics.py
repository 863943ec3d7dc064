"""Metrics of rankings and similarities: Spearman's correlation, nDCG, recall and reciprocal rank.

Pure functions. They agree with scipy and with trec_eval, ties included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Judgments = Mapping[str, int]  # document id -> grade; above 0 is relevant, what is missing is not


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return Spearman's rank correlation of two series, -1 to 1; equal values share the mean of their ranks.

    Args:
        x: float[n].
        y: float[n], in the same order.

    Returns:
        The correlation; NaN where it is not defined (fewer than two values, or all of a series equal).

    >>> spearman([1, 2, 3], [10, 30, 20])
    0.5
    """
    x_ranks, y_ranks = _rank(np.asarray(x, np.float64)), _rank(np.asarray(y, np.float64))
    x_ranks -= x_ranks.mean() if x_ranks.size else 0
    y_ranks -= y_ranks.mean() if y_ranks.size else 0
    scale = float(np.sqrt((x_ranks @ x_ranks) * (y_ranks @ y_ranks)))
    return float(x_ranks @ y_ranks) / scale if scale else float("nan")


def rank_documents(scores: Mapping[str, float]) -> list[str]:
    """Return document ids from the best score down; for equal scores the greater id is first, as in trec_eval."""
    return sorted(scores, key=lambda document: (scores[document], document), reverse=True)


def ndcg(ranking: Sequence[str], judgments: Judgments, k: int) -> float:
    """Return the normalised discounted cumulative gain of the first `k` documents, 0 to 1.

    A document's gain is its grade, discounted by log2(rank + 1); the ideal ranking has every judged document in the
    order of its grade.

    Args:
        ranking: document ids, best first.
        judgments: grades of the query's documents.
        k: how far down to look.
    """
    ideal = _discounted_gain(sorted(judgments.values(), reverse=True)[:k])
    return _discounted_gain([judgments.get(document, 0) for document in ranking[:k]]) / ideal if ideal else 0.0


def recall(ranking: Sequence[str], judgments: Judgments, k: int) -> float:
    """Return the part of the relevant documents that is among the first `k`, 0 to 1."""
    relevant = {document for document, grade in judgments.items() if grade > 0}
    return len(relevant.intersection(ranking[:k])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], judgments: Judgments, k: int) -> float:
    """Return 1 / rank of the first relevant document among the first `k`, 0 when there is none."""
    ranks = (rank for rank, document in enumerate(ranking[:k], start=1) if judgments.get(document, 0) > 0)
    return 1 / next(ranks, float("inf"))


def overlap(ranking: Sequence[str], exact: Sequence[str], k: int) -> float:
    """Return the part of the first `k` documents of `exact` that is among the first `k` of `ranking`, 0 to 1."""
    wanted = set(exact[:k])
    return len(wanted.intersection(ranking[:k])) / len(wanted) if wanted else 1.0


def _discounted_gain(grades: Sequence[int]) -> float:
    gains = np.maximum(np.asarray(grades, np.float64), 0)
    return float(gains @ (1 / np.log2(np.arange(gains.size) + 2)))


def _rank(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last_ranks = np.cumsum(counts)
    return (last_ranks - (counts - 1) / 2)[group]
