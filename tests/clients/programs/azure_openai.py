"""openai-python's client for Azure, pointed at the server by `azure_endpoint`."""

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from openai import AzureOpenAI

MODEL = "gemini-embedding-001"
client = AzureOpenAI(api_key="any-key", api_version="2024-10-21", azure_endpoint=server_url(), max_retries=0)
deployed = AzureOpenAI(
    api_key="any-key",
    api_version="2024-10-21",
    azure_endpoint=server_url(),
    azure_deployment=MODEL,
    max_retries=0,
)


def embed(texts, client=client, model=MODEL, **options):
    answer = client.embeddings.create(model=model, input=texts, **options)
    assert answer.model == MODEL
    return [each.embedding for each in answer.data]


run(
    {
        "single": lambda: assert_vectors(embed(TEXTS[0]), 1, 3072),
        "many": lambda: assert_vectors(embed(TEXTS), 3, 3072),
        "deployment": lambda: assert_vectors(embed(TEXTS, deployed, "anything"), 3, 3072),
        "dimensions": lambda: assert_vectors(embed(TEXTS, dimensions=10), 3, 10),
        "more than 100": lambda: assert_vectors(embed(MANY), 101, 3072),
        "error": lambda: assert_raises(lambda: client.embeddings.create(model="no-such-model", input="a"), "404"),
    }
)
