"""The client, light to import: `GeminiEmbeddingFunction`, and the `Embedder` that asks a server.

It does not know the server, and imports a model in this process only when one is used. From the outside in: `function`,
`target`, `remote`, `micro_batches`, `retries`, `transport`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemvec.client.config import EmbedConfig
    from gemvec.client.function import GeminiEmbeddingFunction
    from gemvec.client.remote import RemoteEmbedder
    from gemvec.client.target import Target, find_target, open_target
    from gemvec.client.texts import Usage

__all__ = ["EmbedConfig", "GeminiEmbeddingFunction", "RemoteEmbedder", "Target", "Usage", "find_target", "open_target"]

_HOMES = {
    "EmbedConfig": "config",
    "GeminiEmbeddingFunction": "function",
    "RemoteEmbedder": "remote",
    "Target": "target",
    "Usage": "texts",
    "find_target": "target",
    "open_target": "target",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"gemvec.client.{_HOMES[name]}"), name)
