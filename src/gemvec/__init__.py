"""gemvec: the Gemini embeddings API on your own machine, and the shortest way from documents to Milvus.

Importing this package is light: numpy, the HTTP client and everything heavier load when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemvec.client import GeminiEmbeddingFunction
    from gemvec.errors import GemvecError

__version__ = "0.1.0"

__all__ = ["GeminiEmbeddingFunction", "GemvecError", "__version__"]

_HOMES = {"GeminiEmbeddingFunction": "gemvec.client", "GemvecError": "gemvec.errors"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gemvec' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
