"""A model whose vectors are pinned is served only where it gives them."""

import asyncio
import shutil

import numpy as np
import pytest

from gemvec.errors import UnsupportedModel
from gemvec.models.catalogue import ALL_MINILM_L6_V2, RECORDS
from gemvec.models.local import open_embedder
from gemvec.models.pinned_vectors import PINNED_TEXTS, check_pinned_vectors, pinned_vectors
from gemvec.settings import Settings

MINILM = ALL_MINILM_L6_V2.weights_sha256
PINNED = [record for record in RECORDS if pinned_vectors(record.weights_sha256) is not None]


def test_the_default_model_has_pinned_vectors():
    assert Settings().model[0] in {record.id for record in PINNED}


@pytest.mark.parametrize("record", PINNED, ids=lambda record: record.id)
def test_pinned_vectors_have_the_models_length(record):
    vectors = pinned_vectors(record.weights_sha256)
    assert vectors.shape == (len(PINNED_TEXTS), record.native_dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_vectors_that_are_others_are_refused(precision):
    right = pinned_vectors(MINILM)
    check_pinned_vectors(MINILM, 3 * right, precision)
    for wrong in (right[::-1], right * np.linspace(0.5, 1.5, right.shape[1], dtype=np.float32), right * np.nan):
        with pytest.raises(UnsupportedModel, match="wrong vectors on this machine"):
            check_pinned_vectors(MINILM, wrong.astype(np.float32), precision)


def test_weights_of_ones_own_under_a_pinned_models_name_are_served(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "all-minilm-l6-v2")
    asyncio.run(open_embedder(Settings.load({}, model=(str(folder),), streams=1)).close())


@pytest.mark.weights
@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("record", PINNED, ids=lambda record: record.id)
def test_a_pinned_model_gives_its_vectors(record, precision):
    asyncio.run(open_embedder(Settings.load({}, model=(record.id,), precision=precision, streams=1)).close())
