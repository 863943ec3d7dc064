"""base_url="local" runs the model in the process: the same vectors as the server gives, and no server."""

import asyncio
import pickle
import subprocess
import sys

import numpy as np
import pytest

from gemvec import GeminiEmbeddingFunction
from gemvec.client import find_target, open_target
from gemvec.client.in_process import require_packages
from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import InputTooLong, MissingDependency
from hub_server import serving

TEXTS = ["Born in Maida Vale, London.", "Where was Alan Turing born?", "Where was Alan Turing born?"]


@pytest.fixture
def function(tiny_model):
    with GeminiEmbeddingFunction(str(tiny_model), base_url="local") as function:
        yield function


def test_a_folder_s_model_embeds_in_the_process(function):
    vectors = function.encode_documents(TEXTS)
    assert function.dim == vectors[0].size == 32
    np.testing.assert_allclose([np.linalg.norm(vector) for vector in vectors], 1, rtol=1e-5)
    np.testing.assert_allclose(vectors[1], vectors[2], atol=2e-3)
    assert not np.allclose(vectors[0], vectors[1], atol=2e-3)


def test_gemini_names_mean_the_default_model(tiny_model, monkeypatch):
    monkeypatch.setenv("GEMVEC_MODEL", str(tiny_model))
    with GeminiEmbeddingFunction(base_url="local") as function:
        [vector] = function.encode_queries(["a"])
        assert function.dim == vector.size == 3072
        assert not vector[32:].any()
        assert function.client.get_model("gemini-embedding-exp-03-07").native_dim == 32


def test_many_texts_are_embedded_in_order(function):
    texts = [f"text number {number}" for number in range(700)]
    vectors = function.encode_documents(texts)
    assert len(vectors) == 700
    for index in (0, 255, 256, 699):
        [alone] = function.encode_documents([texts[index]])
        np.testing.assert_allclose(vectors[index], alone, atol=5e-3)
    assert function.usage.texts == 704
    assert function.usage.tokens > 704


def test_an_error_names_its_index_among_all_texts(function):
    function.config = {"auto_truncate": False}
    with pytest.raises(InputTooLong, match=r"documents\[599\] has \d+ tokens or more; .* takes up to 8192") as caught:
        function.encode_documents(["a"] * 599 + ["word " * 20_000])
    assert caught.value.index == 599


def test_weights_that_are_fetched_are_shown_to_arrive_and_nothing_else_is(tiny_model, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path))
    with serving(tiny_model) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        shown = []
        for _ in range(2):
            with GeminiEmbeddingFunction("acme/tiny", base_url="local") as function:
                function.encode_queries(["a"])
            shown.append(capfd.readouterr())
    assert shown[0].err.startswith("fetching: model hub acme/tiny@main")
    assert (shown[0].out, *shown[1]) == ("", "", "")


def test_async_methods_share_the_model_with_sync_ones(function):
    [first] = function.encode_queries(["a"])
    for _ in range(2):
        [again] = asyncio.run(function.aencode_queries(["a"]))
        np.testing.assert_allclose(first, again, atol=2e-3)


def test_a_pickled_function_loads_its_model_again(function):
    with pickle.loads(pickle.dumps(function)) as other:
        assert other.encode_queries(["a"])[0].shape == (32,)


def test_a_forked_child_loads_its_own_model_and_both_exit_without_warnings(tiny_model):
    source = f"""
import os
from gemvec import GeminiEmbeddingFunction
function = GeminiEmbeddingFunction({str(tiny_model)!r}, base_url="local")
[before] = function.encode_queries(["a"])
child = os.fork()
if child == 0:
    [after] = function.encode_queries(["a"])
    raise SystemExit(0 if abs(float(before @ after) - 1) < 1e-3 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    outcome = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "0\n", "")


def test_the_target_is_open_to_other_callers(tiny_model):
    async def embed():
        embedder = open_target(find_target("local"), model=str(tiny_model))
        name = embedder.list_models()[0].name
        [embedding] = await embedder.embed(embedder.get_model(name), [EmbedRequest(text="a")])
        await embedder.close()
        return embedding

    assert asyncio.run(embed()).vector.shape == (32,)


def test_without_its_packages_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    require_packages.cache_clear()
    with pytest.raises(MissingDependency, match=r"pip install '\.\[server\]'"):
        GeminiEmbeddingFunction(base_url="local")
