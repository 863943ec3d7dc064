"""A Milvus server without BM25 (2.3) takes dense collections: everything but hybrid search is as with Milvus Lite."""

import asyncio
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from counting_embedder import CountingEmbedder
from gemvec.cli.app import app
from gemvec.errors import FailedPrecondition, StorageFailure
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
from gemvec.milvus.schema import Row
from milvus_server import ABSENT, find_program, running_milvus

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_program() is None, reason=ABSENT)]

PROGRAM = "import sys; from gemvec.cli.app import run; sys.exit(run())"
TEXTS = {"a": "Refunds take three days.", "b": "We ship on weekdays.", "c": "Días 备份"}
# More than a server gives in one answer (16,384).
MANY = 16_600


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running_milvus(tmp_path_factory.mktemp("milvus")) as address:
        yield address


@pytest.fixture
def gemvec(address, tiny_model, tmp_path, monkeypatch):
    """Run a command against the server; return what it printed as JSON."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_MODEL", str(tiny_model))
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))

    def run(*words):
        outcome = CliRunner().invoke(app, [*words, "--uri", address, "--json"])
        assert outcome.exit_code == 0, outcome.output
        return json.loads(outcome.stdout)

    return run


def drop(address, name):
    with open_collection(address, name) as collection:
        drop_collection(collection)


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
        with pytest.raises(StorageFailure, match="only prefix pattern"):
            await search(collection, embedder, "refunds", where='source like "%a.md"')
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


def make_row(number):
    vector = np.eye(8, dtype=np.float32)[number % 8]
    empty = dict.fromkeys(["words", "title", "heading", "position"], "")
    return Row(
        **empty,
        key=f"{number:08x}",
        text=f"Text {number}",
        vector=vector,
        document_id=f"d{number % 2}",
        document_hash="h",
        chunk=number // 2,
        chunks=MANY // 2,
        source="s.md",
        metadata={"number": number},
    )


def test_a_collection_larger_than_one_answer_is_read_whole_wherever_its_rows_are(address, tmp_path):
    rows = [make_row(number) for number in range(MANY)]
    keys = {row.key for row in rows}
    with open_collection(address, "many") as collection:
        version = collection.create(Fingerprint(model="m", weights="m@12345678", dimensionality=8))
        version.upsert(rows[: MANY // 2])
        # These are in a segment, the others where Milvus keeps what is new. No index is waited for: a server builds it
        # with the lowest priority, which takes minutes on a busy machine.
        collection.client.flush(version.name)
        version.upsert(rows[MANY // 2 :])
        version.upsert([replace(row, text="New text") for row in rows[:100]])
        assert version.count() == MANY
        for read in (version.states(), version.states_of(["d0", "d1"])):
            found = [state.key for state in read]
            assert (len(found), set(found)) == (MANY, keys)
        version.delete([row.key for row in rows[:50]])
        assert export_collection(collection, tmp_path / "many.parquet").rows == MANY - 50
        collection.client.flush(version.name)
        texts = {row["key"]: row["text"] for row in version.scan(["key", "text"])}
        assert set(texts) == {row.key for row in rows[50:]}
        assert [texts[row.key] for row in rows[98:102]] == ["New text", "New text", "Text 100", "Text 101"]
        drop_collection(collection)


def test_no_search_fails_or_mixes_models_while_a_collection_moves(address):
    embedder = CountingEmbedder("words-a", "words-b")
    documents = [Document(id=name, text=text) for name, text in TEXTS.items()]
    with open_collection(address, "moving") as collection, open_collection(address, "moving") as reader:
        asyncio.run(ingest(collection, embedder, documents))
        with ThreadPoolExecutor(1) as threads:
            wanted = Fingerprint.of(embedder.get_model("words-b"))
            move = threads.submit(lambda: asyncio.run(reembed(collection, embedder, wanted, drop_old=True)))
            found = []
            while not move.done():
                found.append(asyncio.run(search(reader, embedder, "We ship on weekdays."))[0])
            assert move.result().embedded == 3
        assert found
        assert {hit.document_id for hit in found} == {"b"}
        assert min(hit.score for hit in found) > 0.99
        assert reader.resolve().fingerprint == wanted
        drop_collection(collection)


def test_the_commands_do_all_they_do_with_milvus_lite(gemvec, address, tiny_model, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Batches\n\nA batch is a durable job.\n\n## Cancel\n\nSend cancel to stop it.\n")
    (docs / "b.md").write_text("# Files\n\nUpload a file in pieces.\n")
    assert gemvec("index", "docs", "--dry-run")["documents"] == 2
    assert gemvec("index", "docs")["added"] == 2
    assert gemvec("index", "docs")["unchanged"] == 2
    (docs / "b.md").unlink()
    assert gemvec("index", "docs", "--prune")["removed"] == 1
    (hit,) = gemvec("search", "cancel", "--by-document", "--context", "1", "--where", 'source like "docs/a%"')
    assert "durable job" in hit["text"]
    moved = gemvec("reembed", "--model", str(tiny_model), "--dimensionality", "8", "--drop-old")
    assert moved["embedded"] == moved["rows"] > 0
    exported = gemvec("export", "docs.parquet")
    imported = gemvec("import", "docs.parquet", "--collection", "copied")
    assert imported["written"] == exported["rows"] == moved["rows"]
    assert {each["name"] for each in gemvec("collections", "list")} == {"docs", "copied"}
    for name in ("docs", "copied"):
        drop(address, name)


def test_what_changes_while_it_is_watched_is_in_the_collection_soon(gemvec, address, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("First text.")
    words = ["index", "docs", "--watch", "--json", "--uri", address, "--collection", "watched"]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert json.loads(process.stdout.readline())["added"] == 1
            (docs / "b.md").write_text("Second text.")
            assert json.loads(process.stdout.readline())["added"] == 1
            (docs / "a.md").unlink()
            assert json.loads(process.stdout.readline())["removed"] == 1
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    (hit,) = gemvec("search", "text", "--collection", "watched")
    assert hit["text"] == "Second text."
    drop(address, "watched")
