"""LangChain reads a collection that gemvec has made, adds to it, and takes gemvec's embeddings."""

import asyncio

import numpy as np
import pytest
from langchain_core.documents import Document as LangChainDocument

from gemvec.errors import BadSetting, InvalidRequest, ModelNotFound
from gemvec.integrations.langchain import GemvecEmbeddings, GemvecVectorStore
from gemvec.milvus import Document, ingest, open_collection
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings


@pytest.fixture
def embeddings(tiny_model):
    return GemvecEmbeddings(str(tiny_model), base_url="local")


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "my.db")


def test_embeddings_are_those_of_the_class_for_milvus(embeddings):
    vectors = embeddings.embed_documents(["a text", "another"])
    np.testing.assert_allclose(vectors, embeddings.function.encode_documents(["a text", "another"]))
    assert asyncio.run(embeddings.aembed_query("a text")) == embeddings.embed_query("a text")
    assert asyncio.run(embeddings.aembed_documents(["a text"])) == vectors[:1]


def test_a_collection_that_gemvec_has_made_is_searched(embeddings, uri):
    documents = [
        Document(
            id="docs/a.md", text="Refunds take three days.", source="docs/a.md", title="T", metadata={"lang": "en"}
        ),
        Document(id="docs/b.md", text="We ship on weekdays.", source="docs/b.md"),
    ]
    with open_collection(uri, "docs") as collection:
        asyncio.run(ingest(collection, embeddings.function.client, documents))
    with GemvecVectorStore(uri, embeddings=embeddings) as store:
        found = store.similarity_search("Refunds take three days.", k=2)
        assert {each.page_content for each in found} == {each.text for each in documents}
        ((only, score),) = store.similarity_search_with_score("refunds", where='metadata["lang"] == "en"', hybrid=True)
        assert only.metadata | {"lang": "en", "source": "docs/a.md", "document_id": "docs/a.md"} == only.metadata
        assert 0 <= score <= 1
        assert asyncio.run(store.asimilarity_search("refunds", k=1))
        retrieved = store.as_retriever(search_kwargs={"k": 1}).invoke("Refunds take three days.")
        assert len(retrieved) == 1


def test_a_store_embeds_through_a_server(tiny_model, uri, tmp_path):
    settings = Settings(model=(str(tiny_model),), streams=1, data_dir=tmp_path / "data")
    with serving(open_services(settings)) as url:
        embeddings = GemvecEmbeddings(tiny_model.name, base_url=url)
        with GemvecVectorStore.from_texts(["One.", "Two."], embeddings, ids=["a", "b"], uri=uri) as store:
            assert {each.page_content for each in store.similarity_search("One.", k=2)} == {"One.", "Two."}
        with GemvecVectorStore(uri, embeddings=GemvecEmbeddings(tiny_model.name, base_url=url)) as store:
            assert len(store.similarity_search("One.", k=1)) == 1


def test_a_new_collection_gets_the_vectors_of_the_model_that_was_asked_for(tiny_model, uri, tmp_path):
    models = (f"first={tiny_model}", f"second={tiny_model}")
    with serving(open_services(Settings(model=models, streams=1, data_dir=tmp_path / "data"))) as url:
        with GemvecVectorStore.from_texts(["One."], GemvecEmbeddings("second", base_url=url), uri=uri):
            pass
        with open_collection(uri, "docs") as collection:
            assert collection.resolve().fingerprint.model == "second"
        unknown = GemvecEmbeddings("third", base_url=url)
        with GemvecVectorStore(str(tmp_path / "other.db"), embeddings=unknown) as store, pytest.raises(ModelNotFound):
            store.add_texts(["One."])


def test_texts_are_added_replaced_read_and_deleted(embeddings, uri):
    with GemvecVectorStore.from_texts(
        ["One.", "Two."], embeddings, [{"n": 1}, {"n": 2}], ids=["a", "b"], uri=uri
    ) as store:
        store.add_documents([LangChainDocument(id="b", page_content="Another two.", metadata={"n": 3})])
        assert [(each.id, each.page_content, each.metadata["n"]) for each in store.get_by_ids(["b", "nope", "a"])] == [
            ("b", "Another two.", 3),
            ("a", "One.", 1),
        ]
        assert store.delete(["a"])
        assert [each.page_content for each in store.similarity_search("One.")] == ["Another two."]
        with pytest.raises(InvalidRequest, match="'nope'"):
            store.delete(["b", "nope"])
        assert len(store.add_texts(["Three."])) == 1


def test_what_cannot_be_added_is_named(embeddings, uri):
    with GemvecVectorStore(uri, embeddings=embeddings) as store:
        with pytest.raises(InvalidRequest, match="2 texts, 1 metadata and 2 ids"):
            store.add_texts(["a", "b"], [{}])
        with pytest.raises(InvalidRequest, match="left out: 'x': it has no text; 'y': it has no text"):
            store.add_texts([" ", "Four.", ""], ids=["x", "z", "y"])


def test_other_embeddings_are_refused(uri):
    class Others(GemvecEmbeddings.__base__):
        def embed_documents(self, texts):
            return [[1.0] for _ in texts]

        def embed_query(self, text):
            return [1.0]

    with pytest.raises(BadSetting, match="GemvecEmbeddings"):
        GemvecVectorStore.from_texts(["One."], Others(), uri=uri)
