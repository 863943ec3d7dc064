"""Models of several families have sentence-transformers' vectors through HTTP, too; see `models/test_golden.py`."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file

from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings

GOLDEN = Path(__file__).parents[1] / "models" / "golden"
TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
MODELS = ("bert", "xlm-roberta", "gemma3_text", "qwen3", "static")
TASKS = {"": "CLASSIFICATION", "query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """An HTTP client of a server with all of these models."""
    folders = tuple(str(GOLDEN / model) for model in MODELS)
    options = {"precision": "exact", "long_text": "truncate", "streams": 2}
    settings = Settings.load({}, model=folders, data_dir=tmp_path_factory.mktemp("data"), **options)
    with serving(open_services(settings)) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def assert_equal(vectors, expected):
    vectors = np.float32(vectors)
    assert vectors.shape == expected.shape
    cosines = np.einsum("ij,ij->i", vectors, expected) / np.linalg.norm(expected, axis=1)
    assert cosines.min() >= 0.99999


@pytest.mark.parametrize("model", MODELS)
def test_geminis_route_gives_the_vectors_of_every_prompt(golden, model):
    for prompt, expected in load_file(GOLDEN / model / "expected.safetensors").items():
        asked = [{"content": {"parts": [{"text": text}]}, "taskType": TASKS[prompt]} for text in TEXTS]
        answer = golden.post(f"/v1beta/models/{model}:batchEmbedContents", json={"requests": asked}).json()
        assert_equal([each["values"] for each in answer["embeddings"]], expected)


@pytest.mark.parametrize("model", MODELS)
def test_openais_route_gives_the_same_vectors(golden, model):
    expected = load_file(GOLDEN / model / "expected.safetensors")["query"]
    asked = {"model": model, "input": TEXTS, "input_type": "query"}
    answer = golden.post("/v1/embeddings", json=asked).json()
    assert_equal([each["embedding"] for each in answer["data"]], expected)
