"""google-genai (Python), pointed at the server by `http_options`."""

import json
import sys
import tempfile
import time
from pathlib import Path

from checks import MANY, TEXTS, assert_raises, assert_vectors, run, server_url
from google import genai
from google.genai import types

MODEL = "gemini-embedding-001"
client = genai.Client(api_key="any-key", http_options={"base_url": server_url()})


def embed(contents, **config):
    result = client.models.embed_content(
        model=MODEL, contents=contents, config=types.EmbedContentConfig(**config) if config else None
    )
    return [each.values for each in result.embeddings]


def task_types():
    for name in ("RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CODE_RETRIEVAL_QUERY"):
        assert_vectors(embed(TEXTS, task_type=name), 3, 3072)
    assert_vectors(embed(TEXTS[0], task_type="RETRIEVAL_DOCUMENT", title="Philosophy"), 1, 3072)


def error():
    assert_raises(lambda: client.models.embed_content(model="no-such-model", contents="a"), "404", "NOT_FOUND")


def models():
    assert "models/" + MODEL in [each.name for each in client.models.list()]
    assert client.models.get(model=MODEL).input_token_limit == 2048


def finished(job):
    for _ in range(600):
        job = client.batches.get(name=job.name)
        if job.done:
            return job
        time.sleep(0.1)
    raise AssertionError(f"the batch is still {job.state}")


def inlined_batch():
    source = types.EmbeddingsBatchJobSource(
        inlined_requests=types.EmbedContentBatch(
            contents=TEXTS, config=types.EmbedContentConfig(output_dimensionality=10)
        )
    )
    job = finished(client.batches.create_embeddings(model=MODEL, src=source, config={"display_name": "inlined"}))
    assert job.state == "JOB_STATE_SUCCEEDED", job.state
    assert job.display_name == "inlined"
    answers = job.dest.inlined_embed_content_responses
    assert_vectors([each.response.embedding.values for each in answers], 3, 10)
    assert job.name in [each.name for each in client.batches.list()]
    client.batches.delete(name=job.name)


def file_batch():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requests.jsonl"
        lines = [
            {"key": f"k{number}", "request": {"content": {"parts": [{"text": text}]}, "output_dimensionality": 10}}
            for number, text in enumerate(TEXTS)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        file = client.files.upload(file=path, config=types.UploadFileConfig(display_name="in", mime_type="jsonl"))
    job = client.batches.create_embeddings(
        model=MODEL, src=types.EmbeddingsBatchJobSource(file_name=file.name), config={"display_name": "from file"}
    )
    job = finished(job)
    assert job.state == "JOB_STATE_SUCCEEDED", job.state
    output = [json.loads(line) for line in client.files.download(file=job.dest.file_name).splitlines()]
    assert [each["key"] for each in output] == ["k0", "k1", "k2"]
    assert_vectors([each["response"]["embedding"]["values"] for each in output], 3, 10)
    client.batches.delete(name=job.name)
    client.files.delete(name=file.name)


def cancelled_batch():
    source = types.EmbeddingsBatchJobSource(inlined_requests=types.EmbedContentBatch(contents=MANY * 20))
    job = client.batches.create_embeddings(model=MODEL, src=source)
    client.batches.cancel(name=job.name)
    assert finished(job).state in {"JOB_STATE_CANCELLED", "JOB_STATE_SUCCEEDED"}


def files():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.txt"
        path.write_bytes(b"0123456789abcdef" * 600_000)  # 9.6 MB: two chunks
        file = client.files.upload(file=path, config=types.UploadFileConfig(mime_type="text/plain"))
        assert file.size_bytes == path.stat().st_size
    assert client.files.get(name=file.name).name == file.name
    assert file.name in [each.name for each in client.files.list()]
    client.files.delete(name=file.name)
    assert_raises(lambda: client.files.get(name=file.name), "404")


CHECKS = {
    "single": lambda: assert_vectors(embed(TEXTS[0]), 1, 3072),
    "many": lambda: assert_vectors(embed(TEXTS), 3, 3072),
    "task types": task_types,
    "dimensions": lambda: assert_vectors(embed(TEXTS, output_dimensionality=10), 3, 10),
    "more than 100": lambda: assert_vectors(embed(MANY), 101, 3072),
    "error": error,
    "models": models,
    "files": files,
    "batch, inlined": inlined_batch,
    "batch, file": file_batch,
    "batch, cancelled": cancelled_batch,
}

if __name__ == "__main__":
    names = sys.argv[2:]
    run({name: check for name, check in CHECKS.items() if not names or name in names})
