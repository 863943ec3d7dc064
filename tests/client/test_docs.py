"""The blocks of docs/client.md run in order and print what the page says."""

import contextlib
import io
import re
from pathlib import Path

PAGE = (Path(__file__).parent.parent.parent / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_page_prints_what_it_says(server, tiny_model, monkeypatch):
    """The scripted server and the tiny model stand in for the real ones, whose vectors have other lengths."""
    server.default_dimensionality = 3072
    monkeypatch.setenv("GEMVEC_BASE_URL", server.url)
    printed = None
    names = {}
    for language, block in BLOCKS:
        if language == "python":
            source = block.replace("http://127.0.0.1:8000", server.url).replace("all-minilm-l6-v2", str(tiny_model))
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(source, "docs/client.md", "exec"), names)
            printed = output.getvalue()
        elif language == "text":
            assert printed.replace("(32,)", "(384,)") == block
    assert len(BLOCKS) == 9
