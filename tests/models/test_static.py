"""A static vector is the mean of its tokens' rows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import sts
from gemvec.errors import UnsupportedModel
from gemvec.models.catalogue import find_record
from gemvec.models.static import StaticEncoder
from gemvec.models.tokenizer import load_tokenizer
from gemvec.models.weights import load_model
from gemvec.settings import cache_home

GOLDEN = Path(__file__).with_name("golden") / "static"
TABLE = np.random.default_rng(7).standard_normal((50, 8)).astype(np.float16)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "model.safetensors"
    save_file({"embedding.weight": TABLE}, path)
    return StaticEncoder(path)


@given(st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=30), min_size=1, max_size=10))
def test_a_vector_is_the_mean_of_its_rows(encoder, token_ids):
    expected = [TABLE[ids].astype(np.float64).mean(axis=0) for ids in token_ids]
    # float32 sums of up to 30 rows of size about 1
    np.testing.assert_allclose(encoder.encode(token_ids, 0), expected, atol=1e-5)


def test_vectors_are_float32_of_the_native_dimensionality(encoder):
    vectors = encoder.encode([[1], [2, 3]], 0)
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, encoder.native_dim) == (2, 8)


def test_a_file_without_a_table_is_refused(tmp_path):
    save_file({"other": TABLE}, tmp_path / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"embedding\.weight"):
        StaticEncoder(tmp_path / "model.safetensors")


def test_a_table_in_bf16_is_read(tmp_path):
    bits = (TABLE.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    entry = {"dtype": "BF16", "shape": bits.shape, "data_offsets": [0, bits.nbytes]}
    header = json.dumps({"embedding.weight": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bits.tobytes())
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(StaticEncoder(path).encode([[4], [7]], 0), expected[[4, 7]])


def test_only_tokenizer_json_says_how_the_texts_of_a_table_become_tokens(tmp_path):
    folder = shutil.copytree(GOLDEN, tmp_path / "model")
    expected = load_tokenizer(find_record(str(folder)), folder).encode(["The Dog"])
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": false}')
    assert load_tokenizer(find_record(str(folder)), folder).encode(["The Dog"]) == expected


@pytest.mark.weights
@pytest.mark.parametrize(("year", "published"), [(2013, 74.4), (2014, 69.5)])
def test_wordllama_reaches_its_scores_on_semantic_similarity(year, published):
    loaded = load_model("wordllama-256", cache_home())
    tokenizer = load_tokenizer(loaded.record, loaded.folder)
    encoder = StaticEncoder(loaded.weights_file)
    score = sts.score(lambda texts: encoder.encode(tokenizer.encode(texts), 0), year)
    assert score == pytest.approx(published, abs=0.05)
