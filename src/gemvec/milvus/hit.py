"""One passage found by a search: `Hit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One passage found.

    Attributes:
        score: cosine similarity (dense), or what `fuse` gives, from 0 to 1 (hybrid); higher is better.
        Others: see `Row`.
    """

    score: float
    key: str
    text: str
    document_id: str
    chunk: int
    title: str
    heading: str
    source: str
    position: str
    metadata: dict[str, Any]
