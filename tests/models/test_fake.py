"""The embedder without weights: `gemvec serve --model fake`."""

import asyncio

import numpy as np
import pytest

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadDimensionality, EmptyText, InputTooLong, ModelNotFound, UnsupportedTaskType
from gemvec.models.fake import FakeEmbedder


def embed(*texts, model="gemini-embedding-001", **options):
    embedder = FakeEmbedder()
    served = embedder.get_model(model)
    return asyncio.run(embedder.embed(served, [EmbedRequest(text=each, **options) for each in texts]))


def test_a_text_has_the_same_vector_in_every_process():
    [found] = embed("What is the meaning of life?", output_dimensionality=4)
    np.testing.assert_allclose(found.vector, [0.18516, 0.40290, 0.40526, 0.79946], atol=1e-3)


def test_vectors_have_length_one_and_the_dimensionality_asked_for():
    for dimensionality, wanted in ((None, 3072), (768, 768), (5, 5)):
        [found] = embed("a text", output_dimensionality=dimensionality)
        assert found.vector.shape == (wanted,)
        assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)
    assert embed("a text", model="fake")[0].vector.shape == (768,)


def test_texts_that_share_words_are_nearer():
    cancel, batch, weather = embed("how to cancel a batch", "Cancel a batch job.", "It will rain tomorrow")
    assert cancel.vector @ batch.vector > 0.3 > abs(cancel.vector @ weather.vector)


def test_texts_of_the_same_words_in_another_order_differ():
    first, second = embed("dog bites man", "man bites dog")
    assert 0.5 < first.vector @ second.vector < 0.999


def test_text_without_words_has_a_vector():
    assert np.linalg.norm(embed(" \N{ZERO WIDTH SPACE}")[0].vector) == pytest.approx(1, abs=1e-5)


def test_texts_beyond_the_limit_are_cut_or_refused_as_google_does():
    text = "word " * 3000
    [found] = embed(text)
    assert (found.token_count, found.truncated_from) == (2048, 3000)
    assert found.vector @ embed("word " * 2048)[0].vector > 0.99
    with pytest.raises(InputTooLong, match="3000 tokens"):
        embed(text, auto_truncate=False)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (EmptyText, {"texts": [""]}),
        (ModelNotFound, {"texts": ["a"], "model": "text-embedding-3-small"}),
        (BadDimensionality, {"texts": ["a"], "output_dimensionality": 4000}),
        (UnsupportedTaskType, {"texts": ["a"], "model": "embedding-001", "task_type": TaskType.CLUSTERING}),
    ],
)
def test_what_google_refuses_is_refused(error, arguments):
    with pytest.raises(error):
        embed(*arguments.pop("texts"), **arguments)


def test_words_are_tokens():
    embedder = FakeEmbedder()
    assert asyncio.run(embedder.count_tokens(embedder.get_model("fake"), ["one, two"])) == [3]
