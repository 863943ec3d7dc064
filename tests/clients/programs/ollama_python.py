"""ollama-python, pointed at the server by `host`."""

import ollama
from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url

client = ollama.Client(host=server_url())
MODEL = "gemini-embedding-001"


def embed(texts, **options):
    answer = client.embed(model=MODEL, input=texts, **options)
    assert answer.prompt_eval_count > 0
    return answer.embeddings


def models():
    assert MODEL in [each.model for each in client.list().models]
    assert client.show(MODEL).capabilities == ["embedding"]


run(
    {
        "single": lambda: assert_vectors(embed(TEXTS[0]), 1, 3072),
        "many": lambda: assert_vectors(embed(TEXTS), 3, 3072),
        "dimensions": lambda: assert_vectors(embed(TEXTS, dimensions=10), 3, 10),
        "more than 100": lambda: assert_vectors(embed(MANY), 101, 3072),
        "older route": lambda: assert_vectors([client.embeddings(model=MODEL, prompt=TEXTS[0]).embedding], 1, 3072),
        "error": lambda: assert_raises(lambda: client.embed(model="no-such-model", input="a"), "404"),
        "models": models,
    }
)
