"""Pooling makes one vector of a text's token vectors and leaves padding out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.models.pooling import add_pooling
from gemvec.models.runtime import openvino, opset

PADDING = 1e6


def compile_pooling(pooling):
    token_vectors = opset.parameter([-1, -1, 4], np.float32)
    attention_mask = opset.parameter([-1, -1], np.float32)
    pooled = add_pooling(token_vectors.output(0), attention_mask.output(0), pooling)
    model = openvino.Model([pooled], [token_vectors, attention_mask], pooling)
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.fixture(scope="module")
def mean():
    return compile_pooling("mean")


@pytest.fixture(scope="module")
def cls():
    return compile_pooling("cls")


def padded(counts):
    """Return token vectors and mask of texts with so many tokens; padding has numbers that would show."""
    vectors = np.random.default_rng(sum(counts)).standard_normal((len(counts), max(counts), 4)).astype(np.float32)
    mask = (np.arange(max(counts)) < np.array(counts)[:, None]).astype(np.float32)
    vectors[mask == 0] = PADDING
    return vectors, mask


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_the_mean_is_that_of_the_tokens_without_padding(mean, counts):
    vectors, mask = padded(counts)
    expected = [vectors[row, :count].mean(0) for row, count in enumerate(counts)]
    np.testing.assert_allclose(mean([vectors, mask])[0], expected, atol=1e-5)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_cls_is_the_first_token(cls, counts):
    vectors, mask = padded(counts)
    np.testing.assert_array_equal(cls([vectors, mask])[0], vectors[:, 0])


def test_vectors_pooled_inside_the_graph_stay_as_they_are():
    vectors = opset.parameter([-1, 4], np.float32).output(0)
    mask = opset.parameter([-1, -1], np.float32).output(0)
    assert add_pooling(vectors, mask, "inside") == vectors
