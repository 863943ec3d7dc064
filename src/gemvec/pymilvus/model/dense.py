"""Embedding functions with dense vectors: gemvec's `GeminiEmbeddingFunction`, and the others from Milvus."""

from __future__ import annotations

from typing import Any

from gemvec.client.function import GeminiEmbeddingFunction
from gemvec.pymilvus.theirs import find_theirs

__all__ = ["GeminiEmbeddingFunction"]


def __getattr__(name: str) -> Any:
    return find_theirs("pymilvus.model.dense", name)
