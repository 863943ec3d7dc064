"""A Milvus server without BM25 (2.3) takes dense collections. Needs `pip install milvus==2.3.5`, which is 58 MB."""

import asyncio

import pytest

from counting_embedder import CountingEmbedder
from gemvec.errors import FailedPrecondition
from gemvec.milvus import (
    Document,
    Fingerprint,
    export_collection,
    import_collection,
    ingest,
    open_collection,
    reembed,
    search,
)
from gemvec.milvus.overview import count_documents, delete_sources, drop_collection, list_collections

_ABSENT = "the server of the package milvus==2.3.5 is not installed"
milvus = pytest.importorskip("milvus", reason=_ABSENT)
if not hasattr(milvus, "MilvusServer"):  # the folder of these tests has the package's name
    pytest.skip(_ABSENT, allow_module_level=True)
# The package leaves sockets to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

# The processes of a standalone server, which otherwise listen on every address of the machine.
PARTS = ["rootCoord", "proxy", "queryCoord", "queryNode", "indexCoord", "indexNode", "dataCoord", "dataNode"]
TEXTS = {"a": "Refunds take three days.", "b": "We ship on weekdays.", "c": "Días 备份"}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    server = milvus.MilvusServer()
    server.set_base_dir(str(tmp_path_factory.mktemp("milvus")))
    for part in PARTS:
        server.config.set(f"{part}.ip", "127.0.0.1")
    server.start()
    yield f"http://127.0.0.1:{server.listen_port}"
    server.stop()


def test_a_dense_collection_is_made_kept_up_to_date_searched_moved_and_dropped(address, tmp_path):
    documents = [Document(id=name, text=text, metadata={"name": name}) for name, text in TEXTS.items()]
    embedder = CountingEmbedder("words-a", "words-b")

    async def use(collection):
        first = await ingest(collection, embedder, documents)
        assert (first.added, first.has_words) == (3, False)
        documents[1] = Document(id="b", text="We ship on Mondays.", metadata={"name": "b"})
        again = await ingest(collection, embedder, documents)
        assert (again.unchanged, again.changed, again.embedded) == (2, 1, 1)
        assert (await search(collection, embedder, "refunds"))[0].document_id == "a"
        (hit,) = await search(collection, embedder, "refunds", where='metadata["name"] == "b"')
        assert hit.text == "We ship on Mondays."
        with pytest.raises(FailedPrecondition, match="no BM25"):
            await search(collection, embedder, "refunds", hybrid=True)
        await reembed(collection, embedder, Fingerprint.of(embedder.get_model("words-b")), drop_old=True)
        assert (await search(collection, embedder, "refunds"))[0].document_id == "a"

    with open_collection(address, "docs") as collection:
        asyncio.run(use(collection))
        assert export_collection(collection, tmp_path / "docs.parquet").rows == 3
        assert import_collection(collection, [tmp_path / "docs.parquet"]).written == 0
        (listed,) = list_collections(collection.client, address)
        assert (listed.name, listed.passages, listed.others) == ("docs", 3, ())
        assert count_documents(collection.resolve()).documents == 3
        assert delete_sources(collection.resolve(), ["a"]) == {"a": 1}
        assert collection.resolve().count() == 2
    with open_collection(str(tmp_path / "lite.db"), "docs") as lite:
        import_collection(lite, [tmp_path / "docs.parquet"])
        (found, *_) = asyncio.run(search(lite, embedder, "备份", hybrid=True))
        assert found.document_id == "c"
    with open_collection(address, "docs") as collection:
        assert drop_collection(collection) == 2
        assert list_collections(collection.client, address) == []
