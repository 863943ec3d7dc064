"""A collection goes to a Parquet file and comes back the same, as often and as interrupted as one likes."""

import asyncio
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from counting_embedder import CountingEmbedder
from gemvec.errors import CollectionNotFound, FingerprintMismatch, InvalidRequest
from gemvec.milvus import Sources, ingest, open_collection, search
from gemvec.milvus.exchange import export_collection, import_collection
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.schema import Row

from .conftest import contents

FINGERPRINT = Fingerprint(model="words-a", weights="words-a@00000000", dimensionality=8)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """Let a few rows pass at once, so that there are many groups."""
    monkeypatch.setattr("gemvec.milvus.parquet._GROUP_BYTES", 16 * 1024)


@pytest.fixture
def target(tmp_path):
    with open_collection(str(tmp_path / "other.db"), "copied") as opened:
        yield opened


def make_rows(count, *, start=0, text="text"):
    vectors = np.random.default_rng(start).standard_normal((count, 8), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Row(
            key=f"{start + number:032d}",
            text=f"{text} {number} ☃",
            words=f"T {number}",
            vector=vector,
            document_id="a/b.md",
            document_hash="h",
            chunk=number,
            chunks=count,
            title="T",
            heading="A > B",
            source="a/b.md",
            position="lines 1-2",
            metadata={"number": number, "nested": {"list": [1.5, None, "ü"]}},
        )
        for number, vector in enumerate(vectors)
    ]


@pytest.fixture
def filled(collection):
    version = collection.create(FINGERPRINT)
    version.upsert(make_rows(100))
    version.finish()
    return collection


def test_what_is_exported_and_imported_is_the_same(filled, target, tmp_path):
    exported = export_collection(filled, tmp_path / "docs.parquet")
    imported = import_collection(target, [tmp_path / "docs.parquet"])
    assert contents(target) == contents(filled)
    assert (exported.rows, imported.rows, imported.written) == (100, 100, 100)
    assert exported.file_bytes == (tmp_path / "docs.parquet").stat().st_size
    assert target.resolve().fingerprint == FINGERPRINT == exported.fingerprint


def test_an_imported_collection_answers_like_the_original(collection, target, tmp_path, folder):
    embedder = CountingEmbedder()
    asyncio.run(ingest(collection, embedder, Sources([str(folder)])))
    export_collection(collection, tmp_path / "docs.parquet")
    import_collection(target, [tmp_path / "docs.parquet"])
    for hybrid in (False, True):
        asked = [asyncio.run(search(each, embedder, "cancel a batch", hybrid=hybrid)) for each in (collection, target)]
        assert asked[0] == asked[1] != []
    again = asyncio.run(ingest(target, embedder, Sources([str(folder)])))
    assert again.embedded == 0


def test_the_file_has_the_columns_of_milvus_bulk_writer(filled, tmp_path):
    export_collection(filled, tmp_path / "docs.parquet")
    with parquet.ParquetFile(tmp_path / "docs.parquet") as file:
        kinds = {each.name: str(each.type) for each in file.schema_arrow}
        (first, *_) = file.read().to_pylist()
        assert file.metadata.num_row_groups > 5
        assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    assert kinds == {
        **dict.fromkeys(
            ["key", "text", "words", "document_id", "document_hash", "title", "heading", "source"], "string"
        ),
        "vector": "list<element: float>",
        "chunk": "int64",
        "chunks": "int64",
        "position": "string",
        "metadata": "string",
    }
    assert json.loads(first["metadata"])["nested"] == {"list": [1.5, None, "ü"]}


def test_an_import_done_again_writes_nothing(filled, target, tmp_path):
    export_collection(filled, tmp_path / "docs.parquet")
    import_collection(target, [tmp_path / "docs.parquet"])
    assert import_collection(target, [tmp_path / "docs.parquet"]).written == 0
    assert target.resolve().count() == 100


def test_an_interrupted_import_goes_on_from_there(filled, target, tmp_path):
    export_collection(filled, tmp_path / "docs.parquet")

    def interrupt(done, _total):
        if done > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_collection(target, [tmp_path / "docs.parquet"], on_progress=interrupt)
    already = target.resolve().count()
    assert 40 < already < 100
    assert import_collection(target, [tmp_path / "docs.parquet"]).written == 100 - already
    assert contents(target) == contents(filled)


def test_a_row_that_differs_is_replaced_and_others_stay(filled, target, tmp_path):
    version = target.create(FINGERPRINT)
    version.upsert([*make_rows(10, text="older"), *make_rows(5, start=1000)])
    export_collection(filled, tmp_path / "docs.parquet")
    assert import_collection(target, [tmp_path / "docs.parquet"]).written == 100
    assert target.resolve().count() == 105
    assert contents(target)[:100] == contents(filled)


def test_several_files_make_one_collection(collection, target, tmp_path):
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    version = collection.create(FINGERPRINT)
    for number, path in enumerate(paths):
        rows = make_rows(10, start=100 * number)
        version.upsert(rows)
        export_collection(collection, path)
        version.delete([row.key for row in rows])
    seen = []
    report = import_collection(target, paths, on_progress=lambda done, total: seen.append((done, total)))
    assert (report.rows, report.written) == (20, 20)
    assert target.resolve().count() == 20
    assert seen[-1] == (20, 20)


@pytest.mark.parametrize(
    "other",
    [
        Fingerprint(model="words-a", weights="words-a@11111111", dimensionality=8),
        Fingerprint(model="words-a", weights="words-a@00000000", dimensionality=8, task_type="CLUSTERING"),
        Fingerprint(model="words-a", weights="words-a@00000000", dimensionality=16),
    ],
    ids=["weights", "task", "dimensionality"],
)
def test_vectors_of_another_model_are_refused_with_both_named(filled, target, tmp_path, other):
    export_collection(filled, tmp_path / "docs.parquet")
    target.create(other)
    with pytest.raises(FingerprintMismatch) as caught:
        import_collection(target, [tmp_path / "docs.parquet"])
    assert str(other) in caught.value.message
    assert str(FINGERPRINT) in caught.value.message
    assert target.resolve().count() == 0


def test_an_export_that_fails_leaves_what_was_there(filled, tmp_path):
    path = tmp_path / "docs.parquet"
    path.write_bytes(b"before")

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_collection(filled, path, on_progress=interrupt)
    assert path.read_bytes() == b"before"
    assert sorted(each.name for each in tmp_path.iterdir() if each.suffix != ".db") == ["docs.parquet"]


def test_progress_ends_with_all_rows(filled, tmp_path):
    seen = []
    export_collection(filled, tmp_path / "docs.parquet", on_progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 5
    assert seen[-1] == (100, 100)


def test_a_collection_that_is_not_there_is_named(collection, tmp_path):
    with pytest.raises(CollectionNotFound, match="docs"):
        export_collection(collection, tmp_path / "docs.parquet")


def test_files_that_are_no_exports_are_named_and_nothing_is_made(target, tmp_path):
    path = tmp_path / "x.parquet"
    with pytest.raises(InvalidRequest, match=r"x\.parquet does not exist"):
        import_collection(target, [path])
    path.write_bytes(b"no parquet")
    with pytest.raises(InvalidRequest, match=r"x\.parquet was not written by `gemvec export`: .*[^.]\.$"):
        import_collection(target, [path])
    parquet.write_table(pa.table({"key": ["a"]}), path)
    with pytest.raises(InvalidRequest, match="it has no fingerprint"):
        import_collection(target, [path])
    metadata = {"gemvec.fingerprint": FINGERPRINT.format()}
    parquet.write_table(pa.table({"key": ["a"]}).replace_schema_metadata(metadata), path)
    with pytest.raises(InvalidRequest, match="it has no column 'chunk'"):
        import_collection(target, [path])
    with pytest.raises(InvalidRequest, match="no file"):
        import_collection(target, [])
    assert not target.exists()


@pytest.mark.parametrize("bad", [np.nan, 7.0])
def test_a_vector_that_is_no_embedding_is_refused(filled, target, tmp_path, bad):
    path = tmp_path / "docs.parquet"
    export_collection(filled, path)
    table = parquet.read_table(path)
    vectors = table.column("vector").to_pylist()
    vectors[3][2] = bad
    column = table.schema.get_field_index("vector")
    table = table.set_column(column, table.schema.field("vector"), pa.array(vectors, table.schema.field("vector").type))
    parquet.write_table(table, path)
    with pytest.raises(InvalidRequest, match="the vector of row '0000"):
        import_collection(target, [path])


@pytest.mark.parametrize("part", [0.3, 0.6, 0.999])
def test_a_truncated_file_is_refused_before_anything_is_written(filled, target, tmp_path, part):
    path = tmp_path / "docs.parquet"
    export_collection(filled, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InvalidRequest, match=r"docs\.parquet"):
        import_collection(target, [path])
    assert not target.exists()
