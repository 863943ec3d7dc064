"""The class keeps the calls of pymilvus.model 0.3.4, and Milvus' page runs with one import changed.

What is different on purpose is the table in docs/client.md.
"""

import contextlib
import importlib.util
import inspect
import io
import sys

import numpy as np
import pymilvus
import pytest

import gemvec
from gemvec import GeminiEmbeddingFunction
from gemvec.pymilvus import model
from scripted_server import unit_vector_of

# pymilvus.model 0.3.4, dense/gemini.py: what callers can write. (name, default) per parameter after self.
MILVUS_CALLS = {
    # Milvus' own default, gemini-embedding-exp-03-07, is retired.
    "__init__": [("model_name", "gemini-embedding-001"), ("api_key", None), ("config", None)],
    "encode_documents": [("documents", inspect.Parameter.empty)],
    "encode_queries": [("queries", inspect.Parameter.empty)],
    "__call__": [("texts", inspect.Parameter.empty)],
}
MILVUS_ATTRIBUTES = ["model_name", "client", "config", "dim"]

# Source: https://milvus.io/docs/embed-with-gemini.md, the code blocks in order, as printed.
PAGE = [
    """
from pymilvus import model

gemini_ef = model.dense.GeminiEmbeddingFunction(
    model_name='gemini-embedding-exp-03-07', # Specify the model name
    api_key='YOUR_API_KEY', # Provide your OpenAI API key
)
""",
    """
docs = [
    "Artificial intelligence was founded as an academic discipline in 1956.",
    "Alan Turing was the first person to conduct substantial research in AI.",
    "Born in Maida Vale, London, Turing was raised in southern England.",
]

docs_embeddings = gemini_ef.encode_documents(docs)

# Print embeddings
print("Embeddings:", docs_embeddings)
# Print dimension and shape of embeddings
print("Dim:", gemini_ef.dim, docs_embeddings[0].shape)
""",
    """
queries = ["When was artificial intelligence founded", 
           "Where was Alan Turing born?"]

query_embeddings = gemini_ef.encode_queries(queries)

# Print embeddings
print("Embeddings:", query_embeddings)
# Print dimension and shape of embeddings
print("Dim", gemini_ef.dim, query_embeddings[0].shape)
""",  # noqa: W291 # as printed
]


@pytest.mark.parametrize("name", MILVUS_CALLS)
def test_calls_written_for_milvus_class_still_bind(name):
    parameters = list(inspect.signature(getattr(GeminiEmbeddingFunction, name)).parameters.values())[1:]
    expected = MILVUS_CALLS[name]
    assert [(each.name, each.default) for each in parameters[: len(expected)]] == expected
    assert all(
        each.kind in {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
        for each in parameters[len(expected) :]
    )


def test_milvus_drop_in_is_the_same_class():
    assert model.dense.GeminiEmbeddingFunction is gemvec.GeminiEmbeddingFunction


@pytest.mark.parametrize("attribute", MILVUS_ATTRIBUTES)
def test_attributes_of_milvus_class_are_there(server, attribute):
    with GeminiEmbeddingFunction(base_url=server.url) as function:
        assert hasattr(function, attribute)


def test_milvus_page_runs_with_one_import_changed(server, monkeypatch):
    server.default_dimensionality = 3072
    monkeypatch.setenv("GEMVEC_BASE_URL", server.url)
    printed = io.StringIO()
    names = {}
    with contextlib.redirect_stdout(printed):
        for block in PAGE:
            exec(block.replace("from pymilvus import model", "from gemvec.pymilvus import model"), names)
    names["gemini_ef"].close()
    assert printed.getvalue().startswith("Embeddings: [array([")
    assert "Dim: 3072 (3072,)" in printed.getvalue()
    assert "Dim 3072 (3072,)" in printed.getvalue()
    np.testing.assert_allclose(names["query_embeddings"][1], unit_vector_of("Where was Alan Turing born?", 3072), 1e-4)
    assert server.seen[0]["headers"]["x-goog-api-key"] == "YOUR_API_KEY"


def test_vectors_go_into_milvus_as_they_are(server, tmp_path):
    documents = ["Born in London.", "Vectors are stored.", "Where was Turing born?"]
    client = pymilvus.MilvusClient(str(tmp_path / "lite.db"))
    with GeminiEmbeddingFunction("all-minilm-l6-v2", base_url=server.url) as function:
        client.create_collection("docs", dimension=function.dim)
        rows = [{"id": key, "vector": vector} for key, vector in enumerate(function.encode_documents(documents))]
        client.insert("docs", rows)
        [hits] = client.search("docs", data=function.encode_queries(documents[2:]), limit=1)
    client.close()
    assert [hit["id"] for hit in hits] == [2]
    assert hits[0]["distance"] == pytest.approx(1, abs=1e-5)


def test_the_class_can_be_imported_from_the_module_that_milvus_has_it_in():
    from gemvec.pymilvus.model.dense import GeminiEmbeddingFunction as ImportedFunction

    assert ImportedFunction is GeminiEmbeddingFunction is model.dense.GeminiEmbeddingFunction


@pytest.fixture
def milvus_model(tmp_path, monkeypatch):
    """Install a `pymilvus.model` beside the pymilvus that is there."""
    for name, source in {
        "__init__": "from . import dense\nTHEIRS = 1",
        "dense": "class OtherFunction: pass\nclass GeminiEmbeddingFunction: pass",
        "reranker": "class BGERerankFunction: pass",
        "sparse/__init__": "",
        "sparse/tokenizers": "def build_default_analyzer(): pass",
    }.items():
        (tmp_path / "model" / "sparse").mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / f"{name}.py").write_text(source)
    monkeypatch.setattr(pymilvus, "__path__", [*pymilvus.__path__, str(tmp_path)])
    yield
    for name in [each for each in sys.modules if each.startswith(("pymilvus.model", "gemvec.pymilvus.model."))]:
        if not name.startswith("gemvec.pymilvus.model.dense"):
            del sys.modules[name]
    vars(pymilvus).pop("model", None)
    for name in ("reranker", "sparse"):
        vars(model).pop(name, None)


def test_everything_else_of_milvus_model_is_milvus_own(milvus_model):
    from gemvec.pymilvus.model import reranker

    assert model.reranker is reranker is sys.modules["pymilvus.model.reranker"]
    assert model.reranker.BGERerankFunction.__module__ == "pymilvus.model.reranker"
    assert model.dense.OtherFunction.__module__ == "pymilvus.model.dense"
    assert model.dense.GeminiEmbeddingFunction is GeminiEmbeddingFunction
    assert model.THEIRS == 1
    with pytest.raises(AttributeError, match="nonsense"):
        _ = model.nonsense


def test_names_are_imported_from_the_modules_that_milvus_pages_import_them_from(milvus_model):
    from gemvec.pymilvus.model.reranker import BGERerankFunction
    from gemvec.pymilvus.model.sparse.tokenizers import build_default_analyzer

    theirs = sys.modules["pymilvus.model.reranker"]
    assert BGERerankFunction is theirs.BGERerankFunction
    assert sys.modules["gemvec.pymilvus.model.reranker"] is theirs
    assert theirs.__spec__.name == "pymilvus.model.reranker"
    assert build_default_analyzer.__module__ == "pymilvus.model.sparse.tokenizers"
    with pytest.raises(ModuleNotFoundError, match="nonsense"):
        importlib.import_module("gemvec.pymilvus.model.nonsense")


@pytest.mark.skipif(importlib.util.find_spec("pymilvus.model") is not None, reason="Milvus' own module is installed")
def test_where_milvus_model_is_not_installed_the_error_says_how_to_have_it():
    with pytest.raises(AttributeError, match=r"reranker.*pymilvus\[model\]"):
        _ = model.reranker
    with pytest.raises(ModuleNotFoundError, match=r"reranker.*pymilvus\[model\]"):
        importlib.import_module("gemvec.pymilvus.model.reranker")
