"""The client and the server of this project understand each other: a real model behind a real socket."""

import asyncio

import numpy as np
import pytest

from gemvec import GeminiEmbeddingFunction
from gemvec.client import find_target, open_target
from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import ApiError, ModelNotFound
from gemvec.models.local import open_embedder
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings

TEXTS = [f"text number {number}" + " and more" * (number % 7) for number in range(230)]


@pytest.fixture(scope="module")
def url(tiny_model, tmp_path_factory):
    settings = Settings(
        model=(str(tiny_model),),
        precision="exact",
        api_key=("right-key",),
        data_dir=tmp_path_factory.mktemp("data"),
        shutdown_seconds=1,
    )
    embedder = open_embedder(settings)
    with serving(open_services(settings, embedder=embedder)) as url:
        yield url
    asyncio.run(embedder.close())


@pytest.fixture
def function(url):
    with GeminiEmbeddingFunction("gemini-embedding-001", "right-key", base_url=url) as function:
        yield function


@pytest.fixture
def embedder(url):
    embedder = open_target(find_target(url, api_key="right-key"))
    yield embedder
    asyncio.run(embedder.close())


def test_vectors_are_the_in_process_ones(function, tiny_model, monkeypatch):
    monkeypatch.setenv("GEMVEC_PRECISION", "exact")
    served = function.encode_documents(TEXTS)
    assert served[0].shape == (function.dim,) == (3072,)
    with GeminiEmbeddingFunction(str(tiny_model), base_url="local") as local:
        for vector, expected in zip(served, local.encode_documents(TEXTS), strict=True):
            np.testing.assert_allclose(vector[:32], expected, atol=1e-4)


def test_the_weights_that_served_are_known(function):
    function.encode_queries(["a"])
    assert function.client.weights.rpartition("@")[2].isalnum()


def test_tokens_are_counted_as_the_server_counts_them(function, embedder):
    counted = sum(asyncio.run(embedder.count_tokens(embedder.get_model("gemini-embedding-001"), TEXTS[:5])))
    function.encode_documents(TEXTS[:5])
    assert counted <= function.usage.tokens <= counted + 4 * 5  # special tokens


def test_every_served_model_is_listed_with_its_weights(embedder):
    models = {each.name: each for each in embedder.list_models()}
    own = embedder.list_models()[0]
    assert own.native_dim == own.default_dimensionality == 32
    assert models["gemini-embedding-2"].weights == own.weights
    assert models["gemini-embedding-2"].default_dimensionality == 3072
    assert not models["embedding-001"].takes_options
    assert embedder.get_model(own.name) == own


def test_a_model_that_is_not_served_is_not_found(embedder):
    with pytest.raises(ModelNotFound, match="no model 'nonsense'"):
        embedder.get_model("nonsense")
    with pytest.raises(ApiError, match="404 NOT_FOUND"):
        asyncio.run(embedder.ask("nonsense", [EmbedRequest(text="a")]))


def test_a_wrong_key_is_refused_at_once(url):
    with (
        GeminiEmbeddingFunction(api_key="wrong-key", base_url=url) as function,
        pytest.raises(ApiError, match="API key not valid") as caught,
    ):
        function.encode_queries(["a"])
    assert caught.value.code == 400
    assert "wrong-key" not in str(caught.value)


def test_a_text_that_is_too_long_is_named_by_its_index(function):
    function.config = {"auto_truncate": False}
    with pytest.raises(ApiError) as caught:
        function.encode_documents(["short"] * 130 + ["word " * 5000] + ["short"] * 10)
    assert caught.value.index == 130


def test_shortened_vectors_have_length_one(function):
    function.config = {"output_dimensionality": 10}
    [vector] = function.encode_documents(["a"])
    assert vector.shape == (10,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


def test_titles_and_task_types_reach_the_model(function):
    plain, titled = function.encode_documents(["a text", "a text"], titles=[None, "a title"])
    assert not np.allclose(plain, titled, atol=1e-3)
