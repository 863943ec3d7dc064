"""chromadb's Google embedding function, pointed at the server by GOOGLE_GEMINI_BASE_URL."""

import chromadb
from checks import MANY, TEXTS, assert_raises, assert_vectors, run
from chromadb.utils.embedding_functions import GoogleGeminiEmbeddingFunction


def embeddings(model="gemini-embedding-001", **options):
    return GoogleGeminiEmbeddingFunction(model_name=model, **options)


def search():
    collection = chromadb.EphemeralClient().create_collection("texts", embedding_function=embeddings())
    collection.add(ids=["a", "b", "c"], documents=TEXTS)
    found = collection.query(query_texts=[TEXTS[1]], n_results=1)
    assert found["ids"] == [["b"]], found["ids"]


run(
    {
        "single": lambda: assert_vectors(embeddings()([TEXTS[0]]), 1, 3072),
        "many": lambda: assert_vectors(embeddings()(TEXTS), 3, 3072),
        "task types": lambda: assert_vectors(embeddings(task_type="CLASSIFICATION")(TEXTS), 3, 3072),
        "dimensions": lambda: assert_vectors(embeddings(dimension=10)(TEXTS), 3, 10),
        "more than 100": lambda: assert_vectors(embeddings()(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: embeddings("no-such-model")(["a"]), "404"),
        "search": search,
    }
)
