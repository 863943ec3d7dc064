"""openai-python, pointed at the server by `base_url`, under both of its addresses."""

from checks import MANY, TEXTS, assert_close, assert_raises, assert_vectors, run, server_url
from openai import OpenAI

google_style = OpenAI(api_key="any-key", base_url=server_url() + "/v1beta/openai/", max_retries=0)
openai_style = OpenAI(api_key="any-key", base_url=server_url() + "/v1", max_retries=0)
MODEL = "gemini-embedding-001"


def embed(client, texts, **options):
    answer = client.embeddings.create(model=MODEL, input=texts, **options)
    assert answer.usage.total_tokens > 0
    assert [each.index for each in answer.data] == list(range(len(answer.data)))
    return [each.embedding for each in answer.data]


def encodings():
    base64 = embed(openai_style, TEXTS)  # what openai-python asks for when the user says nothing
    floats = embed(openai_style, TEXTS, encoding_format="float")
    for first, second in zip(base64, floats, strict=True):
        assert_close(first, second)


def error():
    assert_raises(lambda: openai_style.embeddings.create(model="no-such-model", input="a"), "404")
    assert_raises(lambda: openai_style.embeddings.create(model=MODEL, input=""), "400")


run(
    {
        "single": lambda: assert_vectors(embed(google_style, TEXTS[0]), 1, 3072),
        "many": lambda: assert_vectors(embed(openai_style, TEXTS), 3, 3072),
        "encodings": encodings,
        "dimensions": lambda: assert_vectors(embed(google_style, TEXTS, dimensions=10), 3, 10),
        "more than 100": lambda: assert_vectors(embed(openai_style, MANY), 101, 3072),
        "error": error,
        "models": google_style.models.list,
    }
)
