"""A Milvus Lite file for each test, and what it holds."""

import pytest

from counting_embedder import CountingEmbedder
from gemvec.milvus import open_collection


def contents(collection):
    """Everything a collection holds, in a fixed order; vectors as rounded lists, so that rows compare with ==."""
    version = collection.resolve()
    rows = version.client.query(version.name, filter="chunk >= 0", output_fields=["*"], consistency_level="Strong")
    cleaned = []
    for row in rows:
        plain = {name: value for name, value in row.items() if name != "sparse"}
        cleaned.append({**plain, "vector": [round(float(value), 5) for value in row["vector"]]})
    return sorted(cleaned, key=lambda row: row["key"])


@pytest.fixture
def embedder():
    return CountingEmbedder()


@pytest.fixture
def collection(tmp_path):
    with open_collection(str(tmp_path / "test.db"), "docs") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of three Markdown files, and the current folder beside it."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "batches.md").write_text("# Batches\n\nA batch is a durable job.\n\n## Cancel\n\nSend cancel to stop it.\n")
    (docs / "files.md").write_text("# Files\n\nUpload a file in pieces. It expires after two days.\n")
    (docs / "models.md").write_text("# Models\n\nThe default model is small and fast.\n")
    return docs
