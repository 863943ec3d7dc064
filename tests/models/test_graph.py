"""A ready-made graph is run as it is: fed from ids and counts, pooled where it gives token vectors."""

import numpy as np
import pytest

from gemvec.errors import InvalidRequest, UnsupportedModel
from gemvec.models.graph import Inputs, read_graph
from gemvec.models.modules import CLS_POOLING, MEAN_POOLING, Normalize
from gemvec.models.record import ModelRecord
from gemvec.models.runtime import openvino, opset
from gemvec.models.text_graph import read_text_graph, read_token_graph

TABLE = np.random.default_rng(3).standard_normal((100, 8)).astype(np.float32)
TEXTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]
MEANS = [TABLE[text].mean(0) for text in TEXTS]
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


def token_vectors(names=INPUTS, dtype=np.int64):
    """Return parameters and a node float32[rows, tokens, 8]: table rows times the mask, plus type and position."""
    inputs = {name: opset.parameter([-1, -1], dtype, name=name) for name in names}
    for name, parameter in inputs.items():
        parameter.output(0).set_names({name})
    vectors = opset.gather(opset.constant(TABLE), inputs["input_ids"], np.int64(0))
    if "attention_mask" in inputs:
        vectors = opset.multiply(vectors, as_column(inputs["attention_mask"]))
    if "token_type_ids" in inputs:
        vectors = opset.add(vectors, as_column(inputs["token_type_ids"]))
    if "position_ids" in inputs:
        vectors = opset.add(vectors, as_column(inputs["position_ids"]))
    return list(inputs.values()), vectors


def as_column(parameter):
    return opset.unsqueeze(opset.convert(parameter, "f32"), np.int64(2))


def save(path, outputs, parameters):
    for name, output in outputs.items():
        output.output(0).set_names({name})
    openvino.save_model(openvino.Model(list(outputs.values()), parameters, "net"), path, compress_to_fp16=False)
    return path


def read(path, *modules):
    """Return the whole graph of a file, with the modules that the folder names."""
    return read_text_graph(ModelRecord(id="m", sources=(), weights_path=path.name, modules=modules), path.parent)


def read_tokens(path):
    """Return the graph of a file up to its token vectors."""
    return read_token_graph(ModelRecord(id="m", sources=(), weights_path=path.name), path.parent)


def compute(path, *modules):
    return run(read(path, *(modules or (MEAN_POOLING,))))


def run(graph):
    compiled = openvino.Core().compile_model(graph.model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    width = max(map(len, TEXTS))
    ids = np.array([[*text, *[99] * (width - len(text))] for text in TEXTS], np.int32)
    return compiled([ids, np.array([len(text) for text in TEXTS], np.int32)])[0]


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_every_input_of_an_encoder_is_fed_in_the_type_it_wants(tmp_path, dtype):
    parameters, vectors = token_vectors(dtype=dtype)
    path = save(tmp_path / "model.xml", {"last_hidden_state": vectors}, parameters)
    expected = [mean + np.arange(len(text)).mean() for mean, text in zip(MEANS, TEXTS, strict=True)]
    np.testing.assert_allclose(compute(path), expected, atol=1e-5)


def test_token_vectors_are_pooled_as_the_record_says(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    path = save(tmp_path / "model.xml", {"last_hidden_state": vectors}, parameters)
    np.testing.assert_allclose(compute(path, MEAN_POOLING), MEANS, atol=1e-6)
    np.testing.assert_array_equal(compute(path, CLS_POOLING), [TABLE[text[0]] for text in TEXTS])


def test_vectors_of_half_precision_are_pooled_in_full(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    halves = opset.convert(vectors, "f16")
    path = save(tmp_path / "model.xml", {"last_hidden_state": halves}, parameters)
    np.testing.assert_allclose(compute(path), MEANS, atol=2e-3)  # float16 has 11 bits
    named = save(
        tmp_path / "named.xml", {"x": halves, "sentence_embedding": opset.reduce_max(halves, np.int64(1))}, parameters
    )
    assert compute(named).dtype == np.float32


def test_a_text_vector_made_inside_is_taken_by_its_name(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    inside = opset.reduce_max(vectors, np.int64(1))
    path = save(tmp_path / "model.xml", {"token_embeddings": vectors, "sentence_embedding": inside}, parameters)
    for modules in ((), (MEAN_POOLING, Normalize())):
        graph = read(path, *modules)
        assert graph.model.output(0).get_partial_shape().rank.get_length() == 2
        np.testing.assert_array_equal(compute(path, *modules)[1], np.maximum(TABLE[8], TABLE[99]))


@pytest.mark.parametrize("names", [["last_hidden_state"], ["token_embeddings", "sentence_embedding"]])
def test_the_vectors_of_single_tokens_are_those_that_a_graph_returns(tmp_path, names):
    parameters, vectors = token_vectors(["input_ids"])
    outputs = dict(zip(names, [vectors, opset.reduce_max(vectors, np.int64(1))], strict=False))
    graph = read_tokens(save(tmp_path / "model.xml", outputs, parameters))
    assert not graph.is_pooled
    for found, text in zip(run(graph), TEXTS, strict=True):
        np.testing.assert_array_equal(found[: len(text)], TABLE[text])


def test_a_graph_that_returns_only_text_vectors_has_none_of_single_tokens(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    inside = opset.reduce_max(vectors, np.int64(1))
    path = save(tmp_path / "model.xml", {"sentence_embedding": inside}, parameters)
    with pytest.raises(InvalidRequest, match="one vector for a text"):
        read_tokens(path)


def test_the_pooler_output_is_no_text_vector(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    pooler = opset.reduce_max(vectors, np.int64(1))
    path = save(tmp_path / "model.xml", {"last_hidden_state": vectors, "pooler_output": pooler}, parameters)
    np.testing.assert_allclose(compute(path), MEANS, atol=1e-6)


def test_a_graph_with_one_vector_a_text_needs_no_name(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    path = save(tmp_path / "model.xml", {"output": opset.reduce_max(vectors, np.int64(1))}, parameters)
    assert compute(path).shape == (3, 8)


@pytest.mark.parametrize("name", ["logits", "pooler_output", "scores"])
def test_scores_and_pooled_outputs_are_not_taken_for_text_vectors(tmp_path, name):
    parameters, vectors = token_vectors(["input_ids"])
    path = save(tmp_path / "model.xml", {name: opset.reduce_max(vectors, np.int64(1))}, parameters)
    with pytest.raises(UnsupportedModel, match=f"neither text vectors nor token vectors.*{name}"):
        read(path, MEAN_POOLING)


def test_of_several_outputs_of_tokens_the_last_layer_is_taken_by_its_name(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    outputs = {"hidden_states.0": opset.multiply(vectors, np.float32(2)), "last_hidden_state": vectors}
    np.testing.assert_allclose(compute(save(tmp_path / "model.xml", outputs, parameters)), MEANS, atol=1e-6)


def test_token_vectors_that_nothing_says_how_to_pool_are_refused(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    path = save(tmp_path / "model.xml", {"last_hidden_state": vectors}, parameters)
    with pytest.raises(UnsupportedModel, match="nothing says how to pool them"):
        read(path)


def test_a_graph_without_an_attention_mask_says_that_it_sees_padding(tmp_path):
    for names, masks in ((["input_ids"], False), (["input_ids", "attention_mask"], True)):
        parameters, vectors = token_vectors(names)
        path = save(tmp_path / "model.xml", {"last_hidden_state": vectors}, parameters)
        assert read_graph(path, Inputs.add()).masks_padding is masks


def test_an_input_that_is_not_an_encoders_is_named(tmp_path):
    parameters, vectors = token_vectors(["input_ids"])
    pixels = opset.parameter([-1, -1], np.float32, name="pixels")
    pixels.output(0).set_names({"pixel_values"})
    path = save(
        tmp_path / "model.xml", {"out": opset.add(vectors, opset.unsqueeze(pixels, np.int64(2)))}, [*parameters, pixels]
    )
    with pytest.raises(UnsupportedModel, match="input 'pixel"):
        read(path)


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\0\1\2")
    with pytest.raises(UnsupportedModel, match=r"model\.onnx cannot be read as a graph"):
        read(tmp_path / "model.onnx")


def test_an_onnx_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_gather())
    np.testing.assert_allclose(compute(path), MEANS, atol=1e-6)


def onnx_gather():
    """Return an ONNX file of one node: last_hidden_state = Gather(table, input_ids). Source: onnx.proto's numbers."""

    def number(tag, value):
        return varint(tag << 3) + varint(value)

    def field(tag, content):
        content = content.encode() if isinstance(content, str) else content
        return varint(tag << 3 | 2) + varint(len(content)) + content

    def varint(value):
        head = [value & 0x7F | (0x80 if value > 0x7F else 0)]
        return bytes(head) + (varint(value >> 7) if value > 0x7F else b"")

    def value_info(name, dtype, axes):
        shape = b"".join(field(1, field(2, axis)) for axis in axes)
        return field(1, name) + field(2, field(1, number(1, dtype) + field(2, shape)))

    float32, int64 = 1, 7
    node = field(1, "table") + field(1, "input_ids") + field(2, "last_hidden_state") + field(4, "Gather")
    table = number(1, TABLE.shape[0]) + number(1, TABLE.shape[1]) + number(2, float32) + field(8, "table")
    table += field(9, TABLE.tobytes())
    graph = field(1, node) + field(2, "net") + field(5, table)
    graph += field(11, value_info("input_ids", int64, ["rows", "tokens"]))
    graph += field(12, value_info("last_hidden_state", float32, ["rows", "tokens", "dims"]))
    return number(1, 8) + field(7, graph) + field(8, number(2, 17))
