"""An embedder that remembers: a text that was embedded before is not embedded again.

`embedder` puts a cache around any embedder, `file` keeps embeddings in one SQLite file, `table` is that file's table,
and `key` says what makes two embeddings the same. Does not know who asks or what computes.
"""

from __future__ import annotations

from gemvec.cache.embedder import CachedEmbedder, local_source, open_cache, with_cache, with_own_cache
from gemvec.cache.file import CacheStats, EmbeddingCache

__all__ = [
    "CacheStats",
    "CachedEmbedder",
    "EmbeddingCache",
    "local_source",
    "open_cache",
    "with_cache",
    "with_own_cache",
]
