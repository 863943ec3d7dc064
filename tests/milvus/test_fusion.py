import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.milvus.fusion import DENSE_SHARE, DOCUMENT_DENSE_SHARE, IDENTIFIER_DENSE_SHARE, find_dense_share, fuse

RANKINGS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 30)).map(
    lambda found: sorted(found.items(), key=lambda item: -item[1])
)


@given(RANKINGS, RANKINGS)
def test_every_passage_of_either_list_comes_once_with_a_score_from_0_to_1(dense, sparse):
    joined = fuse(dense, sparse)
    assert sorted(key for key, _ in joined) == sorted({*dict(dense), *dict(sparse)})
    assert all(0 <= score <= 1 + 1e-9 for _, score in joined)
    assert [score for _, score in joined] == sorted((score for _, score in joined), reverse=True)


@given(RANKINGS, RANKINGS)
def test_the_sign_of_scores_does_not_matter(dense, sparse):
    """Milvus Lite answers with the negative of what a server answers for BM25."""
    assert fuse(dense, [(key, -score) for key, score in sparse]) == fuse(dense, sparse)


def test_what_is_best_by_both_ways_has_score_1():
    assert fuse([("a", 0.9), ("b", 0.2)], [("a", 7.0), ("c", 1.0)])[0] == ("a", 1.0)


def test_a_sure_meaning_is_not_outvoted_by_a_list_of_words_that_misses_it():
    dense = [("right", 0.8), ("other", 0.4), ("third", 0.3)]
    sparse = [("other", 6.1), ("third", 6.0), ("fourth", 1.0)]
    assert fuse(dense, sparse)[0] == ("right", DENSE_SHARE)


@pytest.mark.parametrize(
    "query",
    [
        "json_contains",
        "what does proxy.maxFieldNum mean?",
        "std::vector grows",
        "changes in 2.4.10",
        "error E-4711",
        "GeminiEmbeddingFunction",
        "wie wirkt größe_setzen",
        "what is userID for?",
        "set innerHTML",
        "when does __init__ run",
        "what is --max-tokens?",
        "what does /readyz answer",
        "error e-4711",
        "0x1F",
    ],
)
def test_a_query_with_an_identifier_counts_words_as_much_as_meaning(query):
    assert find_dense_share(query) == IDENTIFIER_DENSE_SHARE


@pytest.mark.parametrize(
    "query",
    [
        "how do I cancel a batch?",
        "Is it fast. Or not",
        "OpenAI",
        "a 10 GB file",
        "怎样删除一个集合",
        "时间:三点",
        "meeting at 10:30",
        "a fruit, e.g. an apple",
        "1.5 million",
        "the U.S. dollar",
        "COVID-19",
        "B2B",
        "in the mid-1990s",
        "yes and/or no",
        "a well-known model -- or not",
    ],
)
def test_a_query_without_identifiers_counts_meaning_more(query):
    assert find_dense_share(query) == DENSE_SHARE


def test_the_only_passage_with_an_identifier_outranks_those_that_only_mean_something_near_it():
    dense = [("near", 0.50), ("also near", 0.46), ("third", 0.43), ("last", 0.30)]
    sparse = [("exact", 9.2), ("near", 2.0)]
    best = fuse(dense, sparse, share=find_dense_share("json_contains"))[:2]
    assert {key for key, _ in best} == {"exact", "near"}
    assert [key for key, _ in fuse(dense, sparse)[:2]] == ["near", "also near"]


def test_words_weigh_more_where_documents_are_looked_for():
    assert find_dense_share("how do I cancel a batch?", by_document=True) == DOCUMENT_DENSE_SHARE < DENSE_SHARE
