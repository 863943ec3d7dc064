"""A text longer than the window loses no token; its vector is the average of its windows by tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gemvec.models.windows import Window, merge_windows

WINDOW = Window(window_tokens=8, prefix_ids=(101,), suffix_ids=(102,))
IDS = st.lists(st.integers(0, 99), max_size=60)


def test_a_text_that_fits_is_one_window_with_the_special_tokens():
    assert WINDOW.split([1, 2, 3, 4, 5, 6]) == [[101, 1, 2, 3, 4, 5, 6, 102]]


def test_an_empty_text_is_its_special_tokens():
    assert WINDOW.split([]) == [[101, 102]]


def test_windows_are_filled_evenly():
    assert WINDOW.split([1, 2, 3, 4, 5, 6, 7, 8]) == [[101, 1, 2, 3, 4, 102], [101, 5, 6, 7, 8, 102]]


@given(IDS)
def test_no_token_is_lost_and_none_comes_twice(ids):
    windows = WINDOW.split(ids)
    assert [each for window in windows for each in window[1:-1]] == ids
    assert all(window[0] == 101 and window[-1] == 102 and len(window) <= 8 for window in windows)


@given(IDS, st.integers(0, 12))
def test_a_prompt_that_leaves_half_the_window_is_repeated_in_every_window(ids, lead):
    windows = WINDOW.split(ids, lead)
    bare = [window[1:-1] for window in windows]
    if len(ids) > WINDOW.room and lead <= WINDOW.room / 2:
        assert all(window[:lead] == ids[:lead] for window in bare)
        assert [each for window in bare for each in window[lead:]] == ids[lead:]
    else:
        assert [each for window in bare for each in window] == ids


def test_windows_are_averaged_by_their_tokens():
    vectors = np.array([[2, 0], [0, 5], [0, 3]], np.float32)
    merged = merge_windows(vectors, [3, 1, 7], [2, 1])
    np.testing.assert_allclose(merged, [np.array([3, 1]) / np.sqrt(10), [0, 1]], atol=1e-6)
    assert merged.dtype == np.float32


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_each_text_has_the_weighted_mean_of_its_own_windows(window_counts, data):
    total = sum(window_counts)
    tokens = data.draw(st.lists(st.integers(1, 300), min_size=total, max_size=total))
    vectors = np.random.default_rng(total).standard_normal((total, 4)).astype(np.float32)
    merged = merge_windows(vectors, tokens, window_counts)
    start = 0
    for row, count in zip(merged, window_counts, strict=True):
        unit = vectors[start : start + count] / np.linalg.norm(vectors[start : start + count], axis=1, keepdims=True)
        mean = np.average(unit, axis=0, weights=tokens[start : start + count])
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
        start += count
