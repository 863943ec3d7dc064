"""A Lite file opened only as far as needed says the same as pymilvus, and never what was true before."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counting_embedder import CountingEmbedder
from gemvec.errors import CollectionNotFound, FailedPrecondition, StorageFailure
from gemvec.milvus import Collection, Document, Fingerprint, Sources, ingest, open_collection, search
from gemvec.milvus.indexing import Indexing
from gemvec.milvus.lite import LiteClient
from gemvec.milvus.schema import Row
from gemvec.milvus.search import search_sparse
from gemvec.milvus.version import LITE_SEAL_BYTES

from .conftest import contents

FINGERPRINT = Fingerprint(model="m", weights="m@00000000", dimensionality=4)
QUESTION = "when does an upload of a file expire"


@pytest.fixture
def uri(tmp_path, folder):
    """A Lite file in which `docs` is indexed."""
    uri = str(tmp_path / "a.db")
    with open_collection(uri, "docs") as collection:
        asyncio.run(ingest(collection, CountingEmbedder(), Sources(["docs"])))
    return uri


def test_another_version_of_lite_is_used_through_pymilvus_only(uri, monkeypatch):
    monkeypatch.setattr("gemvec.milvus.lite.KNOWN_VERSION", "3.2.1")
    with open_collection(uri, "docs", is_only_client=True) as collection:
        assert not isinstance(collection.client, LiteClient)
        assert asyncio.run(ingest(collection, CountingEmbedder(), Sources(["docs"]))).unchanged
        assert asyncio.run(search(collection, CountingEmbedder(), QUESTION))


def find_indexes(files):
    (manifest,) = (each for name, each in files.items() if name.endswith("manifest.json"))
    return manifest["index_specs"].values()


def test_a_collection_made_without_pymilvus_is_the_one_that_pymilvus_makes(tmp_path):
    made = []
    for is_only_client in (False, True):
        uri = str(tmp_path / f"{is_only_client}.db")
        with open_collection(uri, "docs", is_only_client=is_only_client) as collection:
            collection.create(FINGERPRINT, Indexing(root="/documents"))
        described = sorted(each for each in Path(uri).rglob("*.json"))
        made.append({str(each.relative_to(uri)): json.loads(each.read_text()) for each in described})
    graphs = [each.pop("build_params") for some in made for each in find_indexes(some) if each["index_type"] == "HNSW"]
    assert graphs == [{}, {"M": 16, "efConstruction": 128}], "through pymilvus, Lite takes its own ones"
    assert made[0] == made[1]
    assert [name for name in made[0] if name.endswith("schema.json")]


def test_a_new_file_is_written_without_loading_pymilvus_or_pandas(tmp_path):
    program = f"""
import sys
import numpy
from gemvec.memory import sparing_memory
from gemvec.milvus import Fingerprint, open_collection
from gemvec.milvus.schema import Row
texts = dict.fromkeys(("text", "words", "document_hash", "title", "heading", "source", "position"), "a")
vector = numpy.ones(4, numpy.float32) / 2
row = Row(key="k", vector=vector, document_id="d", chunk=0, chunks=1, metadata={{}}, **texts)
with sparing_memory(), open_collection({str(tmp_path / "a.db")!r}, "docs", is_only_client=True) as collection:
    version = collection.create(Fingerprint(model="m", weights="m@00000000", dimensionality=4))
    version.upsert([row])
    version.finish()
    assert list(version.states())
print(sorted({{"pymilvus", "grpc", "pandas"}} & sys.modules.keys()))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def make_row(key, vector):
    text = dict.fromkeys(("text", "words", "document_hash", "title", "heading", "source", "position"), "")
    return Row(key=key, vector=vector, document_id=key, chunk=0, chunks=1, metadata={}, **text)


def index(uri, snapshots, *, prune=False):
    """Index `docs` as the command line does; return the report, and whether the file had to be opened."""
    sources = Sources(["docs"])
    with open_collection(uri, "docs", is_only_client=True, snapshots=snapshots) as collection:
        work = ingest(collection, CountingEmbedder(), sources, prune=sources.scopes if prune else ())
        report = asyncio.run(work)
        return report, collection.client.is_open


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("where", ["", 'source like "docs/f%"'])
def test_without_pymilvus_the_same_passages_are_found(uri, hybrid, where):
    answers = []
    for is_only_client in (False, True):
        with open_collection(uri, "docs", is_only_client=is_only_client) as collection:
            hits = asyncio.run(search(collection, CountingEmbedder(), QUESTION, hybrid=hybrid, where=where))
            answers.append([(hit.key, pytest.approx(hit.score, abs=1e-5), hit.text, hit.metadata) for hit in hits])
    assert answers[0] == answers[1]
    assert answers[0]


@pytest.mark.parametrize("is_only_client", [True, False])
def test_a_file_that_another_process_has_open_is_waited_for(uri, is_only_client):
    program = f"""
import sys
from gemvec.milvus import open_collection
with open_collection({uri!r}, "docs", is_only_client=True):
    print("open", flush=True)
    sys.stdin.readline()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        timer = threading.Timer(0.5, lambda: other.communicate("\n"))
        timer.start()
        with open_collection(uri, "docs", is_only_client=is_only_client) as collection:
            assert collection.resolve().count() > 0
        timer.join()


def test_a_search_loads_no_pymilvus(uri):
    code = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from counting_embedder import CountingEmbedder
from gemvec.milvus import open_collection, search
with open_collection({uri!r}, "docs", is_only_client=True) as collection:
    assert asyncio.run(search(collection, CountingEmbedder(), {QUESTION!r}, hybrid=True))
assert "pymilvus" not in sys.modules
"""
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_a_filter_that_lite_does_not_understand_says_so(uri):
    with (
        open_collection(uri, "docs", is_only_client=True) as collection,
        pytest.raises(StorageFailure, match="Milvus"),
    ):
        asyncio.run(search(collection, CountingEmbedder(), "word", where="lang ==="))


def test_what_is_read_first_can_be_written_and_searched_after(uri):
    with open_collection(uri, "docs", is_only_client=True) as collection:
        assert asyncio.run(search(collection, CountingEmbedder(), QUESTION))
        asyncio.run(ingest(collection, CountingEmbedder(), [Document(id="new", text="A new document about whales.")]))
        assert asyncio.run(search(collection, CountingEmbedder(), "whales"))[0].document_id == "new"


def test_a_file_read_by_its_engine_is_closed_to_other_processes_until_the_end(uri):
    code = f"from gemvec.milvus import open_collection; open_collection({uri!r}, 'docs').close()"
    with open_collection(uri, "docs", is_only_client=True):
        with pytest.raises(FailedPrecondition, match="has it open"):
            open_collection(uri, "docs", is_only_client=True)
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 1
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("is_only_client", [False, True])
def test_a_file_of_another_kind_is_distinguished_from_one_that_is_open(tmp_path, is_only_client):
    path = tmp_path / "old.db"
    path.write_bytes(b"SQLite format 3\0")
    with pytest.raises(FailedPrecondition, match=r"old\.db is a file; .* folder"):
        open_collection(str(path), "docs", is_only_client=is_only_client)
    assert path.read_bytes() == b"SQLite format 3\0"


CREATE_AS_ANYBODY = """
import ctypes, sys
ctypes.CDLL(None).prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE: what lets root write anywhere is gone after exec
import os; os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
"""
CREATE = """
import sys
from gemvec.milvus import Fingerprint, open_collection
with open_collection(sys.argv[1], "docs", is_only_client=sys.argv[2] == "True") as collection:
    collection.create(Fingerprint(model="m", weights="m@00000000", dimensionality=4))
"""


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("is_only_client", [False, True])
def test_a_folder_without_write_permission_is_distinguished_from_a_file_that_is_open(tmp_path, is_only_client):
    folder = tmp_path / "read only"
    folder.mkdir(mode=0o500)
    program = [CREATE_AS_ANYBODY, CREATE] if os.geteuid() == 0 else [CREATE]
    command = [sys.executable, "-c", *program, str(folder / "new.db"), str(is_only_client)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"FailedPrecondition: The Milvus Lite file {folder / 'new.db'} cannot be opened" in outcome.stderr
    assert f"{folder} may not be written to" in outcome.stderr


@pytest.mark.parametrize("is_only_client", [False, True])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, is_only_client):
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "new.db"
    with (
        pytest.raises(FailedPrecondition, match=f"the folder {path.parent} does not exist"),
        open_collection(str(path), "docs", is_only_client=is_only_client) as collection,
    ):
        collection.create(FINGERPRINT)


def test_a_file_that_must_exist_is_not_made(tmp_path):
    with pytest.raises(CollectionNotFound, match="does not exist"):
        open_collection(str(tmp_path / "folder" / "none.db"), "docs", must_exist=True)
    assert not list(tmp_path.iterdir())


def test_an_unchanged_run_does_not_open_the_file(uri, tmp_path):
    snapshots = tmp_path / "snapshots"
    assert index(uri, snapshots, prune=True)[1]
    report, is_open = index(uri, snapshots, prune=True)
    assert (report.unchanged, report.has_changed, is_open) == (3, False, False)


def test_an_unchanged_run_of_long_documents_does_not_open_the_file_either(uri, tmp_path, folder):
    paragraphs = [f"Paragraph {number} of many. " + "It goes on and on. " * 20 for number in range(40)]
    (folder / "long.md").write_text("\n\n".join(paragraphs))
    snapshots = tmp_path / "snapshots"
    assert index(uri, snapshots)[0].embedded >= len(paragraphs)
    report, is_open = index(uri, snapshots)
    assert (report.unchanged, is_open) == (4, False)


def test_a_snapshot_does_not_hide_a_changed_document(uri, tmp_path, folder):
    snapshots = tmp_path / "snapshots"
    index(uri, snapshots)
    (folder / "files.md").write_text("# Files\n\nOther words.\n")
    (folder / "models.md").unlink()
    report, _ = index(uri, snapshots, prune=True)
    assert (report.unchanged, report.changed, report.removed) == (1, 1, 1)
    report, is_open = index(uri, snapshots, prune=True)
    assert (report.unchanged, is_open) == (2, False)


def test_a_snapshot_ends_when_anybody_else_changes_the_collection(uri, tmp_path):
    snapshots = tmp_path / "snapshots"
    index(uri, snapshots)
    with open_collection(uri, "docs") as collection:
        rows = contents(collection)
        collection.resolve().delete([rows[0]["key"]])
    report, _ = index(uri, snapshots)
    assert (report.unchanged, report.changed + report.added) == (2, 1)
    with open_collection(uri, "docs") as collection:
        assert contents(collection) == rows


def test_an_ingest_ends_well_when_another_opens_the_file_as_soon_as_it_can(uri, tmp_path):
    others = []

    class Awaited(LiteClient):
        def _close(self):
            super()._close()
            others.append(LiteClient(uri, "docs"))

    with Collection(Awaited(uri, "docs", snapshots=tmp_path / "snapshots"), uri, "docs") as collection:
        assert asyncio.run(ingest(collection, CountingEmbedder(), Sources(["docs"]))).unchanged == 3
    others.pop().close()
    assert index(uri, tmp_path / "snapshots")[1]


def test_a_damaged_snapshot_is_ignored(uri, tmp_path):
    snapshots = tmp_path / "snapshots"
    index(uri, snapshots)
    (snapshot,) = snapshots.iterdir()
    snapshot.write_bytes(snapshot.read_bytes()[:-20])
    assert index(uri, snapshots)[0].unchanged == 3


def test_a_file_that_vanishes_while_states_are_compared_only_ends_the_snapshot(uri, tmp_path):
    snapshots = tmp_path / "snapshots"
    index(uri, snapshots)
    (Path(uri) / "vanished").symlink_to("nowhere")  # listed, and not there
    report, is_open = index(uri, snapshots)
    assert (report.unchanged, is_open) == (3, True)


def test_a_collection_in_another_place_has_no_snapshot(uri, tmp_path):
    snapshots = tmp_path / "snapshots"
    index(uri, snapshots)
    assert index(str(tmp_path / "b.db"), snapshots)[0].added == 3


def test_rows_are_put_into_files_before_there_are_too_many_for_memory(tmp_path):
    """Lite makes a Python object of each number when it writes a file, so the rows of one file must be few."""
    uri = str(tmp_path / "a.db")
    fingerprint = Fingerprint(model="m", weights="m@00000000", dimensionality=4096)

    def write(version, first, last):
        vector = np.full(4096, 1 / 64, dtype=np.float32)
        version.upsert([make_row(str(number), vector) for number in range(first, last)])
        return len(list(Path(uri).rglob("data_*.parquet")))

    with open_collection(uri, "docs") as collection:
        version = collection.create(fingerprint)
        assert version.seal_bytes == LITE_SEAL_BYTES
        version = replace(version, seal_bytes=2**20)
        few = version.seal_bytes // (4096 * 4) // 2
        assert write(version, 0, few) == 0
        assert write(version, few, 2 * few + 1) == 1
        assert version.count() == 2 * few + 1
        assert write(version, 0, few) == 1


def test_a_collection_of_usual_size_is_one_file_so_that_its_words_are_weighed_alike(collection):
    """Lite weighs words for each file: in a small last one, a word in all its rows would count for nothing."""
    version = collection.create(FINGERPRINT)
    words = {str(number): f"word{number}" for number in range(1_303)} | {"0": "zeta", "1301": "zeta", "1302": "zeta"}
    vector, text = np.full(4, 0.5, dtype=np.float32), "a" * 8_000
    rows = [replace(make_row(key, vector), text=text, words=words[key]) for key in words]
    version.upsert(rows[:1_300])
    version.upsert(rows[1_300:])
    version.finish()
    scores = {hit.document_id: hit.score for hit in search_sparse(version, "zeta", 5, "")}
    assert scores == dict.fromkeys(("0", "1301", "1302"), scores["0"])


def test_a_search_waits_while_rows_are_put_into_a_file(collection, monkeypatch):
    """Lite empties its memory first, and makes the file visible later."""
    engine = sys.modules["milvus_lite.engine.collection"]
    open_log, is_empty, is_answered = engine.WAL, threading.Event(), threading.Event()

    def open_log_slowly(**options):
        is_empty.set()
        is_answered.wait(0.3)
        return open_log(**options)

    asyncio.run(ingest(collection, CountingEmbedder(), [Document(id="a", text="first")]))
    version = collection.resolve()
    version.upsert([make_row("b", np.full(64, 1 / 8, dtype=np.float32))])
    monkeypatch.setattr(engine, "WAL", open_log_slowly)
    writing = threading.Thread(target=version.finish)
    writing.start()
    assert is_empty.wait(10)
    hits = asyncio.run(search(collection, CountingEmbedder(), "first"))
    is_answered.set()
    writing.join()
    assert {hit.document_id for hit in hits} == {"a", "b"}
