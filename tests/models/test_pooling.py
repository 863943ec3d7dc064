"""Pooling makes one vector of a text's token vectors and leaves out padding and whatever else does not count."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.models.modules import PoolingMode
from gemvec.models.pooling import add_pooling
from gemvec.models.runtime import openvino, opset

NOT_COUNTED = 1e6
EXPECTED = {
    "cls": lambda tokens, _: tokens[0],
    "max": lambda tokens, _: tokens.max(0),
    "mean": lambda tokens, _: tokens.mean(0),
    "mean_sqrt_len_tokens": lambda tokens, _: tokens.sum(0) / np.sqrt(len(tokens)),
    "weightedmean": lambda tokens, places: (tokens * places[:, None]).sum(0) / places.sum(),
    "lasttoken": lambda tokens, _: tokens[-1],
}


@pytest.fixture(scope="module")
def pool():
    """Return a function that pools by modes; graphs are compiled once."""
    compiled = {}

    def compile_one(modes):
        token_vectors = opset.parameter([-1, -1, 4], np.float32)
        counted = opset.parameter([-1, -1], np.float32)
        positions = opset.parameter([-1], np.int32)
        pooled = add_pooling(token_vectors, counted, positions, modes)
        model = openvino.Model([pooled.output(0)], [token_vectors, counted, positions], "pooling")
        return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def pool_by(modes, vectors, counted):
        if modes not in compiled:
            compiled[modes] = compile_one(modes)
        return compiled[modes]([vectors, counted, np.arange(vectors.shape[1], dtype=np.int32)])[0]

    return pool_by


def texts(spans):
    """Return token vectors and what counts of texts that count from `start` for `count` tokens."""
    width = max(start + count for start, count in spans) + 2
    vectors = np.random.default_rng(sum(map(sum, spans))).standard_normal((len(spans), width, 4)).astype(np.float32)
    counted = np.zeros((len(spans), width), np.float32)
    for row, (start, count) in enumerate(spans):
        counted[row, start : start + count] = 1
    vectors[counted == 0] = NOT_COUNTED
    return vectors, counted


@pytest.mark.parametrize("mode", get_args(PoolingMode))
@given(spans=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=5))
def test_only_tokens_that_count_are_pooled(pool, mode, spans):
    vectors, counted = texts(spans)
    expected = [
        EXPECTED[mode](vectors[row, start : start + count], np.arange(start, start + count) + 1)
        for row, (start, count) in enumerate(spans)
    ]
    np.testing.assert_allclose(pool((mode,), vectors, counted), expected, rtol=1e-5, atol=1e-5)


def test_several_modes_are_joined_in_the_order_asked_for(pool):
    vectors, counted = texts([(0, 3), (1, 5)])
    joined = pool(("lasttoken", "mean"), vectors, counted)
    np.testing.assert_array_equal(joined[:, :4], pool(("lasttoken",), vectors, counted))
    np.testing.assert_array_equal(joined[:, 4:], pool(("mean",), vectors, counted))
