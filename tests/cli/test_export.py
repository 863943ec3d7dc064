"""`gemvec export` and `gemvec import`: what a person and a script see."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gemvec.cli.app import app
from gemvec.milvus import Fingerprint, open_collection
from gemvec.milvus.schema import Row


@pytest.fixture
def gemvec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        outcome = CliRunner().invoke(app, arguments)
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout

    return run


@pytest.fixture
def filled(tmp_path):
    fingerprint = Fingerprint(model="m", weights="m@00000000", dimensionality=4)
    with open_collection(str(tmp_path / "gemvec.db"), "docs") as collection:
        version = collection.create(fingerprint)
        texts = dict.fromkeys(
            ["text", "words", "document_id", "document_hash", "title", "heading", "source", "position"], "x"
        )
        vectors = np.eye(4, dtype=np.float32)
        version.upsert(
            [
                Row(key=str(number), vector=vector, chunk=number, chunks=4, metadata={}, **texts)
                for number, vector in enumerate(vectors)
            ]
        )
        version.finish()


def test_a_collection_moves_to_another_milvus(gemvec, filled):
    assert "4 passages" in gemvec("export", "docs.parquet")
    exported = json.loads(gemvec("export", "docs.parquet", "--json"))
    assert (exported["rows"], exported["fingerprint"]["weights"]) == (4, "m@00000000")
    arguments = ("import", "docs.parquet", "--uri", "./other.db", "--collection", "copied")
    imported = json.loads(gemvec(*arguments, "--json"))
    assert (imported["rows"], imported["written"]) == (4, 4)
    assert "0 written, 4 were there already" in gemvec(*arguments)


@pytest.mark.parametrize("name", ["broken.parquet", "missing.parquet"])
def test_a_file_that_is_no_export_is_an_error_that_names_it_and_makes_no_database(gemvec, tmp_path, name):
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    outcome = CliRunner().invoke(app, ["import", name])
    assert outcome.exit_code == 1
    assert name in outcome.exception.message
    assert not (tmp_path / "gemvec.db").exists()


@pytest.mark.parametrize(
    ("path", "reason"), [("none/docs.parquet", "there is no folder none"), ("gemvec.db", "it is a folder")]
)
def test_a_place_where_no_export_can_be_written_is_named_before_the_work(gemvec, filled, path, reason):
    outcome = CliRunner().invoke(app, ["export", path])
    assert outcome.exception.message == f"FILE names {path}, which cannot be written: {reason}."
