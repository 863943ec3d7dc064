"""`GeminiEmbeddingFunction(cache=...)`: a real model in this process, and behind a real server."""

import asyncio
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from gemvec import GeminiEmbeddingFunction
from gemvec.cache import EmbeddingCache
from gemvec.embedding.embedder import WrapperEmbedder
from gemvec.errors import ApiError
from gemvec.models.local import open_embedder
from gemvec.server.run import open_socket, serving, url_of
from gemvec.server.services import open_services
from gemvec.settings import Settings

TEXTS = [f"text number {number}" for number in range(120)]


class CountingEmbedder(WrapperEmbedder):
    """Counts the texts that really go to a model."""

    def __init__(self, embedder):
        super().__init__(embedder)
        self.texts = 0

    async def embed(self, model, requests, **options):
        self.texts += len(requests)
        return await super().embed(model, requests, **options)


@pytest.fixture
def served(tiny_model, tmp_path):
    """Yield what the server computes with, and the server's URL."""
    settings = Settings(model=(str(tiny_model),), data_dir=tmp_path / "data", shutdown_seconds=1)
    embedder = CountingEmbedder(open_embedder(settings))
    with serving(open_services(settings, embedder=embedder)) as url:
        yield embedder, url
    asyncio.run(embedder.close())


def open_function(url, cache, name="gemini-embedding-001", **options):
    return GeminiEmbeddingFunction(name, "any", base_url=url, cache=cache, **options)


def test_what_a_server_computed_is_found_by_the_next_program(served, tmp_path):
    embedder, url = served
    answers = []
    for _ in range(2):
        with open_function(url, tmp_path / "mine.sqlite3") as function:
            answers.append(function.encode_documents(TEXTS))
            assert function.usage.texts == len(TEXTS)
    np.testing.assert_array_equal(*answers)
    assert embedder.texts == len(TEXTS)


@pytest.mark.parametrize(
    "options",
    [{"config": {"task_type": "CLUSTERING"}}, {"config": {"title": "t"}}, {"config": {"output_dimensionality": 8}}],
)
def test_other_options_find_nothing(served, tmp_path, options):
    embedder, url = served
    for each in ({}, options):
        with open_function(url, tmp_path / "mine.sqlite3", **each) as function:
            function.encode_documents(["a text"])
    assert embedder.texts == 2


def test_documents_and_queries_are_kept_apart(served, tmp_path):
    embedder, url = served
    with open_function(url, tmp_path / "mine.sqlite3") as function:
        function.encode_documents(["a text"])
        function.encode_queries(["a text"])
    assert embedder.texts == 2


def test_nothing_is_kept_unless_asked_for(served, tmp_path, monkeypatch):
    embedder, url = served
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    for _ in range(2):
        with GeminiEmbeddingFunction("gemini-embedding-001", "any", base_url=url) as function:
            function.encode_documents(["a text"])
    assert embedder.texts == 2
    assert not (tmp_path / "cache").exists()


def test_true_is_the_file_of_the_command_line(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    with GeminiEmbeddingFunction(str(tiny_model), base_url="local", cache=True) as function:
        first, again = function.encode_documents(TEXTS), function.encode_documents(TEXTS)
    np.testing.assert_array_equal(first, again)
    cache = EmbeddingCache(tmp_path / "cache" / "embeddings.sqlite3", max_bytes=2**20)
    assert (cache.stats().entries, cache.stats().hits) == (len(TEXTS), len(TEXTS))
    cache.close()


def test_a_cache_may_be_shared_by_functions(served, tmp_path):
    embedder, url = served
    cache = EmbeddingCache(tmp_path / "shared.sqlite3", max_bytes=2**20)
    for _ in range(2):
        with open_function(url, cache) as function:
            function.encode_documents(["a text"])
    assert embedder.texts == 1


@pytest.mark.parametrize("cache_of", [Path, lambda path: EmbeddingCache(path, max_bytes=2**20)])
def test_a_function_with_a_cache_may_be_pickled(served, tmp_path, cache_of):
    embedder, url = served
    with open_function(url, cache_of(tmp_path / "mine.sqlite3")) as function:
        function.encode_documents(["a text"])
        pickled = pickle.dumps(function)
    with pickle.loads(pickled) as other:
        other.encode_documents(["a text"])
    assert embedder.texts == 1


def test_a_refused_text_is_named_by_its_place_among_all(served, tmp_path):
    _, url = served
    with open_function(url, tmp_path / "mine.sqlite3", config={"auto_truncate": False}) as function:
        function.encode_documents(["one", "two"])
        with pytest.raises(ApiError) as caught:
            function.encode_documents(["one", "two", "too long " * 20_000])
    assert caught.value.index == 2
    assert "(text 2 of this call)" in caught.value.message


def test_weights_exchanged_at_the_server_are_noticed_by_a_client_that_stays(tiny_model, tmp_path):
    """The same address and the same name, other weights: the old vectors are found no more."""
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    tensors = safetensors.numpy.load_file(other / "model.safetensors")
    safetensors.numpy.save_file(
        {name: value * 0.5 + 0.1 for name, value in tensors.items()}, other / "model.safetensors"
    )
    bound = open_socket("127.0.0.1", 0)
    url, port = url_of(bound), bound.getsockname()[1]
    bound.close()
    answers = []
    with open_function(url, tmp_path / "mine.sqlite3") as function:
        for model in (tiny_model, other):
            settings = Settings(model=(str(model),), data_dir=tmp_path / "data", shutdown_seconds=1)
            embedder = open_embedder(settings)
            with serving(open_services(settings, embedder=embedder), port=port):
                function.encode_documents(["kept"])
                # A new text asks the server, and so shows that its weights are others.
                answers.append(function.encode_documents(["kept", f"new for {model.name}"]))
                with GeminiEmbeddingFunction("gemini-embedding-001", "any", base_url=url) as plain:
                    expected = plain.encode_documents(["kept"])
            asyncio.run(embedder.close())
            np.testing.assert_allclose(answers[-1][0], expected[0], atol=2e-3)
    assert not np.allclose(answers[0][0], answers[1][0], atol=1e-2)
