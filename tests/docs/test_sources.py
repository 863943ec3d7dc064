"""The code of the documents that this project was made from runs as printed but for key and address.

The documents are Google's reference of the embeddings API and Milvus' page on Gemini embeddings, in two translations.
They are not part of the repository; where they are not beside it, these tests are skipped.
"""

import contextlib
import io
import json
import os
import re
import subprocess
from html.parser import HTMLParser

import pytest

from pages import ROOT

SOURCE = ROOT.parent / "shared" / "reference" / "source"
GOOGLE = "https://generativelanguage.googleapis.com"

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(not SOURCE.is_dir(), reason="the source documents are not beside the repository"),
]


class CodeOf(HTMLParser):
    """Collects (language, text) of a page's code blocks, without tags and with entities resolved."""

    def __init__(self, page):
        super().__init__()
        self.blocks, self._language = [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "code" and (css := dict(attrs).get("class")):
            self._language = css.removeprefix("language-")
            self.blocks.append((self._language, ""))

    def handle_endtag(self, tag):
        if tag == "code":
            self._language = None

    def handle_data(self, data):
        if self._language:
            language, text = self.blocks[-1]
            self.blocks[-1] = language, text + data


def reference():
    """Return the text of Google's reference."""
    return next(SOURCE.glob("gemini-*")).read_text()


def milvus_pages():
    """Return the paths of Milvus' page, or one that stands for none."""
    return sorted(SOURCE.glob("milvus-*")) or [SOURCE]


def run_printing(source, namespace):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "source document", "exec"), namespace)
    return output.getvalue()


@pytest.fixture
def google_variables(live_server, monkeypatch):
    """The key and the address as google-genai reads them from the environment."""
    monkeypatch.setenv("GEMINI_API_KEY", "any")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", live_server)


def test_googles_python_runs_with_one_text_and_with_three(google_variables):
    blocks = re.findall(
        r"^from google import genai\n.*?^print\(result\.embeddings\)$", reference(), re.DOTALL | re.MULTILINE
    )
    vectors = []
    for block in blocks:
        namespace = {}
        assert "ContentEmbedding" in run_printing(block, namespace)
        vectors.append([len(each.values) for each in namespace["result"].embeddings])
    assert vectors == [[10], [10, 10, 10]]


@pytest.mark.usefixtures("curl")
def test_googles_shell_commands_run(live_server):
    commands = re.findall(r"^curl .*?(?=\n\n)", reference(), re.DOTALL | re.MULTILINE)
    found = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command.replace(GOOGLE, live_server)],
            env={**os.environ, "GEMINI_API_KEY": "any"},
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        found.append([len(each["values"]) for each in answer.get("embeddings") or [answer["embedding"]]])
    assert found == [[3072], [3072, 3072, 3072]]


@pytest.mark.parametrize("page", milvus_pages(), ids=lambda page: page.name)
def test_the_milvus_page_runs_with_one_import_changed(page, google_variables):
    blocks = [text for language, text in CodeOf(page.read_text()).blocks if language == "python"]
    programs = [each for each in blocks if not each.startswith("Embeddings:")]
    assert [len(blocks), len(programs)] == [5, 3]
    namespace = {}
    printed = [
        run_printing(source.replace("from pymilvus import", "from gemvec.pymilvus import"), namespace)
        for source in programs
    ]
    assert printed[1].splitlines()[-1] == "Dim: 3072 (3072,)"
    assert printed[2].splitlines()[-1] == "Dim 3072 (3072,)"
    assert [len(namespace["docs_embeddings"]), len(namespace["query_embeddings"])] == [3, 2]
