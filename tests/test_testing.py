"""The plugin of pytest that comes with gemvec: `gemvec_server`, tried in a run of its own."""

import subprocess
import sys

import pytest

from pages import ROOT, blocks_of

PROGRAM = """
import pytest
from gemvec import GeminiEmbeddingFunction
from gemvec.client.batches import BatchClient
from gemvec.client.target import find_target
from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import ApiError
from gemvec.testing import start_server

urls = []


def batches(server):
    return BatchClient(find_target(server.url))


def test_texts_are_embedded(gemvec_server):
    urls.append(gemvec_server.url)
    embed = GeminiEmbeddingFunction(base_url=gemvec_server.url)
    first, second = embed.encode_documents(["a text", "a text"])
    assert (first == second).all()


def test_a_batch_is_kept(gemvec_server):
    urls.append(gemvec_server.url)
    with batches(gemvec_server) as client:
        client.create("gemini-embedding-001", [EmbedRequest(text="a text")])
        assert len(list(client.list())) == 1


def test_each_test_finds_the_server_empty(gemvec_server):
    assert urls == [gemvec_server.url] * 2
    with batches(gemvec_server) as client:
        assert list(client.list()) == []


@pytest.mark.gemvec(inject="400=1")
def test_a_server_may_fail_on_purpose(gemvec_server):
    assert gemvec_server.url not in urls
    with pytest.raises(ApiError, match="400"):
        GeminiEmbeddingFunction(base_url=gemvec_server.url).encode_queries(["a text"])


def test_a_gateway_can_stand_before_another_server(gemvec_server, tmp_path):
    with start_server(tmp_path, upstream=gemvec_server.url, cache_dir=tmp_path) as gateway:
        assert GeminiEmbeddingFunction(base_url=gateway.url).encode_queries("a text")[0].size == 3072
"""


def run(tmp_path, program):
    (tmp_path / "test_program.py").write_text(program)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "gemvec.testing",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        "-q",
    ]
    return subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_program_is_tested_against_a_server_of_its_own(tmp_path):
    outcome = run(tmp_path, PROGRAM)
    assert outcome.returncode == 0, outcome.stdout
    assert "5 passed" in outcome.stdout


def test_a_setting_that_there_is_not_is_named(tmp_path):
    outcome = run(
        tmp_path,
        "import pytest\n\n@pytest.mark.gemvec(speed=1)\ndef test_it(gemvec_server): pass\n",
    )
    assert "There is no setting named 'speed'." in outcome.stdout


@pytest.mark.parametrize("module", ["gemvec.cli", "gemvec.server", "starlette", "numpy"])
def test_the_plugin_loads_no_server_before_a_test_asks_for_one(module):
    program = f"import pytest, sys, gemvec.testing; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_tests_on_the_documentations_page_pass(tmp_path):
    pytest.importorskip("google.genai")
    blocks = [each.source for each in blocks_of(ROOT / "docs" / "testing.md") if each.language == "python"]
    outcome = run(tmp_path, "\n\n".join(blocks))
    assert outcome.returncode == 0, outcome.stdout
    assert "3 passed" in outcome.stdout


def test_the_tutorials_test_passes_beside_the_tutorials_program(tmp_path):
    """The server's port differs from that on the page, so a program that asks there finds nothing."""
    pytest.importorskip("google.genai")
    program, _, test = [
        each.source for each in blocks_of(ROOT / "docs" / "tutorials" / "rag-in-ci.md") if each.language == "python"
    ]
    (tmp_path / "program.py").write_text(program)
    outcome = run(tmp_path, test)
    assert outcome.returncode == 0, outcome.stdout
    assert "1 passed" in outcome.stdout
