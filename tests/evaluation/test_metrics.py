"""The metrics agree with scipy and with trec_eval (through pytrec_eval) on generated collections."""

import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gemvec.evaluation.metrics import ndcg, overlap, rank_documents, recall, reciprocal_rank, spearman

# Few different values, so that ties are common; halves are exact in every float.
values = st.integers(-6, 6).map(lambda number: number / 2)
documents = st.integers(0, 12).map("d{}".format)
queries = st.integers(0, 3).map("q{}".format)
judgments = st.dictionaries(queries, st.dictionaries(documents, st.integers(-1, 3), min_size=1), min_size=1)
runs = st.dictionaries(queries, st.dictionaries(documents, values, min_size=1), min_size=1)


@given(st.lists(st.tuples(values, values), min_size=2))
def test_spearman_is_scipys(pairs):
    x, y = zip(*pairs, strict=True)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(spearman(x, y))
    else:
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@given(judgments, runs, st.integers(1, 15))
def test_ndcg_recall_and_reciprocal_rank_are_those_of_trec_eval(judged, run, k):
    judge = pytrec_eval.RelevanceEvaluator(judged, {f"ndcg_cut.{k}", f"recall.{k}", "recip_rank"})
    for query, expected in judge.evaluate(run).items():
        ranking = rank_documents(run[query])
        assert ndcg(ranking, judged[query], k) == pytest.approx(expected[f"ndcg_cut_{k}"], abs=1e-9)
        assert recall(ranking, judged[query], k) == pytest.approx(expected[f"recall_{k}"], abs=1e-9)
        assert reciprocal_rank(ranking, judged[query], len(ranking)) == pytest.approx(expected["recip_rank"], abs=1e-9)


def test_ndcg_of_a_larger_collection_is_that_of_trec_eval():
    random = np.random.default_rng(0)
    judged = {
        f"q{query}": {f"d{document}": int(random.integers(0, 4)) for document in random.choice(500, 30, replace=False)}
        for query in range(50)
    }
    run = {
        query: {f"d{document}": float(random.random()) for document in random.choice(500, 100, replace=False)}
        for query in judged
    }
    expected = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.100"}).evaluate(run)
    for query, scores in expected.items():
        ranking = rank_documents(run[query])
        assert ndcg(ranking, judged[query], 10) == pytest.approx(scores["ndcg_cut_10"], abs=1e-12)
        assert recall(ranking, judged[query], 100) == pytest.approx(scores["recall_100"], abs=1e-12)


@given(st.lists(documents, unique=True), st.dictionaries(documents, st.integers(0, 3)), st.integers(1, 15))
def test_every_metric_is_between_0_and_1(ranking, judged, k):
    for metric in (ndcg, recall, reciprocal_rank):
        assert 0 <= metric(ranking, judged, k) <= 1 + 1e-12


def test_a_relevant_document_beyond_k_does_not_count():
    ranking = ["d1", "d2", "d3"]
    for metric in (ndcg, recall, reciprocal_rank):
        assert metric(ranking, {"d3": 1}, 2) == 0
        assert metric(ranking, {"d3": 1}, 3) > 0


def test_overlap_is_the_part_of_the_exact_answer_that_was_found():
    assert overlap(["a", "b", "x"], ["b", "a", "c"], 2) == 1
    assert overlap(["a", "b", "x"], ["b", "a", "c"], 3) == pytest.approx(2 / 3)
    assert overlap([], [], 3) == 1
