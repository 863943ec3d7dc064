"""Milvus' documentation with one import changed: `from gemvec.pymilvus import model`.

`model.dense.GeminiEmbeddingFunction` is then gemvec's; everything else of pymilvus stays where it is.
"""

from __future__ import annotations

from gemvec.client.function import GeminiEmbeddingFunction as _GeminiEmbeddingFunction

__all__ = ["model"]


class dense:  # noqa: N801 # stands for the module pymilvus.model.dense
    """Embedding functions whose vectors are dense."""

    GeminiEmbeddingFunction = _GeminiEmbeddingFunction


class model:  # noqa: N801 # stands for the module pymilvus.model
    """What `from pymilvus import model` gives, as far as gemvec has it."""

    dense = dense
