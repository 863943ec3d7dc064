"""Micro-batches have few widths, none much wider than it must be."""

import doctest

from hypothesis import given
from hypothesis import strategies as st

from gemvec.models import widths
from gemvec.models.widths import padded_width


@given(st.integers(1, 10_000))
def test_a_micro_batch_is_little_wider_than_its_longest_text(tokens):
    width = padded_width(tokens)
    assert tokens <= width < tokens * 1.13 + 4
    assert padded_width(width) == width


def test_there_are_few_widths():
    assert len({padded_width(tokens) for tokens in range(1, 257)}) == 28


def test_the_examples_in_the_docstrings_run():
    assert doctest.testmod(widths).failed == 0
