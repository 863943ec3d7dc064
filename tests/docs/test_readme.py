"""The README is executed: its Python prints what it says, and its commands end well in an empty folder."""

import json
import subprocess

import pytest

from pages import ROOT, run_page

README = ROOT / "README.md"

# What users of Google Cloud, of a company's network and of gemvec itself have in their shells.
FOR_REAL_SERVERS = {
    "GEMVEC_API_KEY": "secret",
    "GEMVEC_DATABASE_URL": "postgresql://127.0.0.1:9/gemvec",
    "GEMVEC_INJECT": "503=1",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


@pytest.mark.weights
@pytest.mark.slow
def test_the_blocks_of_the_readme_run_and_print_what_they_say(live_server, folder, environ):
    assert run_page(README, live_server, folder, environ) >= 5


@pytest.mark.weights
@pytest.mark.slow
def test_the_demo_ends_well_whatever_the_shell_is_set_to(environ):
    done = subprocess.run(
        ["gemvec", "demo", "--json"],
        env=environ | FOR_REAL_SERVERS,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert [each["step"] for each in json.loads(done.stdout)] == [
        "Weights",
        "Server",
        "Google's SDK",
        "Milvus' class",
        "Milvus",
    ]


def test_readme_names_the_two_commands():
    assert "pip install '.[all]' && gemvec demo" in README.read_text()
    assert "pip install '.[all,test]' && pytest" in README.read_text()
