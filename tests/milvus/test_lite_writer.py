"""Rows written to a Lite file without its engine are those that the engine would have, whatever is open or killed."""

import asyncio
import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from counting_embedder import CountingEmbedder
from gemvec.errors import StorageFailure
from gemvec.milvus import Document, Fingerprint, ingest, open_collection, search
from gemvec.milvus.lite_writer import LiteWriter
from gemvec.milvus.schema import Row

from .conftest import contents

FINGERPRINT = Fingerprint(model="m", weights="m@00000000", dimensionality=4)


def make_row(number, text=""):
    empty = dict.fromkeys(("words", "document_hash", "title", "heading", "source", "position"), "")
    vector = np.zeros(4, dtype=np.float32)
    vector[number % 4] = 1
    key = f"k{number}"
    return Row(
        key=key, vector=vector, document_id=key, chunk=0, chunks=1, metadata={"ä": number}, text=text or key, **empty
    )


def make_documents(count, version):
    """Documents of which some change with each version, some only in their title, and the last ones are gone."""
    for number in range(count - 10 * version):
        words = version if number % 3 == 0 else 0
        text = "\n\n".join(f"# Part {part}\n\nwords {number} {part} {words}" for part in range(number % 4 + 1))
        title = f"Title {version if number % 7 == 0 else 0}"
        yield Document(id=f"d{number}", title=title, text=text, format="markdown", metadata={"n": number, "ä": ["ü"]})


def data_files(uri):
    return sorted(Path(uri).rglob("data_*.parquet"))


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "a.db")


def test_the_same_rows_are_stored_and_found_as_through_pymilvus(tmp_path):
    stored, found = [], []
    for is_only_client in (False, True):
        uri = str(tmp_path / f"{is_only_client}.db")
        for version in (0, 2):
            with open_collection(uri, "docs", is_only_client=is_only_client) as collection:
                asyncio.run(ingest(collection, CountingEmbedder(), make_documents(40, version)))
        with open_collection(uri, "docs") as collection:
            stored.append(contents(collection))
            hits = asyncio.run(search(collection, CountingEmbedder(), "words 3 1 2", hybrid=True))
            found.append([(hit.key, pytest.approx(hit.score, abs=1e-5)) for hit in hits])
    assert stored[0] == stored[1]
    assert found[0] == found[1]


def test_rows_are_refused_as_lite_would_refuse_them(uri):
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = collection.create(FINGERPRINT)
        for row, reason in (
            (replace(make_row(1), vector=np.zeros(3, np.float32)), "expected 4"),
            (replace(make_row(1), position="x" * 300), "position"),
        ):
            with pytest.raises(StorageFailure, match=reason):
                version.upsert([make_row(0), row])
        version.upsert([make_row(2)])
        version.finish()
    with open_collection(uri, "docs") as collection:
        assert [row["key"] for row in contents(collection)] == ["k2"]


def test_merged_files_have_the_newest_rows_and_no_deleted_ones(uri):
    expected = {}
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = replace(collection.create(FINGERPRINT), seal_bytes=1)
        for step in range(9):
            rows = [make_row(number, f"text {step}") for number in range(step * 5, step * 5 + 10)]
            version.upsert(rows)
            version.delete([f"k{step * 5}"])
            expected |= {row.key: row.text for row in rows}
            del expected[f"k{step * 5}"]
        version.finish()
        assert len(data_files(uri)) < 4
        assert {row["key"]: row["text"] for row in version.scan(["key", "text"])} == expected
        assert version.count() == len(expected)
        assert {state.key for state in version.states_of(["k7", "k41", "k0"])} == {"k7", "k41"}
        assert version.vectors_of(["k41", "k0"]).keys() == {"k41"}
    with open_collection(uri, "docs") as collection:
        assert {row["key"]: row["text"] for row in contents(collection)} == expected


@pytest.mark.parametrize("hashes", [2**62, 3, 1])
def test_rows_are_told_apart_by_their_keys_also_where_the_hashes_of_keys_are_equal(uri, monkeypatch, hashes):
    module = sys.modules["gemvec.milvus.lite_rows"]
    monkeypatch.setattr(module, "_KEYS_PER_COMPARISON", 2)
    monkeypatch.setattr(module, "_hash_all", lambda keys: np.array([int(key[1:]) % hashes for key in keys], np.int64))
    chosen, expected = random.Random(5), {}
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = replace(collection.create(FINGERPRINT), seal_bytes=1)
        for step in range(12):
            rows = [make_row(number, f"text {step}") for number in chosen.sample(range(40), 7)]
            gone = [f"k{number}" for number in chosen.sample(range(40), 3)]
            version.upsert(rows)
            version.delete(gone)
            expected = {
                key: text
                for key, text in (expected | {each.key: each.text for each in rows}).items()
                if key not in gone
            }
            assert {row["key"]: row["text"] for row in version.scan(["key", "text"])} == expected
            assert version.count() == len(expected)


def test_counting_reads_no_keys_to_compare_where_each_has_one_row(uri, monkeypatch):
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = replace(collection.create(FINGERPRINT), seal_bytes=1)
        version.upsert([make_row(number) for number in range(50)])
        monkeypatch.delattr(sys.modules["gemvec.milvus.lite_rows"], "_find_newest")
        assert version.count() == 50


def test_only_the_parts_of_a_file_that_have_the_rows_are_read(uri, monkeypatch):
    monkeypatch.setattr(sys.modules["gemvec.milvus.lite_rows"], "_PIECE_BYTES", 1)
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = replace(collection.create(FINGERPRINT), seal_bytes=1)
        for number in range(4):
            version.upsert([make_row(number)])
        (file,) = data_files(uri)
        opened = parquet.ParquetFile(file)
        damaged = opened.metadata.row_group(0).column(opened.schema_arrow.names.index("vector"))
        with file.open("r+b") as data:
            data.seek(damaged.data_page_offset)
            data.write(b"\xff" * (damaged.total_compressed_size // 2))
        assert version.vectors_of(["k3"]).keys() == {"k3"}
        with pytest.raises(StorageFailure):
            version.vectors_of(["k0"])


def test_merging_ends_when_all_files_have_as_many_rows_as_a_file_may_have(uri, monkeypatch):
    for module in ("milvus_lite.engine.compaction", "gemvec.milvus.lite_writer"):
        monkeypatch.setattr(sys.modules[module], "MAX_SEGMENT_ROWS", 10)
    monkeypatch.setattr(sys.modules["milvus_lite.engine.compaction"], "MAX_DATA_FILES", 4)
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = replace(collection.create(FINGERPRINT), seal_bytes=1)
        for start in range(0, 80, 10):
            version.upsert([make_row(number) for number in range(start, start + 10)])
        version.finish()
        assert version.count() == 80
        assert len(data_files(uri)) == 8


def test_merging_has_a_piece_of_the_files_in_memory(uri, monkeypatch):
    module = sys.modules["gemvec.milvus.lite_rows"]
    monkeypatch.setattr(module, "_PIECE_BYTES", 2**19)
    monkeypatch.setattr(module, "ROWS_PER_BATCH", 100)
    held, take = [], module._take

    def note(batches):
        held.append(pa.total_allocated_bytes())
        return take(batches)

    monkeypatch.setattr(module, "_take", note)
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = replace(collection.create(FINGERPRINT), seal_bytes=1)
        before = pa.total_allocated_bytes()
        for start in range(0, 12_000, 3_000):
            version.upsert([make_row(number, random.randbytes(500).hex()) for number in range(start, start + 3_000)])
        assert len(data_files(uri)) == 1
    assert len(held) > 10
    assert max(held) - before < sum(each.stat().st_size for each in data_files(uri)) / 2


@pytest.mark.parametrize(("rows_per_file", "files"), [(3, {10, 9, 6}), (6, {6})])
def test_files_whose_index_would_take_much_memory_are_not_merged(uri, monkeypatch, rows_per_file, files):
    rows_module, writer = (sys.modules[f"gemvec.milvus.{name}"] for name in ("lite_rows", "lite_writer"))
    for module in (rows_module, writer):
        monkeypatch.setattr(module, "ROWS_PER_BATCH", 1)
    monkeypatch.setattr(rows_module, "_PIECE_BYTES", 1)
    monkeypatch.setattr(writer, "_MAX_VECTOR_BYTES", 10 * FINGERPRINT.dimensionality * 4)
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = replace(collection.create(FINGERPRINT), seal_bytes=1)
        for start in range(0, 60, rows_per_file):
            version.upsert([make_row(number) for number in range(start, start + rows_per_file)])
        version.finish()
        assert {parquet.ParquetFile(each).metadata.num_rows for each in data_files(uri)} <= files
    with open_collection(uri, "docs") as collection:
        assert {row["key"] for row in contents(collection)} == {f"k{number}" for number in range(60)}


def test_rows_that_are_only_in_the_log_are_read_and_can_be_deleted(uri):
    with open_collection(uri, "docs", is_only_client=True) as collection:
        version = collection.create(FINGERPRINT)
        version.upsert([make_row(number) for number in range(5)])
        version.finish()
        version.upsert([make_row(1, "new"), make_row(9)])
        version.delete(["k0", "k9"])
        assert {row["key"]: row["text"] for row in version.scan(["key", "text"])} == {
            "k1": "new",
            "k2": "k2",
            "k3": "k3",
            "k4": "k4",
        }
        np.testing.assert_array_equal(version.vectors_of(["k1"])["k1"], make_row(1).vector)
        assert len(data_files(uri)) == 1


def test_a_collection_whose_making_was_killed_before_its_end_is_made(uri, tmp_path):
    with open_collection(uri, "docs", is_only_client=True) as collection:
        collection.create_beside(FINGERPRINT)  # all but the alias
        shutil.copytree(uri, tmp_path / "killed.db")
    with open_collection(str(tmp_path / "killed.db"), "docs", is_only_client=True) as collection:
        assert not collection.exists()
        version = collection.create(FINGERPRINT)
        version.upsert([make_row(0)])
        version.finish()
        assert collection.resolve().count() == 1


@pytest.mark.parametrize("is_only_client", [False, True])
def test_rows_in_the_log_of_a_killed_process_are_taken_over(uri, tmp_path, is_only_client):
    with open_collection(uri, "docs", is_only_client=is_only_client) as collection:
        version = collection.create(FINGERPRINT)
        version.upsert([make_row(number) for number in range(5)])
        version.delete(["k3"])
        shutil.copytree(uri, tmp_path / "killed.db")  # what SIGKILL would leave now
    with open_collection(str(tmp_path / "killed.db"), "docs", is_only_client=True) as collection:
        version = collection.resolve()
        version.upsert([make_row(5)])
        version.finish()
        assert sorted(row["key"] for row in version.scan(["key"])) == ["k0", "k1", "k2", "k4", "k5"]


def test_an_index_that_was_only_half_written_is_written_again(uri):
    with open_collection(uri, "docs", is_only_client=True) as collection:
        asyncio.run(ingest(collection, CountingEmbedder(), make_documents(5, 0)))
    (graph,) = Path(uri).rglob("*.hnsw.idx")
    whole = graph.read_bytes()
    graph.unlink()
    graph.with_suffix(".part").write_bytes(whole[:100])
    with open_collection(uri, "docs", is_only_client=True) as collection:
        assert asyncio.run(ingest(collection, CountingEmbedder(), make_documents(5, 0))).unchanged == 5
        assert graph.read_bytes() == whole
        assert asyncio.run(search(collection, CountingEmbedder(), "words 3 1"))
    assert not list(Path(uri).rglob("*.part"))


def test_an_ingest_leaves_rows_in_their_files(uri, tmp_path):
    """Lite's engine would read all of them when it opens the collection."""
    with open_collection(uri, "docs", is_only_client=True) as collection:
        asyncio.run(ingest(collection, CountingEmbedder(), make_documents(40, 0)))
    with open_collection(uri, "docs", is_only_client=True, snapshots=tmp_path / "snapshots") as collection:
        asyncio.run(ingest(collection, CountingEmbedder(), make_documents(40, 1)))
        (opened,) = collection.client._engine._collections.values()
        assert isinstance(opened, LiteWriter)
        assert not opened._segment_cache


def test_a_collection_that_is_open_to_be_searched_stays_open_when_its_rows_are_counted(uri):
    with open_collection(uri, "docs", is_only_client=True) as collection:
        asyncio.run(ingest(collection, CountingEmbedder(), make_documents(10, 0)))
        version = collection.resolve()
        asyncio.run(search(collection, CountingEmbedder(), "words 3 1"))
        (opened,) = collection.client._engine._collections.values()
        assert version.count() == len(list(version.scan(["key"]))) == 10
        assert {state.document_id for state in version.states_of(["d3", 'no "such"'])} == {"d3"}
        assert list(collection.client._engine._collections.values()) == [opened]
        assert not isinstance(opened, LiteWriter)


def test_many_documents_of_which_only_metadata_changed_are_written_in_groups(uri, monkeypatch):
    for name in ("TEXTS_PER_GROUP", "_FIRST_TEXTS"):
        monkeypatch.setattr(sys.modules["gemvec.milvus.ingest"], name, 20)
    written = []
    with open_collection(uri, "docs", is_only_client=True) as collection:
        for title in ("old", "new"):
            documents = [Document(id=f"d{number}", title=title, text=f"words {number}") for number in range(50)]
            report = asyncio.run(ingest(collection, CountingEmbedder(), documents, on_progress=written.append))
    assert report.changed == 50
    assert len(written) >= 6
