"""docs/files.md is executed: its Python blocks run in order and print what it says."""

import contextlib
import io
import re
from pathlib import Path

from file_server import file_server

PAGE = Path(__file__).parent.parent.parent / "docs" / "files.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n```text\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_python_blocks_of_the_page_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) == 2
    with file_server(tmp_path / "data") as url:
        for source, expected in blocks:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(source.replace("http://127.0.0.1:8000", url), PAGE.name, "exec"), {})
            assert output.getvalue() == expected
