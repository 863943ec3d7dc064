"""What Windows and macOS lack is not needed: the server, its stores and the command line work without it.

The modules are hidden in a process of its own. That shows which code paths run; it is no trial on those systems.
"""

import subprocess
import sys

import pytest

HIDE = """
import os, select, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"fcntl", "grp", "pwd", "resource", "termios", "uvloop"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in [each for each in sys.modules if each in {"fcntl", "grp", "pwd", "resource", "termios"}]:
    del sys.modules[name]
sys.meta_path.insert(0, Absent())
for module, name in ((os, "nice"), (os, "fork"), (os, "posix_fadvise"), (os, "O_DIRECTORY"), (select, "poll")):
    if hasattr(module, name):
        delattr(module, name)
"""

SERVE = """
import sys
from pathlib import Path
from gemvec import GeminiEmbeddingFunction
from gemvec.client.batches import BatchClient
from gemvec.client.files import FileClient
from gemvec.client.target import find_target
from gemvec.embedding.embed import EmbedRequest
from gemvec.testing import start_server

folder = Path(sys.argv[1])
(folder / "a.txt").write_text("one")
with start_server(folder / "data") as server:
    assert len(GeminiEmbeddingFunction(base_url=server.url).encode_documents(["a", "b"])) == 2
    with FileClient(find_target(server.url)) as files:
        assert files.upload(folder / "a.txt").size_bytes == 3
    with BatchClient(find_target(server.url)) as batches:
        batch = batches.create("gemini-embedding-001", [EmbedRequest(text="a")])
        assert batches.wait(batch.batch_id).stats.successful_request_count == 1
print("served")
"""

COMMAND = """
import sys
from gemvec.cli import main
sys.argv = ["gemvec", "embed", "--json", "--model", sys.argv[2], "--cache-dir", sys.argv[1], "text"]
main()
"""

IMPORT_ALL = """
import importlib, pkgutil, gemvec
from gemvec.errors import MissingDependency
for each in pkgutil.walk_packages(gemvec.__path__, "gemvec."):
    if each.name != "gemvec.__main__":
        try:
            importlib.import_module(each.name)
        except MissingDependency:
            assert each.name in {"gemvec.integrations.haystack", "gemvec.integrations.llama_index"}, each.name
"""


@pytest.mark.parametrize(("program", "printed"), [(SERVE, "served"), (COMMAND, '"embedding":[')])
def test_nothing_needs_what_only_some_systems_have(tmp_path, tiny_model, program, printed):
    command = [sys.executable, "-c", HIDE + program, str(tmp_path), str(tiny_model)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert printed in outcome.stdout, outcome.stderr
    assert outcome.returncode == 0


def test_no_code_imports_a_module_that_windows_lacks_at_its_top():
    outcome = subprocess.run([sys.executable, "-c", HIDE + IMPORT_ALL], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
