import pytest


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
