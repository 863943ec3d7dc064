"""The graph computes BERT: it agrees with BERT written down in numpy, whatever else is in the micro-batch."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from gemvec.errors import UnsupportedModel
from gemvec.models.graph import Inputs
from gemvec.models.networks import build_network, check_config
from gemvec.models.pooling import add_pooling
from gemvec.models.runtime import openvino
from gemvec.models.tensors import Tensors
from reference_bert import read_parts, reference_bert

# Different lengths, so that all but one text of the micro-batch are padded.
TEXTS = [[2, 7, 8, 3], [2, 9, 3], [2, *range(20, 60), 3], [2, 50, 51, 50, 3], [2]]
CONFIG = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
# The largest difference of a sum of a few dozen float32 products of numbers of size about 1.
ATOL = 2e-5


def compute(folder, pooling="mean", texts=TEXTS):
    """Return the graph's vectors of a micro-batch, in fp32; padding has an id of its own to be noticed by."""
    inputs, tensors = Inputs.add(), Tensors(folder / "model.safetensors")
    hidden = build_network(json.loads((folder / "config.json").read_text()), inputs, tensors)
    model = inputs.finish(add_pooling(hidden, inputs.attention_mask, inputs.positions, (pooling,)), "bert")
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
@pytest.mark.parametrize("padding_id", [0, 1])
def test_roberta_counts_positions_from_the_one_after_the_padding_id(folder, model_type, padding_id):
    change_config(folder, model_type=model_type, pad_token_id=padding_id)
    first = padding_id + 1
    expected = [reference_bert(*read_parts(folder), text, first_position=first).mean(0) for text in TEXTS]
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


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_norms_named_as_tensorflow_names_them_are_read(folder, tiny_model, name):
    weights, _ = read_parts(folder)
    old = {"weight": "gamma", "bias": "beta"}[name]
    renamed = {key.replace(f"LayerNorm.{name}", f"LayerNorm.{old}"): tensor for key, tensor in weights.items()}
    save_file(renamed, folder / "model.safetensors")
    np.testing.assert_array_equal(compute(folder), compute(tiny_model))


@pytest.mark.parametrize("change", [{"hidden_act": "quick_gelu"}, {"position_embedding_type": "relative_key"}])
def test_a_variant_the_graph_does_not_have_is_refused_by_field_and_value(change):
    ((field, value),) = change.items()
    with pytest.raises(UnsupportedModel, match=rf"{value}.*{field}"):
        check_config(CONFIG | change)


def test_a_network_of_no_heads_is_refused():
    with pytest.raises(UnsupportedModel, match="num_attention_heads"):
        check_config(CONFIG | {"num_attention_heads": 0})


def test_a_config_that_says_too_little_is_refused():
    with pytest.raises(UnsupportedModel, match="hidden_size"):
        check_config({"model_type": "bert"})
