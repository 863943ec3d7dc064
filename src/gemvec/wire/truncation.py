"""Which texts of a call were cut at the model's token limit, in a header of the answer: `x-gemvec-truncated`.

`0=3900,7=2112` says that text 0 had 3,900 tokens and text 7 had 2,112, as far as they were counted: a text is not
tokenized further than it can count. At most 100 texts are named; `+28` at the end stands for 28 more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice

TRUNCATED_HEADER = "x-gemvec-truncated"

_MAX_NAMED = 100
_NAMED = re.compile(r"([0-9]{1,9})=([0-9]{1,12})", re.ASCII)


def format_truncated(token_counts: Mapping[int, int]) -> str:
    """Return the header's value.

    Args:
        token_counts: by the index of each text that was cut, its tokens before the cut.

    >>> format_truncated({0: 3900, 7: 2112})
    '0=3900,7=2112'
    """
    named = [f"{index}={count}" for index, count in islice(token_counts.items(), _MAX_NAMED)]
    rest = len(token_counts) - len(named)
    return ",".join([*named, f"+{rest}"] if rest else named)


def parse_truncated(value: str) -> dict[int, int]:
    """Return the texts that a header names, and their tokens before the cut; what cannot be read is left out.

    >>> parse_truncated("0=3900,+28")
    {0: 3900}
    """
    found = (_NAMED.fullmatch(each.strip()) for each in islice(value.split(","), _MAX_NAMED))
    return {int(each[1]): int(each[2]) for each in found if each}
