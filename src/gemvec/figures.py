"""What a part of the program reports about itself: `Figure`, such as the number of waiting texts.

Embedders and stores report their own; the server turns all of them into metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number at the current moment.

    Attributes:
        name: name of the metric, without the prefix `gemvec_` and without `_total`.
        summary: one sentence that describes it.
        value: the number.
        is_total: whether it only grows while the program runs.
        labels: distinguish it from others with the same name, such as {"model": "all-minilm-l6-v2"}; never contain
            anything that a caller wrote.
    """

    name: str
    summary: str
    value: float
    is_total: bool = False
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
