"""The light client: `GeminiEmbeddingFunction`, and the `Embedder` that asks a server.

Knows neither server nor model; a model in this process is imported when it is asked for. From the outside in:
`function`, `target`, `remote`, `micro_batches`, `retries`, `transport`.
"""

from gemvec.client.config import EmbedConfig
from gemvec.client.function import GeminiEmbeddingFunction
from gemvec.client.remote import RemoteEmbedder
from gemvec.client.target import Target, find_target, open_target
from gemvec.client.texts import Usage

__all__ = ["EmbedConfig", "GeminiEmbeddingFunction", "RemoteEmbedder", "Target", "Usage", "find_target", "open_target"]
