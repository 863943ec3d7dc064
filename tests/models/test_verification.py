"""A model's vectors are compared with every reference there is; see also `test_golden.py`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from gemvec.cli.models import app
from gemvec.errors import UnsupportedModel

GOLDEN = Path(__file__).with_name("golden")
TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
runner = CliRunner()


@pytest.fixture
def folder(tmp_path):
    """Return a copy of a golden model that keeps its vectors in reference.json."""
    copied = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    vectors = load_file(copied / "expected.safetensors")[""]
    keep(copied, vectors)
    return copied


def keep(folder, vectors):
    document = {"texts": TEXTS, "vectors": vectors.tolist(), "source": "sentence-transformers"}
    (folder / "reference.json").write_text(json.dumps(document))


def verify(folder, *options):
    outcome = runner.invoke(app, ["verify", str(folder), "--json", "--streams", "1", *options])
    return outcome.exit_code, json.loads(outcome.stdout)


@pytest.mark.parametrize(("precision", "least"), [("exact", 0.9999), ("fast", 0.999)])
def test_vectors_that_a_folder_keeps_are_compared(folder, precision, least):
    status, found = verify(folder, "--precision", precision)
    (comparison,) = [each for each in found["comparisons"] if each["against"].startswith("reference.json")]
    assert (status, found["isRight"], comparison["texts"]) == (0, True, len(TEXTS))
    assert least == comparison["leastCosine"] <= comparison["lowestCosine"]
    assert comparison["largestDifference"] < 0.02


def test_one_wrong_vector_is_found(folder):
    vectors = load_file(folder / "expected.safetensors")[""]
    vectors[3] = vectors[2]
    keep(folder, vectors)
    status, found = verify(folder)
    assert (status, found["isRight"]) == (1, False)
    assert "WRONG" in runner.invoke(app, ["verify", str(folder), "--streams", "1"]).stdout


def test_a_model_without_any_reference_is_not_called_right(tiny_model):
    status, found = verify(tiny_model)
    if found["leftOut"] is None:
        pytest.skip("sentence-transformers is installed, and there is a reference")
    assert (status, found["comparisons"], found["isRight"]) == (1, [], False)


@pytest.mark.parametrize(
    "document", ["{", '{"texts": ["a"], "vectors": []}', '{"texts": [], "vectors": []}', '{"vectors": [[1]]}']
)
def test_a_reference_that_cannot_be_read_is_an_error(folder, document):
    (folder / "reference.json").write_text(document)
    outcome = runner.invoke(app, ["verify", str(folder), "--streams", "1"])
    assert isinstance(outcome.exception, UnsupportedModel)


def test_vectors_of_another_length_are_an_error(folder):
    keep(folder, np.ones((len(TEXTS), 5)))
    outcome = runner.invoke(app, ["verify", str(folder), "--streams", "1"])
    assert "vectors of 5 values, but the model gives 32" in str(outcome.exception)
