"""The graph computes BERT: it agrees with BERT written down in numpy, whatever else is in the micro-batch."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from gemvec.errors import UnsupportedModel
from gemvec.models.bert import build_bert, read_config
from gemvec.models.runtime import openvino
from gemvec.models.tensors import Tensors
from reference_bert import read_parts, reference_bert

# Different lengths, so that all but one text of the micro-batch are padded.
TEXTS = [[2, 7, 8, 3], [2, 9, 3], [2, *range(20, 60), 3], [2, 50, 51, 50, 3], [2]]
# The largest difference of a sum of a few dozen float32 products of numbers of size about 1.
ATOL = 2e-5


def compute(folder, pooling="mean", texts=TEXTS):
    """Return the graph's vectors of a micro-batch, in fp32; padding has an id of its own to be noticed by."""
    model = build_bert(Tensors(folder / "model.safetensors"), read_config(folder / "config.json"), pooling)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    width = max(map(len, texts)) + 2
    ids = np.array([[*text, *[99] * (width - len(text))] for text in texts], np.int32)
    return compiled([ids, np.array([len(text) for text in texts], np.int32)])[0]


@pytest.fixture
def folder(tiny_model, tmp_path):
    """A copy of the tiny model that a test may change."""
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    return tmp_path


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_mean_pooled_vectors_are_those_of_bert(tiny_model):
    expected = [reference_bert(*read_parts(tiny_model), text).mean(0) for text in TEXTS]
    np.testing.assert_allclose(compute(tiny_model), expected, atol=ATOL)


def test_cls_pooled_vectors_are_the_first_tokens(tiny_model):
    expected = [reference_bert(*read_parts(tiny_model), text)[0] for text in TEXTS]
    np.testing.assert_allclose(compute(tiny_model, "cls"), expected, atol=ATOL)


def test_a_text_has_the_same_vector_alone_as_in_company(tiny_model):
    together = compute(tiny_model)
    alone = np.concatenate([compute(tiny_model, texts=[text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=ATOL)


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "camembert"])
def test_roberta_counts_positions_from_two(folder, model_type):
    change_config(folder, model_type=model_type)
    expected = [reference_bert(*read_parts(folder), text, first_position=2).mean(0) for text in TEXTS]
    np.testing.assert_allclose(compute(folder), expected, atol=ATOL)


def test_a_network_below_a_task_head_is_found(folder, tiny_model):
    weights, _ = read_parts(folder)
    save_file({f"bert.{name}": tensor for name, tensor in weights.items()}, folder / "model.safetensors")
    np.testing.assert_array_equal(compute(folder), compute(tiny_model))


def test_weights_stored_in_half_precision_are_computed_in_full(folder, tiny_model):
    weights, config = read_parts(tiny_model)
    halves = {name: tensor.astype(np.float16) for name, tensor in weights.items()}
    save_file(halves, folder / "model.safetensors")
    expected = [reference_bert(halves, config, text).mean(0) for text in TEXTS]
    np.testing.assert_allclose(compute(folder), expected, atol=ATOL)


def test_a_missing_tensor_is_named(folder):
    weights, _ = read_parts(folder)
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"lack the tensor encoder\.layer\.1\.output\.dense\.bias"):
        compute(folder)


def test_another_architecture_is_refused_by_name(folder):
    change_config(folder, model_type="t5")
    with pytest.raises(UnsupportedModel, match="model_type 't5', expected bert, roberta"):
        read_config(folder / "config.json")


@pytest.mark.parametrize("change", [{"hidden_act": "gelu_new"}, {"position_embedding_type": "relative_key"}])
def test_a_variant_the_graph_does_not_have_is_refused(folder, change):
    change_config(folder, **change)
    with pytest.raises(UnsupportedModel, match=next(iter(change.values()))):
        read_config(folder / "config.json")


def test_a_network_of_no_heads_is_refused(folder):
    change_config(folder, num_attention_heads=0)
    with pytest.raises(UnsupportedModel, match="num_attention_heads"):
        read_config(folder / "config.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model_type": "bert"}'])
def test_a_config_that_says_too_little_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UnsupportedModel, match=r"config\.json cannot be read"):
        read_config(tmp_path / "config.json")
