"""LiteLLM's gemini provider, pointed at the server by `api_base`."""

import litellm
from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url


def embed(texts, model="gemini/gemini-embedding-001", **options):
    answer = litellm.embedding(model=model, input=texts, api_key="any-key", api_base=server_url(), **options)
    return [each["embedding"] for each in answer.data]


run(
    {
        "single": lambda: assert_vectors(embed([TEXTS[0]]), 1, 3072),
        "many": lambda: assert_vectors(embed(TEXTS), 3, 3072),
        "task types": lambda: assert_vectors(embed(TEXTS, task_type="RETRIEVAL_QUERY"), 3, 3072),
        "dimensions": lambda: assert_vectors(embed(TEXTS, dimensions=10), 3, 10),
        "more than 100": lambda: assert_vectors(embed(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: embed(["a"], model="gemini/no-such-model"), "404"),
    }
)
