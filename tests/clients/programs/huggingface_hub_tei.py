"""huggingface_hub's InferenceClient, pointed at the server by its `model` argument, as at text-embeddings-inference."""

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from huggingface_hub import InferenceClient

client = InferenceClient(server_url())


def similarity():
    similar = InferenceClient(f"{server_url()}/similarity")
    found = similar.sentence_similarity(TEXTS[0], other_sentences=[TEXTS[1], TEXTS[0]])
    assert found[0] < found[1] > 0.999, found


def tokens():
    (vectors,) = InferenceClient(f"{server_url()}/embed_all").feature_extraction(TEXTS[0])
    mean = vectors.mean(axis=0)
    (pooled,) = client.feature_extraction(TEXTS[0])
    assert mean @ pooled / (mean @ mean) ** 0.5 > 0.999, "the model averages the vectors of tokens"


run(
    {
        "single": lambda: assert_vectors(client.feature_extraction(TEXTS[0]), 1),
        "many": lambda: assert_vectors(client.feature_extraction(TEXTS), 3),
        "task types": lambda: assert_vectors(client.feature_extraction(TEXTS, prompt_name="query"), 3),
        "more than 100": lambda: assert_vectors(client.feature_extraction(MANY), 101),
        "similarity": similarity,
        "vectors of tokens": tokens,
        "error": lambda: assert_raises(lambda: client.feature_extraction(""), "Bad request"),
    }
)
