"""Page tokens come back as they went out, and nothing else is taken for one."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import InvalidRequest
from gemvec.storage.pages import cut_page, format_page_token, page_size_within, parse_page_token


@given(st.datetimes(timezones=st.just(UTC)), st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_token_gives_back_the_moment_and_the_id(moment, item_id):
    assert parse_page_token(format_page_token(moment, item_id)) == (moment, item_id)


@given(st.text(min_size=1))
def test_any_other_text_is_refused_or_reads_as_a_token(text):
    with contextlib.suppress(InvalidRequest):
        assert parse_page_token(text)[0].tzinfo is UTC


@pytest.mark.parametrize("text", ["x", "WzEsMl0", "W10", "../..", "WzFlOTksImEiXQ", "é"])
def test_a_token_that_is_not_ours_is_refused(text):
    with pytest.raises(InvalidRequest):
        parse_page_token(text)


def test_an_id_that_no_database_keeps_is_refused():
    with pytest.raises(InvalidRequest):
        parse_page_token(format_page_token(datetime.now(UTC), "a\0b"))


def test_a_token_is_fit_for_a_url():
    token = format_page_token(datetime.now(UTC), "a?b&c/d+e")
    assert token.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(("asked", "given_size"), [(None, 10), (0, 10), (1, 1), (100, 100), (2**63, 100)])
def test_a_page_has_what_was_asked_for_within_the_limit(asked, given_size):
    assert page_size_within(asked, default=10, largest=100) == given_size


def test_a_negative_page_size_is_refused():
    with pytest.raises(InvalidRequest, match="page_size: -1"):
        page_size_within(-1, default=10, largest=100)


def test_a_page_says_where_the_next_one_begins_only_where_more_was_found():
    moments = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 2, 1)]
    first = cut_page(moments, 2, lambda moment: (moment, "id"))
    assert first.items == tuple(moments[:2])
    assert parse_page_token(first.next_page_token) == (moments[1], "id")
    assert cut_page(moments, 3, lambda moment: (moment, "id")).next_page_token is None
