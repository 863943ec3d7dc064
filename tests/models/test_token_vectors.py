"""The vectors of single tokens are those of the network's last layer, as sentence-transformers gives them.

`tools/make_golden_token_vectors.py` made `golden/token_vectors.safetensors`.
"""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import InputTooLong, InvalidRequest
from gemvec.models.fake import FakeEmbedder
from gemvec.models.local import open_embedder
from gemvec.settings import Settings

GOLDEN = Path(__file__).with_name("golden")
TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
EXPECTED = {key: each.astype(np.float32) for key, each in load_file(GOLDEN / "token_vectors.safetensors").items()}
MODELS = sorted({key.partition("/")[0] for key in EXPECTED})
PLACES = sorted({int(key.partition("/")[2]) for key in EXPECTED})


def open_model(*models, **settings):
    settings = {"precision": "exact", "streams": 1} | settings
    return open_embedder(Settings.load({}, model=tuple(str(GOLDEN / each) for each in models), **settings))


def embed_tokens(embedder, *texts, model=0, **options):
    """Return what the tokens of the texts have; the golden models have no prompt for classification."""
    requests = [EmbedRequest(text=text, task_type=TaskType.CLASSIFICATION, **options) for text in texts]
    return asyncio.run(embedder.embed_tokens(embedder.list_models()[model], requests))


@pytest.fixture
def bert():
    embedder = open_model("bert")
    yield embedder
    asyncio.run(embedder.close())


def figures(embedder, name):
    return {each.labels["model"]: each.value for each in embedder.figures() if each.name == name}


@pytest.mark.parametrize(("precision", "most"), [("exact", 0.0005), ("fast", 0.05)])
@pytest.mark.parametrize("model", MODELS)
def test_every_token_has_the_vector_of_the_last_layer(model, precision, most):
    embedder = open_model(model, precision=precision)
    found = embed_tokens(embedder, *(TEXTS[place] for place in PLACES))
    asyncio.run(embedder.close())
    for each, place in zip(found, PLACES, strict=True):
        expected = EXPECTED[f"{model}/{place}"]
        assert np.linalg.norm(each.vector - expected) / np.linalg.norm(expected) <= most


def test_a_text_has_the_same_vectors_alone_and_among_others(bert):
    together = embed_tokens(bert, *TEXTS)
    for text, each in zip(TEXTS, together, strict=True):
        (alone,) = embed_tokens(bert, text)
        np.testing.assert_allclose(each.vector, alone.vector, atol=1e-5)


def test_a_cut_at_the_window_is_said_or_refused(bert):
    (cut,) = embed_tokens(bert, TEXTS[6])
    assert (len(cut.vector), cut.token_count) == (64, 62)
    assert cut.truncated_from > 62
    with pytest.raises(InputTooLong) as refused:
        embed_tokens(bert, "dog", TEXTS[6], auto_truncate=False)
    assert refused.value.index == 1


def test_the_network_without_pooling_is_loaded_at_the_first_call_and_counted(bert):
    embed_memory = figures(bert, "model_memory_bytes")
    assert figures(bert, "model_loads") == {"bert": 1}
    embed_tokens(bert, "dog")
    embed_tokens(bert, "cat")
    assert figures(bert, "model_loads") == {"bert": 1, "bert:tokens": 1}
    assert figures(bert, "model_memory_bytes") == embed_memory | {"bert:tokens": embed_memory["bert"]}


def test_the_network_without_pooling_makes_room_for_models_and_they_for_it():
    embedder = open_model("bert", model_memory=1)
    (first,) = embed_tokens(embedder, "dog")
    assert figures(embedder, "model_in_memory") == {"bert": 0, "bert:tokens": 1}
    asyncio.run(embedder.embed(embedder.list_models()[0], [EmbedRequest(text="dog")]))
    assert figures(embedder, "model_in_memory") == {"bert": 1, "bert:tokens": 0}
    (again,) = embed_tokens(embedder, "dog")
    np.testing.assert_array_equal(first.vector, again.vector)
    asyncio.run(embedder.close())


@pytest.mark.parametrize("model", ["static", "model2vec"])
def test_a_table_is_refused_without_loading_it_again(model):
    embedder = open_model(model)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="no network, only a table"):
            embed_tokens(embedder, "dog")
    assert figures(embedder, "model_loads") == {model: 1}
    asyncio.run(embedder.close())


def test_vectors_of_hashes_have_no_tokens():
    with pytest.raises(InvalidRequest, match="hashes of words"):
        embed_tokens(FakeEmbedder(), "dog")
