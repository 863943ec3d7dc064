"""What `evaluate` reports is what independent tools say of the same vectors and of Milvus' own answers."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from scipy import stats

from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import InvalidRequest
from gemvec.evaluation.datasets import CorpusDocument, RetrievalSet, SentencePairs, Translations
from gemvec.evaluation.exact import search_exactly
from gemvec.evaluation.layouts import load_datasets
from gemvec.evaluation.measurement import EvaluationOptions, evaluate
from gemvec.milvus.connection import close_client, open_client
from gemvec.models.vectors import truncate_dimensions
from gemvec.settings import Settings

STS = next((path / "shared/data/sts" for path in Path(__file__).parents if (path / "shared/data/sts").is_dir()), None)
WORDS = ["cat", "dog", "cow", "purrs", "barks", "moos", "farm", "house", "grass", "milk", "sun", "rain"]


def sentence(random, length):
    return " ".join(random.choice(WORDS, length))


@pytest.fixture
def pairs():
    random = np.random.default_rng(1)
    return SentencePairs(
        name="pairs",
        first=tuple(sentence(random, 4) for _ in range(60)),
        second=tuple(sentence(random, 5) for _ in range(60)),
        gold=tuple(float(each) for each in random.integers(0, 6, 60)),
    )


@pytest.fixture
def retrieval():
    random = np.random.default_rng(2)
    corpus = {f"d{number}": CorpusDocument(text=f"{sentence(random, 8)} number{number}") for number in range(150)}
    queries = {f"q{number}": sentence(random, 3) for number in range(12)}
    judgments = {
        query: {str(each): int(random.integers(0, 3)) for each in random.choice(list(corpus), 40, replace=False)}
        for query in queries
    }
    return RetrievalSet(name="generated", corpus=corpus, queries=queries, judgments=judgments)


def measure(embedder, *datasets, **options):
    return asyncio.run(evaluate(embedder, datasets, options=EvaluationOptions(**options)))


def vectors_of(embedder, texts):
    requests = [EmbedRequest(text=text) for text in texts]
    embeddings = asyncio.run(embedder.embed(embedder.list_models()[0], requests))
    return np.stack([each.vector for each in embeddings])


def test_pairs_give_scipys_correlation_of_the_cosines(embedder, pairs):
    (found,) = measure(embedder, pairs)
    cosines = np.sum(vectors_of(embedder, pairs.first) * vectors_of(embedder, pairs.second), axis=1)
    assert found.scores["spearman"] == pytest.approx(stats.spearmanr(pairs.gold, cosines).statistic, abs=1e-6)
    assert (found.dataset, found.search, found.dimensionality, found.index_recall) == ("pairs", "cosine", 64, None)


def test_a_translation_is_found_if_it_is_the_nearest(embedder):
    data = Translations(
        name="translations",
        first=("cat purrs", "dog barks", "cow moos", "cat purrs sun rain"),
        second=("cat purrs loud", "dog house", "cat purrs sun", "rain"),
    )
    (found,) = measure(embedder, data)
    similarities = vectors_of(embedder, data.first) @ vectors_of(embedder, data.second).T
    expected = [np.mean(np.argmax(similarities, axis=axis) == np.arange(4)) for axis in (1, 0)]
    assert found.scores == {"accuracy": expected[0], "reverse_accuracy": expected[1]}
    assert sorted(expected) == [0.5, 0.75]
    assert (found.dataset, found.search, found.exact, found.index_recall) == ("translations", "cosine", {}, None)


def test_a_translation_that_occurs_twice_may_be_found_in_either_place(embedder):
    data = Translations(name="twice", first=("cat purrs", "cat", "dog"), second=("cat", "cat", "dog"))
    assert measure(embedder, data)[0].scores["accuracy"] == 1


def test_each_text_of_the_pairs_is_embedded_once(embedder, pairs):
    measure(embedder, pairs, replace(pairs, second=pairs.first), dimensions=(64, 16, 8))
    assert embedder.embedded_texts == len(set(pairs.first + pairs.second)) + len(set(pairs.first))


def test_metrics_of_milvus_answers_are_those_of_trec_eval(embedder, retrieval):
    (found,) = measure(embedder, retrieval, recall_at=(5, 100))
    documents = vectors_of(embedder, [each.text for each in retrieval.corpus.values()])
    queries = vectors_of(embedder, retrieval.queries.values())
    answers = search_exactly(queries, documents, list(retrieval.corpus), 101)
    run = dict(zip(retrieval.queries, answers, strict=True))
    judge = pytrec_eval.RelevanceEvaluator(retrieval.judgments, {"ndcg_cut.10", "recall.5,100"})
    expected = judge.evaluate(run)
    for name, trec in {"ndcg@10": "ndcg_cut_10", "recall@5": "recall_5", "recall@100": "recall_100"}.items():
        mean = np.mean([scores[trec] for scores in expected.values()])
        assert found.exact[name] == pytest.approx(mean, abs=1e-6)
        assert found.scores[name] == pytest.approx(mean, abs=1e-6)
    assert 0 < found.scores["mrr@10"] <= 1
    assert found.index_recall == 1  # so few documents are searched completely


def test_exact_search_alone_is_what_milvus_answers_are_compared_with(embedder, retrieval):
    dense, exact, smaller = measure(embedder, retrieval, searches=("dense",)) + measure(
        embedder, retrieval, searches=("exact",), dimensions=(64, 8)
    )
    assert (exact.search, exact.scores, exact.exact, exact.index_recall) == ("exact", dense.exact, {}, None)
    assert smaller.dimensionality == 8
    assert smaller.scores != exact.scores


def test_a_hybrid_answer_is_compared_with_exact_search_joined_in_the_same_way(embedder, retrieval):
    dense, hybrid = measure(embedder, retrieval, searches=("dense", "hybrid"))
    assert (dense.search, hybrid.search) == ("dense", "hybrid")
    # Not equal: documents of equal fused rank come in whatever order.
    assert hybrid.index_recall > 0.95
    assert hybrid.scores["ndcg@10"] == pytest.approx(hybrid.exact["ndcg@10"], abs=0.03)
    assert hybrid.scores != dense.scores


def test_every_dimensionality_of_the_model_is_measured_and_no_other(embedder, pairs):
    found = measure(embedder, pairs, dimensions=(1024, 64, 16, 16))
    assert [each.dimensionality for each in found] == [64, 16]
    assert found[0].scores["spearman"] > found[1].scores["spearman"] - 0.5
    assert [each.dimensionality for each in measure(embedder, pairs, dimensions=(1024,))] == [64]


def test_a_query_that_is_itself_a_document_does_not_find_itself(embedder):
    data = RetrievalSet(
        name="self",
        corpus={
            "a": CorpusDocument(text="cat purrs"),
            "b": CorpusDocument(text="cat purrs loud"),
            "c": CorpusDocument(text="dog barks"),
        },
        queries={"a": "cat purrs"},
        judgments={"a": {"b": 1}},
    )
    (found,) = measure(embedder, data)
    assert found.scores["mrr@10"] == 1


def test_a_document_without_text_is_embedded_by_its_title_and_one_without_either_left_out(embedder):
    data = RetrievalSet(
        name="titles",
        corpus={
            "a": CorpusDocument(text="", title="cat purrs"),
            "b": CorpusDocument(text=""),
            "c": CorpusDocument(text="dog", title="t"),
        },
        queries={"q": "cat"},
        judgments={"q": {"a": 1, "b": 1}},
    )
    (found,) = measure(embedder, data)
    assert found.scores["mrr@10"] == 1
    assert found.scores["recall@10"] == 0.5


def test_nothing_stays_in_the_users_milvus(embedder, retrieval, tmp_path):
    uri = str(tmp_path / "mine.db")
    measure(embedder, retrieval, dimensions=(64, 32), uri=uri)
    client = open_client(uri)
    assert client.list_collections() == []
    close_client(client, uri)


@pytest.mark.parametrize("wrong", [{"dimensions": (0,)}, {"recall_at": (1000,)}])
def test_options_that_cannot_be_are_named(wrong):
    (name,) = wrong
    with pytest.raises(InvalidRequest, match=name):
        EvaluationOptions(**wrong)


def test_progress_counts_texts_and_queries(embedder, retrieval):
    seen = {}
    asyncio.run(
        evaluate(embedder, [retrieval], on_progress=lambda what, done, total: seen.update({what: (done, total)}))
    )
    assert seen == {
        "generated: embedding documents": (150, 150),
        "generated: embedding queries": (12, 12),
        "generated: dense search, 64 dimensions": (12, 12),
    }


def test_exact_search_finds_the_nearest_in_blocks_of_any_size(monkeypatch):
    monkeypatch.setattr("gemvec.evaluation.exact._VALUES_PER_BLOCK", 30)
    random = np.random.default_rng(0)
    queries, documents = (truncate_dimensions(random.standard_normal((n, 8), dtype=np.float32), 8) for n in (7, 20))
    names = [f"d{row}" for row in range(20)]
    for found, row in zip(search_exactly(queries, documents, names, 5), queries @ documents.T, strict=True):
        assert sorted(found, key=found.get, reverse=True) == [names[place] for place in np.argsort(-row)[:5]]


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.skipif(STS is None, reason="the SemEval test sets are not part of the project")
@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_the_published_sts_scores_are_reproduced(precision):
    from gemvec.models.local import open_embedder

    async def run():
        embedder = open_embedder(Settings.load(precision=precision))
        try:
            return await evaluate(embedder, load_datasets([STS]), precision=precision)
        finally:
            await embedder.close()

    scores = {each.dataset: 100 * each.scores["spearman"] for each in asyncio.run(run())}
    assert scores == pytest.approx({"STS13": 80.60, "STS14": 75.59}, abs=0.05)
