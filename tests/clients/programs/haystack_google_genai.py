"""Haystack's google-genai embedders, pointed at the server by GOOGLE_GEMINI_BASE_URL."""

from checks import MANY, TEXTS, assert_raises, assert_vectors, run
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.embedders.google_genai import (
    GoogleGenAIDocumentEmbedder,
    GoogleGenAITextEmbedder,
)

KEY = Secret.from_token("any-key")


def embed(text, model="gemini-embedding-001", **config):
    return GoogleGenAITextEmbedder(api_key=KEY, model=model, config=config or None).run(text)["embedding"]


def embed_documents(texts, **config):
    embedder = GoogleGenAIDocumentEmbedder(
        api_key=KEY, model="gemini-embedding-001", config=config or None, progress_bar=False
    )
    documents = embedder.run([Document(content=text) for text in texts])["documents"]
    return [each.embedding for each in documents]


run(
    {
        "single": lambda: assert_vectors([embed(TEXTS[0])], 1, 3072),
        "many": lambda: assert_vectors(embed_documents(TEXTS), 3, 3072),
        "task types": lambda: assert_vectors([embed(TEXTS[0], task_type="FACT_VERIFICATION")], 1, 3072),
        "dimensions": lambda: assert_vectors(embed_documents(TEXTS, output_dimensionality=10), 3, 10),
        "more than 100": lambda: assert_vectors(embed_documents(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: embed("a", model="no-such-model"), "404"),
    }
)
