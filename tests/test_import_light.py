"""Importing gemvec is light."""

import subprocess
import sys

import pytest

HEAVY = {
    "google",
    "httpx",
    "milvus_lite",
    "onnx",
    "openvino",
    "orjson",
    "pymilvus",
    "rich",
    "sqlalchemy",
    "starlette",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
    "uvicorn",
}


def loaded_by(source):
    outcome = subprocess.run(
        [sys.executable, "-c", f"import sys\n{source}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in outcome.stdout.split()}


@pytest.mark.parametrize(
    "source",
    [
        "import gemvec",
        "from gemvec import GeminiEmbeddingFunction",
        "from gemvec.pymilvus import model",
        "import gemvec; gemvec.GeminiEmbeddingFunction(api_key='key').dim",
    ],
)
def test_importing_gemvec_loads_nothing_heavy(source):
    assert not loaded_by(source) & HEAVY


def test_importing_gemvec_alone_does_not_even_load_numpy():
    assert not loaded_by("import gemvec") & {"numpy", "msgspec", "asyncio", "http"}


def test_a_server_on_sqlite_loads_nothing_of_postgresql():
    outcome = subprocess.run(
        [sys.executable, "-c", "import sys\nimport gemvec.server.services\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {name for name in outcome.stdout.split() if "postgresql" in name or "psycopg" in name}
