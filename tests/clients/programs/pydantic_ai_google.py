"""pydantic-ai's Embedder with Google's models, pointed at the server by its provider's `base_url`."""

import asyncio

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from pydantic_ai import Embedder
from pydantic_ai.embeddings.google import GoogleEmbeddingModel
from pydantic_ai.providers.google import GoogleProvider


def embed(texts, model="gemini-embedding-001", input_type="document", **settings):
    provider = GoogleProvider(api_key="any-key", base_url=server_url())
    embedder = Embedder(GoogleEmbeddingModel(model, provider=provider))
    return asyncio.run(embedder.embed(texts, input_type=input_type, settings=settings)).embeddings


run(
    {
        "single": lambda: assert_vectors(embed(TEXTS[0]), 1, 3072),
        "many": lambda: assert_vectors(embed(TEXTS), 3, 3072),
        "task types": lambda: assert_vectors(embed(TEXTS, input_type="query"), 3, 3072),
        "dimensions": lambda: assert_vectors(embed(TEXTS, dimensions=10), 3, 10),
        "more than 100": lambda: assert_vectors(embed(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: embed("a", model="no-such-model"), "404"),
    }
)
