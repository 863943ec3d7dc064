"""The programs in `examples/` run as they stand, but for the server's address.

The Go program needs a Go toolchain and the modules of Google's SDK; where they cannot be had, its test is skipped.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from clients.environments import node_folder, python_of

EXAMPLES = Path(__file__).parents[2] / "examples"
ADDRESS = "http://127.0.0.1:8000"

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]


def made_out(example, server, folder):
    """Write an example into `folder`, made out to `server`; return where it is."""
    source = example.read_text()
    assert source.count(ADDRESS) == 1
    target = folder / example.name
    target.write_text(source.replace(ADDRESS, server))
    return target


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("python/*.py")), ids=lambda path: path.name)
def test_a_python_example_finds_a_document(example, server, tmp_path):
    program = made_out(example, server, tmp_path)
    printed = run([str(python_of("google-genai-2")), str(program)], cwd=tmp_path)
    assert printed.count("\n") == 1


def test_the_node_example_prints_two_vectors(server):
    folder = node_folder()
    if folder is None:
        pytest.skip("Node.js with npm is not on this machine")
    program = made_out(EXAMPLES / "node" / "embed.mjs", server, folder)
    assert run(["node", str(program)]).count("values:") == 2


def test_the_go_example_prints_three_vectors_of_ten_values(server, tmp_path):
    if shutil.which("go") is None:
        pytest.skip("Go is not on this machine")
    made_out(EXAMPLES / "go" / "main.go", server, tmp_path)
    shutil.copy(EXAMPLES / "go" / "go.mod", tmp_path)
    environ = dict(os.environ, GOTOOLCHAIN="local")
    modules = subprocess.run(
        ["go", "mod", "download"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    if modules.returncode:
        pytest.skip(f"the modules of Google's SDK cannot be had here: {modules.stderr.strip()[-200:]}")
    embeddings = json.loads(run(["go", "run", "-mod=mod", "."], cwd=tmp_path, env=environ))
    assert [len(each["values"]) for each in embeddings] == [10, 10, 10]
