"""docs/batches.md is executed: its Python blocks run in order and print what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from batch_server import batch_server

PAGE = Path(__file__).parent.parent.parent / "docs" / "batches.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n```text\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_the_python_blocks_of_the_page_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) == 3
    with batch_server(tmp_path / "data") as url:
        for source, expected in blocks:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(source.replace("http://127.0.0.1:8000", url), PAGE.name, "exec"), {})
            assert output.getvalue() == expected
