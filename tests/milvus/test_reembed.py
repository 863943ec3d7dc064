"""A collection moves to another model while it is searched: every answer is whole, of the old model or of the new."""

import asyncio
import sys
import threading

import pytest

from counting_embedder import CountingEmbedder
from gemvec.errors import CollectionNotFound, FingerprintMismatch
from gemvec.milvus import Document, Fingerprint, ingest, open_collection, reembed, search

from .conftest import contents


@pytest.fixture
def both():
    return CountingEmbedder("words-a", "words-b")


@pytest.fixture
def documents():
    return [Document(id=f"d{n}", text=f"Passage number {n} speaks of topic{n}.", title=f"Title {n}") for n in range(40)]


@pytest.fixture
def indexed(collection, both, documents):
    asyncio.run(ingest(collection, both, documents))
    return collection


def move(collection, embedder, name, **options):
    return asyncio.run(reembed(collection, embedder, Fingerprint.of(embedder.get_model(name)), **options))


def test_all_rows_get_vectors_of_the_new_model(indexed, both, documents, tmp_path):
    report = move(indexed, both, "words-b")
    assert (report.rows, report.embedded) == (40, 40)
    assert (report.old.model, report.new.model) == ("words-a", "words-b")
    with open_collection(str(tmp_path / "fresh.db"), "docs") as fresh:
        asyncio.run(ingest(fresh, CountingEmbedder("words-b"), documents))
        assert contents(indexed) == contents(fresh)


def test_the_old_version_is_kept_unless_it_is_dropped(indexed, both):
    old = indexed.resolve().name
    assert move(indexed, both, "words-b").kept == [old]
    report = move(indexed, both, "words-b", drop_old=True)
    assert (report.kept, report.embedded) == ([], 0)
    assert indexed.list_others() == []


def test_going_back_to_a_kept_generation_embeds_nothing(indexed, both):
    move(indexed, both, "words-b")
    assert move(indexed, both, "words-a").embedded == 0
    assert indexed.resolve().fingerprint.model == "words-a"


def test_a_document_changed_since_is_taken_along(indexed, both, documents):
    move(indexed, both, "words-b")
    move(indexed, both, "words-a")
    changed = [Document(id="d0", text="Something else.", title="Title 0"), *documents[1:]]
    asyncio.run(ingest(indexed, both, changed))
    assert move(indexed, both, "words-b").embedded == 1
    texts = {row["text"] for row in contents(indexed)}
    assert "Something else." in texts
    assert "Passage number 0 speaks of topic0." not in texts


class FailingEmbedder(CountingEmbedder):
    def __init__(self, *names, after):
        super().__init__(*names)
        self._left = after

    async def embed(self, model, requests, **options):
        self._left -= 1
        if self._left < 0:
            raise ConnectionError("gone")
        return await super().embed(model, requests, **options)


def test_an_interrupted_move_leaves_readers_alone_and_is_gone_on_with(collection, both, monkeypatch):
    monkeypatch.setattr(sys.modules["gemvec.milvus.reembed"], "TEXTS_PER_GROUP", 10)
    documents = [Document(id=f"d{n}", text=f"Passage {n}.") for n in range(40)]
    asyncio.run(ingest(collection, both, documents))
    with pytest.raises(ConnectionError):
        move(collection, FailingEmbedder("words-a", "words-b", after=2), "words-b")
    assert collection.resolve().fingerprint.model == "words-a"
    report = move(collection, both, "words-b")
    assert 0 < report.embedded < 40
    assert report.rows == 40
    assert collection.resolve().fingerprint.model == "words-b"


def test_a_model_that_is_not_served_is_refused(indexed, both):
    other = CountingEmbedder("words-c")
    with pytest.raises(FingerprintMismatch):
        asyncio.run(reembed(indexed, both, Fingerprint.of(other.get_model("words-c"))))


def test_there_must_be_something_to_move(collection, both):
    with pytest.raises(CollectionNotFound):
        move(collection, both, "words-b")


class StallingClient:
    """A client that does something else between its description of `docs` and its next call."""

    def __init__(self, client, meanwhile):
        self._client = client
        self._meanwhile = [meanwhile]

    def __getattr__(self, name):
        return getattr(self._client, name)

    def describe_collection(self, name):
        described = self._client.describe_collection(name)
        if name == "docs" and self._meanwhile:
            self._meanwhile.pop()()
        return described


def test_a_version_that_is_dropped_while_a_reader_opens_it_is_not_missed(indexed, both):
    question = "Title 7 Passage number 7 speaks of topic7."
    with open_collection(indexed.uri, "docs") as slow:
        client = slow.client
        slow.client = StallingClient(client, lambda: move(indexed, both, "words-b", drop_old=True))
        hits = asyncio.run(search(slow, both, question, limit=1))
        assert slow.resolve().fingerprint.model == "words-b"
        slow.client = client
    assert [hit.document_id for hit in hits] == ["d7"]


class ForgettingClient:
    """A client whose collection is dropped during its first search, which then finds nothing, as at a Milvus server."""

    def __init__(self, client, meanwhile):
        self._client = client
        self._meanwhile = [meanwhile]

    def __getattr__(self, name):
        return getattr(self._client, name)

    def search(self, *words, **options):
        found = self._client.search(*words, **options)
        if self._meanwhile:
            self._meanwhile.pop()()
            return [[]]
        return found


@pytest.mark.parametrize("by_document", [False, True])
def test_a_version_that_is_dropped_while_it_is_searched_does_not_answer(indexed, both, by_document):
    old = indexed.resolve()
    move(indexed, both, "words-b")
    new = indexed.resolve()
    indexed.switch(old)

    def switch_and_drop():
        indexed.switch(new)
        indexed.drop(old)

    question = "Title 7 Passage number 7 speaks of topic7."
    with open_collection(indexed.uri, "docs") as slow:
        client = slow.client
        slow.client = ForgettingClient(client, switch_and_drop)
        hits = asyncio.run(search(slow, both, question, limit=1, by_document=by_document))
        slow.client = client
    assert [hit.document_id for hit in hits] == ["d7"]


@pytest.mark.parametrize("hybrid", [False, True])
def test_no_search_fails_or_mixes_models_while_a_collection_moves(indexed, both, hybrid):
    """The two models' vectors have nothing in common: a mixture would not find the passage, or not with score 1."""
    moved, asked, wrong = threading.Event(), 0, []

    def keep_asking():
        nonlocal asked
        reader = CountingEmbedder("words-a", "words-b")
        while not moved.is_set() or asked < 30:
            number = asked % 40
            question = f"Title {number} Passage number {number} speaks of topic{number}."
            hits = asyncio.run(search(indexed, reader, question, limit=1, hybrid=hybrid))
            right = hits and hits[0].document_id == f"d{number}" and (hybrid or hits[0].score > 0.999)
            if not right:
                wrong.append((number, hits))
            asked += 1

    readers = [threading.Thread(target=keep_asking) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for name in ("words-b", "words-a", "words-b"):
            move(indexed, both, name, drop_old=True)
    finally:
        moved.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert indexed.resolve().fingerprint.model == "words-b"
