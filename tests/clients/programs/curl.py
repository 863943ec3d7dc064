"""curl, with the commands of Google's reference as printed, but for key and address."""

import json
import subprocess

from checks import MANY, TEXTS, assert_vectors, run, server_url

EMBED = r"""
curl -s "$SERVER/v1beta/models/gemini-embedding-001:embedContent" \
-H "x-goog-api-key: $GEMINI_API_KEY" \
-H 'Content-Type: application/json' \
-d '{"model": "models/gemini-embedding-001",
     "content": {
     "parts":[{
     "text": "What is the meaning of life?"}]}
    }'
"""

# The trailing commas are Google's.
BATCH = r"""
curl -s "$SERVER/v1beta/models/gemini-embedding-001:batchEmbedContents" \
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
        "text": "How does the brain work?"}]}, }, ]}' 2> /dev/null
"""


def shell(command):
    environ = {"SERVER": server_url(), "GEMINI_API_KEY": "any-key", "PATH": "/usr/bin:/bin:/usr/local/bin"}
    done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def post(method, body, model="gemini-embedding-001"):
    address = f"{server_url()}/v1beta/models/{model}:{method}"
    command = ["curl", "-s", address, "-H", "x-goog-api-key: any-key", "-H", "Content-Type: application/json"]
    done = subprocess.run([*command, "-d", json.dumps(body)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def content(text):
    return {"content": {"parts": [{"text": text}]}}


def task_types():
    body = content(TEXTS[0]) | {"taskType": "RETRIEVAL_DOCUMENT", "title": "Philosophy"}
    assert_vectors([post("embedContent", body)["embedding"]["values"]], 1, 3072)


def many_more():
    answer = post("batchEmbedContents", {"requests": [content(text) for text in MANY]})
    assert_vectors([each["values"] for each in answer["embeddings"]], 101, 3072)


def dimensions():
    answer = post("embedContent", content(TEXTS[0]) | {"outputDimensionality": 10})
    assert_vectors([answer["embedding"]["values"]], 1, 10)


def error():
    answer = post("embedContent", content("a"), model="no-such-model")["error"]
    assert (answer["code"], answer["status"]) == (404, "NOT_FOUND"), answer


run(
    {
        "single": lambda: assert_vectors([json.loads(shell(EMBED))["embedding"]["values"]], 1, 3072),
        "many": lambda: assert_vectors([each["values"] for each in json.loads(shell(BATCH))["embeddings"]], 3, 3072),
        "task types": task_types,
        "dimensions": dimensions,
        "more than 100": many_more,
        "error": error,
    }
)
