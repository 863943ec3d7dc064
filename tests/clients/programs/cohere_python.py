"""cohere, pointed at the server by `base_url`."""

import cohere
from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url

client = cohere.ClientV2(api_key="any-key", base_url=server_url())
first_client = cohere.Client(api_key="any-key", base_url=server_url())


def embed(texts, encoding="float", model="gemini-embedding-001", **options):
    answer = client.embed(
        model=model,
        texts=texts,
        input_type=options.pop("input_type", "search_document"),
        embedding_types=[encoding],
        **options,
    )
    assert answer.meta.billed_units.input_tokens > 0
    return getattr(answer.embeddings, "float_" if encoding == "float" else encoding)


def encodings():
    for name, values in {"int8": 16, "uint8": 16, "binary": 2, "ubinary": 2}.items():
        assert_vectors(embed(TEXTS, name, output_dimension=16), 3, values)
    assert [len(each) for each in embed(TEXTS, "base64", output_dimension=3)] == [16] * 3


def older_route():
    """It sends 96 texts at a time and puts the answers together."""
    options = {"texts": MANY, "model": "gemini-embedding-001", "input_type": "search_query"}
    assert_vectors(first_client.embed(**options).embeddings, 101, 3072)
    assert_vectors(first_client.embed(**options, embedding_types=["binary"]).embeddings.binary, 101, 384)


run(
    {
        "single": lambda: assert_vectors(embed([TEXTS[0]]), 1, 3072),
        "many": lambda: assert_vectors(embed(TEXTS), 3, 3072),
        "task types": lambda: assert_vectors(embed(TEXTS, input_type="search_query"), 3, 3072),
        "encodings": encodings,
        "dimensions": lambda: assert_vectors(embed(TEXTS, output_dimension=10), 3, 10),
        "more than 100": lambda: assert_vectors(embed(MANY), 101, 3072),
        "older route": older_route,
        "error": lambda: assert_raises(lambda: embed(["a"], model="no-such-model"), "404"),
    }
)
