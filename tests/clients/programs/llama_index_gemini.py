"""LlamaIndex's GoogleGenAIEmbedding, pointed at the server by `http_options`."""

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from google.genai.types import EmbedContentConfig, HttpOptions
from llama_index.embeddings.google_genai import GoogleGenAIEmbedding


def embeddings(model="gemini-embedding-001", **options):
    return GoogleGenAIEmbedding(
        model_name=model, api_key="any-key", http_options=HttpOptions(base_url=server_url()), **options
    )


def with_config(**config):
    return embeddings(embedding_config=EmbedContentConfig(**config))


run(
    {
        "single": lambda: assert_vectors([embeddings().get_query_embedding(TEXTS[0])], 1, 3072),
        "many": lambda: assert_vectors(embeddings().get_text_embedding_batch(TEXTS), 3, 3072),
        "task types": lambda: assert_vectors(
            with_config(task_type="CLUSTERING").get_text_embedding_batch(TEXTS), 3, 3072
        ),
        "dimensions": lambda: assert_vectors(
            with_config(output_dimensionality=10).get_text_embedding_batch(TEXTS), 3, 10
        ),
        "more than 100": lambda: assert_vectors(embeddings().get_text_embedding_batch(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: embeddings("no-such-model", retries=0).get_query_embedding("a"), "404"),
    }
)
