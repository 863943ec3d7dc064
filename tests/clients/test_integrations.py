"""gemvec's own classes for LlamaIndex and Haystack, in environments that have the packages of these."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from clients.environments import HERE, python_of

SOURCE = Path(__file__).parents[2] / "src"

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("program", "requirements"),
    [("llama_index_collection.py", "google-genai-2"), ("haystack_collection.py", "haystack")],
)
def test_a_framework_searches_a_collection_and_adds_to_it(program, requirements, tiny_model, tmp_path):
    paths = [str(SOURCE), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environ = dict(os.environ, GEMVEC_PATHS=os.pathsep.join(paths), HAYSTACK_TELEMETRY_ENABLED="False")
    command = [str(python_of(requirements)), str(HERE / "programs" / program), str(tiny_model)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
