"""The SDKs of this environment and Google's own shell commands, unchanged but for the address."""

import json
import subprocess

import numpy as np
import openai
import pytest
from google import genai
from google.genai import errors, types

TEXTS = ["What is the meaning of life?", "How much wood would a woodchuck chuck?", "How does the brain work?"]

# From the API reference; the trailing commas are Google's.
EMBED = r"""
curl "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:embedContent" \
-H "x-goog-api-key: $GEMINI_API_KEY" \
-H 'Content-Type: application/json' \
-d '{"model": "models/gemini-embedding-001",
     "content": {
     "parts":[{
     "text": "What is the meaning of life?"}]}
    }'
"""
BATCH = r"""
curl "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents" \
-H "x-goog-api-key: $GEMINI_API_KEY" \
-H 'Content-Type: application/json' \
-d '{"requests": [{
      "model": "models/gemini-embedding-001",
      "content": {
      "parts":[{
        "text": "What is the meaning of life?"}]}, },
      {
      "model": "models/gemini-embedding-001",
      "content": {
      "parts":[{
        "text": "How much wood would a woodchuck chuck?"}]}, },
      {
      "model": "models/gemini-embedding-001",
      "content": {
      "parts":[{
        "text": "How does the brain work?"}]}, }, ]}' 2> /dev/null | grep -C 5 values
"""


def shell(command, server_url):
    command = command.replace("https://generativelanguage.googleapis.com", server_url)
    environ = {"GEMINI_API_KEY": "any-key", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.usefixtures("curl")
def test_googles_curl_command_for_one_content(server_url):
    assert len(shell(EMBED, server_url)["embedding"]["values"]) == 3072


@pytest.mark.usefixtures("curl")
def test_googles_curl_command_for_several_contents(server_url):
    assert [len(each["values"]) for each in shell(BATCH, server_url)["embeddings"]] == [3072] * 3


@pytest.fixture
def client(server_url):
    """Google's SDK, pointed at the server."""
    with genai.Client(api_key="any-key", http_options={"base_url": server_url}) as client:
        yield client


@pytest.mark.parametrize("contents", [TEXTS[0], TEXTS])
def test_google_genai_embeds_one_text_and_three(client, contents):
    config = types.EmbedContentConfig(output_dimensionality=10, task_type="RETRIEVAL_DOCUMENT", title="T")
    result = client.models.embed_content(model="gemini-embedding-001", contents=contents, config=config)
    assert [len(each.values) for each in result.embeddings] == [10] * (3 if contents is TEXTS else 1)


def test_google_genai_lists_describes_and_counts(client):
    names = [each.name for each in client.models.list(config={"page_size": 1})]
    assert "models/gemini-embedding-001" in names
    assert len(names) == len(set(names))
    assert client.models.get(model="gemini-embedding-001").name == "models/gemini-embedding-001"
    assert client.models.count_tokens(model="gemini-embedding-001", contents="one two three").total_tokens >= 3


def test_google_genai_reads_errors(client):
    with pytest.raises(errors.ClientError) as e:
        client.models.embed_content(model="no-such", contents="a")
    assert (e.value.code, e.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("base", ["/v1", "/v1beta/openai/"])
def test_openai_python_embeds_lists_and_reads_errors(server_url, base):
    with openai.OpenAI(api_key="any-key", base_url=server_url + base, max_retries=0) as client:
        default = client.embeddings.create(model="gemini-embedding-001", input=TEXTS, dimensions=8)
        floats = client.embeddings.create(
            model="gemini-embedding-001", input=TEXTS, dimensions=8, encoding_format="float"
        )
        for one, other in zip(default.data, floats.data, strict=True):
            np.testing.assert_allclose(one.embedding, other.embedding, atol=2e-3)
        assert "gemini-embedding-001" in [each.id for each in client.models.list()]
        assert client.models.retrieve("gemini-embedding-001").id == "gemini-embedding-001"
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="no-such", input="a")
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model="gemini-embedding-001", input="")
