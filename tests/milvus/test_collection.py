import subprocess
import sys

import numpy as np
import pytest

from gemvec.errors import CollectionNotFound, FailedPrecondition, InvalidRequest, StorageFailure, TransportFailure
from gemvec.milvus import Fingerprint, open_collection
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.indexing import Indexing
from gemvec.milvus.schema import Row
from gemvec.milvus.version import MAX_CALL_BYTES, CollectionVersion, format_list

FINGERPRINT = Fingerprint(model="m", weights="m@12345678", dimensionality=4)


def make_row(number, **fields):
    row = {
        "key": f"key{number}",
        "text": f"text {number}",
        "words": f"text {number}",
        "vector": np.float32([1, 0, 0, 0]),
        "document_id": "d",
        "document_hash": "h",
        "chunk": number,
        "chunks": 1,
        "title": "t",
        "heading": "",
        "source": "s",
        "position": "line 1",
        "metadata": {},
    }
    return Row(**{**row, **fields})


def test_a_proxy_in_the_environment_is_not_asked_for_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with open_collection(str(tmp_path / "a.db"), "docs") as collection:
        assert collection.create(FINGERPRINT).count() == 0


def test_a_collection_is_found_again_with_its_fingerprint(tmp_path):
    uri = str(tmp_path / "a.db")
    with open_collection(uri, "docs") as collection:
        collection.create(FINGERPRINT).upsert([make_row(1)])
    with open_collection(uri, "docs") as collection:
        version = collection.resolve()
        assert version.fingerprint == FINGERPRINT
        assert version.count() == 1


def test_what_an_earlier_attempt_left_half_made_is_finished(collection, monkeypatch):
    """A process may end between making the collection, its indexes and the alias."""
    from gemvec.milvus.schema import create_collection

    create_collection(collection.client, f"docs_{FINGERPRINT.digest}", FINGERPRINT, Indexing())
    assert not collection.exists()
    version = collection.create(FINGERPRINT)
    version.finish()
    assert sorted(collection.client.list_indexes(version.name)) == ["document_id", "sparse", "vector"]
    assert collection.resolve().name == version.name


def test_a_collection_that_gemvec_did_not_make_is_refused(collection):
    collection.client.create_collection("docs", dimension=4)
    with pytest.raises(FailedPrecondition, match="not made by gemvec"):
        collection.resolve()


def test_a_collection_that_does_not_exist_is_named(collection):
    with pytest.raises(CollectionNotFound, match=r"'docs' in .*test\.db"):
        collection.resolve()


def test_a_written_key_is_replaced_not_repeated(collection):
    version = collection.create(FINGERPRINT)
    version.upsert([make_row(1), make_row(2)])
    version.upsert([make_row(1, text="other")])
    assert version.count() == 2


def test_rows_beyond_one_call_are_all_written(collection):
    version = collection.create(FINGERPRINT)
    text = "x" * 8_000
    rows = [make_row(number, text=text) for number in range(MAX_CALL_BYTES // len(text) + 100)]
    version.upsert(rows)
    assert version.count() == len(rows)


def test_a_title_longer_than_its_field_is_cut_between_characters(collection):
    version = collection.create(FINGERPRINT)
    version.upsert([make_row(1, title="é" * 1_000)])
    (row,) = version.scan(["title"])
    assert row["title"] == "é" * 512


def test_documents_with_any_characters_in_their_id_are_found(collection):
    version = collection.create(FINGERPRINT)
    name = 'it\'s "quoted" \\ back, ü 中 {x} %'
    version.upsert([make_row(1, document_id=name)])
    assert [state.key for state in version.states_of([name, "other"])] == ["key1"]
    assert format_list([name]).startswith('["it')


def test_a_lite_file_in_use_by_another_process_says_so(tmp_path):
    uri = str(tmp_path / "a.db")
    with open_collection(uri, "docs"):
        code = f"from gemvec.milvus import open_collection; open_collection({uri!r}, 'docs')"
        outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process has it open" in outcome.stderr
    assert outcome.returncode == 1


def test_a_closed_lite_file_can_be_opened_by_another_process(tmp_path):
    uri = str(tmp_path / "a.db")
    with open_collection(uri, "docs"), open_collection(uri, "other"):
        pass
    code = f"from gemvec.milvus import open_collection; open_collection({uri!r}, 'docs').close()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["my-docs", "1st", "", "x" * 241])
def test_a_name_that_milvus_would_not_take_is_refused(tmp_path, name):
    with pytest.raises(InvalidRequest, match="collection name"):
        open_collection(str(tmp_path / "a.db"), name)


@pytest.mark.parametrize("uri", ["my.sqlite", "folder"])
def test_what_is_no_milvus_is_refused(uri):
    with pytest.raises(FailedPrecondition, match="not a Milvus address"):
        open_collection(uri, "docs")


def test_a_server_that_does_not_answer_is_named():
    with pytest.raises(TransportFailure, match=r"127\.0\.0\.1:9"):
        open_collection("http://127.0.0.1:9", "docs")


def test_what_milvus_refuses_becomes_our_error(collection):
    with pytest.raises(StorageFailure, match="Milvus"):
        call_milvus(collection.client.describe_collection, "nothing")


class RecordedServer:
    """Answers as Milvus 2.3.5 did to `describe_index`, one answer after another; then always the last one."""

    def __init__(self, *figures):
        self._figures = list(figures)

    def flush(self, name):
        """Nothing is kept."""

    def list_indexes(self, name):
        return ["vector"]

    def describe_index(self, name, index):
        total, indexed, pending = self._figures.pop(0) if len(self._figures) > 1 else self._figures[0]
        rows = {"total_rows": total, "indexed_rows": indexed, "pending_index_rows": pending}
        return {"index_name": index, "state": "Finished", **rows}

    def asked_for_all(self):
        return len(self._figures) == 1


def finish(server, seconds):
    version = CollectionVersion(client=server, name="docs", fingerprint=FINGERPRINT, indexing=Indexing())
    version.finish(timeout_seconds=seconds)


def test_an_index_is_built_when_a_server_has_begun_to_merge_what_is_indexed():
    finish(RecordedServer((40000, 41000, 40000)), 0)


def test_it_is_waited_for_an_index_as_long_as_it_grows():
    server = RecordedServer(*[(10, rows, 10 - rows) for rows in range(11)])
    finish(server, 0.03)  # it is asked every 0.02 s
    assert server.asked_for_all()


def test_an_index_that_does_not_grow_is_named_with_what_it_has():
    with pytest.raises(StorageFailure, match=r"index 'vector': it has had 4 of 10 rows for 0\.1 s"):
        finish(RecordedServer((10, 4, 6)), 0.1)
