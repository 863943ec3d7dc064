"""google-generativeai, the SDK before google-genai, over REST, pointed at the server by `client_options`."""

import google.generativeai as genai
from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url

genai.configure(api_key="any-key", transport="rest", client_options={"api_endpoint": server_url()})
MODEL = "models/text-embedding-004"


def embed(content, **options):
    return genai.embed_content(model=MODEL, content=content, **options)["embedding"]


def task_types():
    assert_vectors([embed(TEXTS[0], task_type="retrieval_document", title="Philosophy")], 1, 768)
    assert_vectors(embed(TEXTS, task_type="semantic_similarity"), 3, 768)


run(
    {
        "single": lambda: assert_vectors([embed(TEXTS[0])], 1, 768),
        "many": lambda: assert_vectors(embed(TEXTS), 3, 768),
        "task types": task_types,
        "dimensions": lambda: assert_vectors([embed(TEXTS[0], output_dimensionality=10)], 1, 10),
        "more than 100": lambda: assert_vectors(embed(MANY), 101, 768),
        "error": lambda: assert_raises(
            lambda: genai.embed_content(model="models/no-such-model", content="a"), "404", "is not found"
        ),
        "models": lambda: genai.get_model("models/text-embedding-004"),
    }
)
