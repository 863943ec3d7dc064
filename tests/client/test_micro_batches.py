from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.client.micro_batches import MicroBatchLimits, estimate_tokens, split

SIZES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=60)
LIMITS = st.builds(
    MicroBatchLimits, max_texts=st.integers(1, 12), max_tokens=st.integers(1, 120), max_bytes=st.integers(1, 120)
)


@given(SIZES, LIMITS)
def test_every_text_is_in_exactly_one_run_and_in_order(sizes, limits):
    runs = split([size for size, _ in sizes], [tokens for _, tokens in sizes], limits)
    assert [index for each in runs for index in each] == list(range(len(sizes)))
    assert all(len(each) > 0 for each in runs)


@given(SIZES, LIMITS)
def test_a_run_is_within_every_limit_unless_one_text_alone_is_beyond(sizes, limits):
    for run in split([size for size, _ in sizes], [tokens for _, tokens in sizes], limits):
        inside = [sizes[index] for index in run]
        assert len(inside) <= limits.max_texts
        if len(inside) > 1:
            assert sum(size for size, _ in inside) <= limits.max_bytes
            assert sum(tokens for _, tokens in inside) <= limits.max_tokens


@given(SIZES, LIMITS)
def test_runs_are_as_few_as_their_order_allows(sizes, limits):
    """No run could have taken the first text of the next one."""
    runs = split([size for size, _ in sizes], [tokens for _, tokens in sizes], limits)
    for run, after in pairwise(runs):
        inside = [sizes[index] for index in [*run, after.start]]
        assert (
            len(inside) > limits.max_texts
            or sum(size for size, _ in inside) > limits.max_bytes
            or sum(tokens for _, tokens in inside) > limits.max_tokens
        )


def test_google_takes_a_hundred_texts_a_call():
    assert split([10] * 250, [5] * 250, MicroBatchLimits()) == [range(100), range(100, 200), range(200, 250)]


@pytest.mark.parametrize(("text", "least", "most"), [("a" * 400, 100, 160), ("中" * 100, 75, 150), ("", 0, 0)])
def test_tokens_are_estimated_rather_high(text, least, most):
    assert least <= estimate_tokens(len(text.encode())) <= most
