import asyncio

import pytest

from counting_embedder import CountingEmbedder
from gemvec.errors import CollectionNotFound, FingerprintMismatch, InvalidRequest, StorageFailure
from gemvec.milvus import Document, Sources, ingest, search
from gemvec.milvus.fusion import DENSE_SHARE, DOCUMENT_DENSE_SHARE, IDENTIFIER_DENSE_SHARE


def ask(collection, embedder, query, **options):
    return asyncio.run(search(collection, embedder, query, **options))


@pytest.fixture
def indexed(collection, embedder, folder):
    asyncio.run(ingest(collection, embedder, Sources(["docs"])))
    return collection


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_passage_that_answers_comes_first(indexed, embedder, hybrid):
    hit = ask(indexed, embedder, "when does an upload of a file expire", hybrid=hybrid)[0]
    assert hit.source == "docs/files.md"
    assert "expires after two days" in hit.text
    assert hit.title == "Files"
    assert hit.position == "line 1"


@pytest.mark.parametrize(("name", "share"), [("json_contains", IDENTIFIER_DENSE_SHARE), ("contains", DENSE_SHARE)])
def test_an_identifier_in_a_query_gives_words_more_weight(collection, embedder, name, share):
    """One passage has the words between the names, which BM25 ignores, the other one has the name."""
    documents = [
        Document(id="near", text="what is it about of the"),
        Document(id="exact", text=f"{name} works with arrays, lists, numbers, rows, columns, tables, cells, files"),
    ]
    asyncio.run(ingest(collection, embedder, documents))
    hits = ask(collection, embedder, f"what is it about of the {name}", hybrid=True)
    assert {hit.document_id: hit.score for hit in hits} == pytest.approx({"near": share, "exact": 1 - share})


def test_words_weigh_as_much_as_meaning_where_documents_are_looked_for(collection, embedder):
    documents = [
        Document(id="near", text="what is it about of the"),
        Document(id="exact", text="milk works with arrays, lists, numbers, rows, columns, tables, cells, files"),
    ]
    asyncio.run(ingest(collection, embedder, documents))
    for by_document, share in ((False, DENSE_SHARE), (True, DOCUMENT_DENSE_SHARE)):
        hits = ask(collection, embedder, "what is it about of the milk", hybrid=True, by_document=by_document)
        assert {hit.document_id: hit.score for hit in hits} == pytest.approx({"near": share, "exact": 1 - share})


def test_dense_scores_are_cosines_in_falling_order(indexed, embedder):
    scores = [hit.score for hit in ask(indexed, embedder, "a durable job", limit=3)]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1.001 for score in scores)


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_filter_on_metadata_leaves_out_the_rest(collection, embedder, hybrid):
    documents = [Document(id=name, text=f"A word in {name}.", metadata={"lang": name}) for name in ("en", "de", "fr")]
    asyncio.run(ingest(collection, embedder, documents))
    hits = ask(collection, embedder, "word", hybrid=hybrid, where='metadata["lang"] == "de"')
    assert [hit.document_id for hit in hits] == ["de"]


def test_a_filter_that_milvus_does_not_understand_says_so(indexed, embedder):
    with pytest.raises(StorageFailure, match="Milvus"):
        ask(indexed, embedder, "word", where="lang ===")


def test_another_model_is_refused_with_both_named(indexed):
    with pytest.raises(FingerprintMismatch, match=r"words-a@.*words-b@"):
        ask(indexed, CountingEmbedder("words-b"), "word")


def test_the_collections_own_model_is_chosen_among_several(indexed):
    assert ask(indexed, CountingEmbedder("words-b", "words-a"), "a durable job")[0].source == "docs/batches.md"


def test_a_collection_that_does_not_exist_is_named(collection, embedder):
    with pytest.raises(CollectionNotFound, match="docs"):
        ask(collection, embedder, "word")


def test_a_query_is_folded_as_documents_are(indexed, embedder):
    plain, written = (ask(indexed, embedder, query, limit=1)[0] for query in ("upload a file", "upload a \ufb01le"))
    assert plain == written


@pytest.mark.parametrize(("query", "limit"), [("  ", 3), ("word", 0), ("word", 1001)])
def test_queries_and_limits_are_checked(indexed, embedder, query, limit):
    with pytest.raises(InvalidRequest):
        ask(indexed, embedder, query, limit=limit)
