"""Milvus' documentation with one import changed: `from gemvec.pymilvus import model`.

`model.dense.GeminiEmbeddingFunction` is then gemvec's. Everything else of `pymilvus.model` is Milvus' own, where that
is installed; everything else of `pymilvus` stays where it is.
"""

from __future__ import annotations

from gemvec.pymilvus import model

__all__ = ["model"]
