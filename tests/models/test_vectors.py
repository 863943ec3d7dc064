"""Cut vectors are unit vectors again; padding changes no cosine, dot product or distance."""

import doctest

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gemvec.models import vectors
from gemvec.models.vectors import fit_dimensions, normalise, pad_dimensions, truncate_dimensions

ROWS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 8)),
    elements=st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False),
)


@given(ROWS)
def test_normalised_rows_have_length_one_and_their_direction(rows):
    unit = normalise(rows)
    assert unit.dtype == np.float32
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    for row, length, scaled in zip(rows.astype(np.float64), lengths, unit, strict=True):
        np.testing.assert_allclose(scaled, row / length if length else row, atol=1e-6)


@given(ROWS, st.data())
def test_truncated_vectors_are_normalised(rows, data):
    kept = data.draw(st.integers(1, rows.shape[1]))
    cut = truncate_dimensions(rows, kept)
    assert cut.shape == (len(rows), kept)
    np.testing.assert_array_equal(cut, normalise(rows[:, :kept]))


@given(ROWS, st.integers(0, 9))
def test_padding_changes_no_dot_product(rows, more):
    rows = normalise(rows)
    padded = pad_dimensions(rows, rows.shape[1] + more)
    assert padded.shape == (len(rows), rows.shape[1] + more)
    np.testing.assert_allclose(padded @ padded.T, rows @ rows.T, atol=1e-6)


@given(ROWS, st.integers(1, 20))
def test_fitted_vectors_have_the_length_wanted_and_are_normalised(rows, wanted):
    fitted = fit_dimensions(normalise(rows), wanted)
    assert fitted.shape == (len(rows), wanted)
    assert fitted.dtype == np.float32
    lengths = np.linalg.norm(fitted, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))


def test_vectors_of_the_length_wanted_are_not_copied():
    rows = normalise(np.ones((2, 3), np.float32))
    assert fit_dimensions(rows, 3) is rows


def test_a_row_of_zeros_stays_without_a_warning():
    np.testing.assert_array_equal(normalise(np.zeros((1, 3), np.float32)), np.zeros((1, 3)))


def test_the_examples_in_the_docstrings_run():
    assert doctest.testmod(vectors).failed == 0
