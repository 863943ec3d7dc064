"""LightRAG's Gemini embedding function, pointed at the server by `base_url`."""

import asyncio

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from lightrag.llm.gemini import gemini_embed


def embed(texts, **options):
    options = {"model": "gemini-embedding-001", "base_url": server_url(), "api_key": "any-key"} | options
    return asyncio.run(gemini_embed.func(texts, **options))


run(
    {
        "single": lambda: assert_vectors(embed([TEXTS[0]], embedding_dim=3072), 1, 3072),
        "many": lambda: assert_vectors(embed(TEXTS, embedding_dim=768), 3, 768),
        "task types": lambda: assert_vectors(embed(TEXTS, embedding_dim=768, context="query"), 3, 768),
        "more than 100": lambda: assert_vectors(embed(MANY, embedding_dim=768), 101, 768),
        "error": lambda: assert_raises(lambda: embed(["a"], model="no-such-model"), "404"),
    }
)
