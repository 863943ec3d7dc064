"""LangChain's GoogleGenerativeAIEmbeddings, pointed at the server by `base_url`."""

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from langchain_google_genai import GoogleGenerativeAIEmbeddings


def embeddings(model="models/gemini-embedding-001", **options):
    return GoogleGenerativeAIEmbeddings(model=model, google_api_key="any-key", base_url=server_url(), **options)


run(
    {
        "single": lambda: assert_vectors([embeddings().embed_query(TEXTS[0])], 1, 3072),
        "many": lambda: assert_vectors(embeddings().embed_documents(TEXTS), 3, 3072),
        "task types": lambda: assert_vectors(
            embeddings(task_type="SEMANTIC_SIMILARITY").embed_documents(TEXTS), 3, 3072
        ),
        "dimensions": lambda: assert_vectors(embeddings(output_dimensionality=10).embed_documents(TEXTS), 3, 10),
        "more than 100": lambda: assert_vectors(embeddings().embed_documents(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: embeddings("models/no-such-model").embed_query("a"), "404"),
    }
)
