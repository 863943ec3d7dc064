"""Embedding functions whose vectors are dense: gemvec's `GeminiEmbeddingFunction`, and the others of Milvus' own."""

from __future__ import annotations

from typing import Any

from gemvec.client.function import GeminiEmbeddingFunction

__all__ = ["GeminiEmbeddingFunction"]


def __getattr__(name: str) -> Any:
    from gemvec.pymilvus.model import find_theirs

    return find_theirs("pymilvus.model.dense", name)
