"""graphiti-core's GeminiEmbedder, pointed at the server by GOOGLE_GEMINI_BASE_URL."""

import asyncio

from checks import MANY, TEXTS, assert_raises, assert_vectors, run
from graphiti_core.embedder.gemini import GeminiEmbedder, GeminiEmbedderConfig


def embedder(model="gemini-embedding-001"):
    return GeminiEmbedder(GeminiEmbedderConfig(api_key="any-key", embedding_model=model, embedding_dim=10))


run(
    {
        "single": lambda: assert_vectors([asyncio.run(embedder().create(TEXTS[0]))], 1, 10),
        "many": lambda: assert_vectors(asyncio.run(embedder().create_batch(TEXTS)), 3, 10),
        "more than 100": lambda: assert_vectors(asyncio.run(embedder().create_batch(MANY)), 101, 10),
        "error": lambda: assert_raises(lambda: asyncio.run(embedder("no-such-model").create("a")), "404"),
    }
)
