"""google-genai in Vertex AI's mode, pointed at the server by `http_options`."""

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from google import genai
from google.genai import types

client = genai.Client(vertexai=True, api_key="any-key", http_options={"base_url": server_url()})
MODEL = "gemini-embedding-001"


def embed(contents, model=MODEL, **config):
    options = types.EmbedContentConfig(**config) if config else None
    return client.models.embed_content(model=model, contents=contents, config=options).embeddings


def values(contents, **options):
    return [each.values for each in embed(contents, **options)]


def cut():
    (found,) = embed("word " * 3000)
    assert found.statistics.truncated
    assert_raises(lambda: embed("word " * 3000, auto_truncate=False), "400")


run(
    {
        "single": lambda: assert_vectors(values(TEXTS[0]), 1, 3072),
        "many": lambda: assert_vectors(values(TEXTS), 3, 3072),
        "predict": lambda: assert_vectors(values(TEXTS, model="text-embedding-004"), 3, 768),
        "task types": lambda: assert_vectors(values(TEXTS, task_type="RETRIEVAL_QUERY"), 3, 3072),
        "dimensions": lambda: assert_vectors(values(TEXTS, output_dimensionality=10), 3, 10),
        "more than 100": lambda: assert_vectors(values(MANY), 101, 3072),
        "what was cut": cut,
        "error": lambda: assert_raises(lambda: embed("a", model="no-such-model"), "404"),
    }
)
