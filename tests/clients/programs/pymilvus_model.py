"""pymilvus.model's own GeminiEmbeddingFunction and TEIEmbeddingFunction, pointed at the server by their arguments."""

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from pymilvus import model


def gemini(name="gemini-embedding-exp-03-07", **options):
    return model.dense.GeminiEmbeddingFunction(
        model_name=name, api_key="any-key", http_options={"base_url": server_url()}, **options
    )


def tei():
    return model.dense.TEIEmbeddingFunction(api_url=server_url())


def dimensions():
    from google.genai import types

    function = gemini(config=types.EmbedContentConfig(output_dimensionality=768, task_type="CLUSTERING"))
    assert_vectors(function.encode_documents(TEXTS), 3, 768)


def reranked():
    found = model.reranker.TEIRerankFunction(api_url=server_url())(TEXTS[0], MANY[:9])
    assert len(found) == 5  # as many as it ever returns
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert all(each.text == MANY[each.index] for each in found)


run(
    {
        "single": lambda: assert_vectors(gemini().encode_queries([TEXTS[0]]), 1, 3072),
        "many": lambda: assert_vectors(gemini().encode_documents(TEXTS), 3, 3072),
        "task types": dimensions,
        "dimensions": dimensions,
        "more than 100": lambda: assert_vectors(gemini().encode_documents(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: gemini("models/no-such-model").encode_documents(["a"]), "404"),
        "TEI reranking": reranked,
        "TEI": lambda: assert_vectors(tei().encode_documents(TEXTS), 3),
    }
)
