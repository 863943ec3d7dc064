"""The Python blocks of docs/milvus.md run in order, on the documentation itself and the real weights."""

import re
import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.weights
def test_python_blocks_of_the_page_on_milvus_run(tmp_path, monkeypatch, capsys):
    shutil.copytree(DOCS, tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((DOCS / "milvus.md").read_text())
    assert len(blocks) >= 3
    namespace = {}
    for block in blocks:
        exec(compile(block, "docs/milvus.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert printed.startswith("True []\n")
    assert printed.endswith("True\n")
