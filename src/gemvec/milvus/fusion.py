"""Two rankings of one collection joined into one: `fuse`, a weighted sum of normalised scores.

It uses scores and not ranks, because with ranks a weak list, such as BM25's without stemming, outvotes a sure one:
`benchmarks/hybrid.py` compares both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Candidates of each search that are joined for an answer: at least, and for each result.
_MIN_CANDIDATES, _CANDIDATES_PER_RESULT = 50, 2
# Share of the dense list in the joined score; the sparse one has the rest. Values from 0.6 to 0.8 measured the same.
DENSE_SHARE = 0.7
# The same where documents are looked for, which their words tell more surely than they tell one passage of many.
DOCUMENT_DENSE_SHARE = 0.5
# The same for a query that names something by its exact name, which a model cuts into pieces and hardly knows.
IDENTIFIER_DENSE_SHARE = 0.5
# The same for a query in a script that the model does not know: its vector is the same for all such queries, and near
# those of all texts in such scripts.
UNKNOWN_DENSE_SHARE = 0.1
# Names are told by their signs alone: words that look like names (`YouTube`, `example.com`) count as names, and names
# that look like words (`kebab-case`, `ENOENT`) do not.
_IDENTIFIER = re.compile(
    r"""
    [^\W_]_ | _[^\W_]                             # json_contains, __init__
    | [A-Za-z][A-Za-z0-9]+\.[A-Za-z0-9]{2}         # proxy.maxFields; not e.g., U.S., 1.5
    | \d\.\d+\.\d                                # 2.4.10
    | [A-Za-z]:{1,2}[A-Za-z0-9]                    # std::vector; not 10:30
    | [a-z][A-Z]+[a-z] | \b[a-z][a-z0-9]*[A-Z]     # maxFields, userID; not OpenAI
    | [A-Z]-?\d{3} | \b[a-z]{1,2}-?\d{3}          # E-4711; not COVID-19, B2B, mid-1990
    | \b0x[0-9A-Fa-f]                              # 0x1F
    | (?<![\w-])--[A-Za-z] | (?<![\w./:])/[A-Za-z] # --max-tokens, /readyz; not and/or
    """,
    re.VERBOSE,
)


def count_candidates(limit: int) -> int:
    """Return how many candidates of each search are joined into an answer of `limit` passages."""
    return max(_MIN_CANDIDATES, limit * _CANDIDATES_PER_RESULT)


def find_dense_share(query: str, *, by_document: bool = False) -> float:
    """Return the weight of meaning for a query: less if it names an identifier, or if documents are looked for.

    >>> find_dense_share("how do I cancel a batch?"), find_dense_share("what is json_contains")
    (0.7, 0.5)
    """
    if _IDENTIFIER.search(query):
        return IDENTIFIER_DENSE_SHARE
    return DOCUMENT_DENSE_SHARE if by_document else DENSE_SHARE


def fuse(
    dense: Sequence[tuple[str, float]], sparse: Sequence[tuple[str, float]], *, share: float = DENSE_SHARE
) -> list[tuple[str, float]]:
    """Join two rankings.

    Each list's scores are scaled to 1 for its first and 0 for its last item; items that a list does not have count as
    0.

    Args:
        dense: keys and cosines, best first.
        sparse: keys and BM25 scores, best first, of either sign (Milvus Lite turns it).
        share: weight of the first list, 0 to 1.

    Returns:
        Keys and scores from 0 to 1, best first; equal scores by key.
    """
    joined: dict[str, float] = {}
    for weight, ranking in ((share, dense), (1 - share, sparse)):
        for key, score in _stretch(ranking):
            joined[key] = joined.get(key, 0.0) + weight * score
    return sorted(joined.items(), key=lambda item: (-item[1], item[0]))


def _stretch(ranking: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    if not ranking:
        return []
    first, last = ranking[0][1], ranking[-1][1]
    if first == last:
        return [(key, 1.0) for key, _ in ranking]
    return [(key, (score - last) / (first - last)) for key, score in ranking]
