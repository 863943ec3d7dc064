"""One field of a collection, as a server and Milvus Lite both declare it: `Field`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        name: its name.
        kind: Milvus' name of its type, such as `VARCHAR`.
        options: what else Milvus knows about it, such as `max_length`.
        words_of: the field whose words, weighed by BM25, it holds; empty if none.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    words_of: str = ""
