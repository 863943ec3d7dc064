"""The encoder gives the right vectors in both precisions, on every stream, and OpenVINO keeps quiet."""

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from gemvec.errors import UnsupportedModel
from gemvec.models.engines import engine_of, warm_up
from gemvec.models.pipeline import Pipeline
from gemvec.models.runtime import openvino, opset
from gemvec.models.weights import load_model
from gemvec.settings import Settings

TEXTS = [[2, 7, 8, 3], [2, 9, 3], [2, *range(20, 60), 3], [2, 50, 51, 50, 3]]


def open_encoder(model, *, precision, streams):
    return open_and_warm_up(model, precision=precision, streams=streams)[0]


def open_and_warm_up(model, *, precision, streams):
    """Return an encoder, and what its first micro-batch gave for TEXTS."""
    settings = Settings.load({}, precision=precision, streams=streams)
    encoder = engine_of(model.record).open(model.record, model.folder, settings)
    return encoder, warm_up(encoder, model.record, model.folder, TEXTS)


@pytest.fixture(scope="module", params=["exact", "fast"])
def encoder(request, tiny_model, tmp_path_factory):
    model = load_model(str(tiny_model), tmp_path_factory.mktemp("cache"))
    encoder = open_encoder(model, precision=request.param, streams=2)
    yield encoder
    encoder.close()


def cosines(one, other):
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_vectors_are_float32_of_the_native_dimensionality(encoder):
    vectors = encoder.encode(TEXTS, 0)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), encoder.native_dim) == (4, 32)


def test_the_first_micro_batch_gives_the_vectors_of_every_other_one(tiny_model, tmp_path):
    encoder, vectors = open_and_warm_up(load_model(str(tiny_model), tmp_path), precision="exact", streams=2)
    for stream in (0, 1):
        np.testing.assert_array_equal(vectors, encoder.encode(TEXTS, stream))


def test_an_answer_is_not_overwritten_by_the_next_one(encoder):
    first = encoder.encode(TEXTS, 0)
    kept = first.copy()
    encoder.encode(TEXTS[::-1], 0)
    np.testing.assert_array_equal(first, kept)


def test_streams_compute_at_the_same_time_and_alike(encoder):
    expected = encoder.encode(TEXTS, 0)
    answers = {0: [], 1: []}

    def work(stream):
        answers[stream].extend(encoder.encode(TEXTS, stream) for _ in range(20))

    threads = [threading.Thread(target=work, args=(stream,)) for stream in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for vectors in answers[0] + answers[1]:
        np.testing.assert_array_equal(vectors, expected)


def test_a_text_fills_the_window_exactly(encoder):
    assert np.isfinite(encoder.encode([[2] * 64, [2]], 0)).all()


def test_fast_vectors_point_where_exact_ones_do(tiny_model, tmp_path):
    model = load_model(str(tiny_model), tmp_path)
    exact, fast = (
        open_encoder(model, precision=precision, streams=1).encode(TEXTS, 0) for precision in ("exact", "fast")
    )
    assert cosines(exact, fast).min() >= 0.9998


def test_attention_is_computed_by_kernels_that_exist_not_by_generated_ones(tiny_model, tmp_path, monkeypatch):
    compile_model, compiled = openvino.Core.compile_model, []

    def compile_and_keep(*args):
        compiled.append(compile_model(*args))
        return compiled[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", compile_and_keep)
    open_encoder(load_model(str(tiny_model), tmp_path), precision="exact", streams=1)
    operations = compiled[0].get_runtime_model().get_ops()
    kinds = {operation.get_rt_info()["layerType"].value for operation in operations}
    assert "Softmax" in kinds
    assert "Subgraph" not in kinds


def test_vectors_of_another_length_than_recorded_are_refused(tiny_model, tmp_path):
    model = load_model(str(tiny_model), tmp_path)
    model = replace(model, record=replace(model.record, native_dim=16))
    with pytest.raises(UnsupportedModel, match="gives vectors of 32 values, expected 16"):
        Pipeline(model, Settings(precision="exact", streams=1))


def test_weights_that_do_not_fit_their_config_are_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 16}))
    with pytest.raises(UnsupportedModel, match="cannot be run"):
        open_encoder(load_model(str(folder), tmp_path), precision="exact", streams=1)


def test_a_network_whose_streams_do_not_agree_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    ids = opset.parameter([-1, -1], np.int64, name="input_ids")
    shape = opset.concat([opset.shape_of(ids), opset.constant(np.array([32]))], 0)
    noise = opset.random_uniform(shape, opset.constant(0.0, np.float32), opset.constant(1.0, np.float32), "f32")
    noise.output(0).set_names({"last_hidden_state"})
    openvino.save_model(openvino.Model([noise], [ids], "noise"), folder / "openvino_model.xml")
    with pytest.raises(UnsupportedModel, match="different vectors for the same texts on each stream"):
        open_encoder(load_model(str(folder), tmp_path), precision="exact", streams=2)


def test_a_graph_that_sees_padding_gives_a_text_the_same_vector_in_any_company(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    ids = opset.parameter([-1, -1], np.int64, name="input_ids")
    numbers = opset.convert(ids, "f32")
    padding = opset.reduce_sum(opset.convert(opset.equal(ids, np.int64(0)), "f32"), np.array([1]), keep_dims=True)
    seen = opset.add(opset.multiply(numbers, np.float32(0)), padding)
    vectors = opset.concat([opset.unsqueeze(each, np.int64(2)) for each in (numbers, seen)], 2)
    vectors.output(0).set_names({"last_hidden_state"})
    openvino.save_model(openvino.Model([vectors], [ids], "x"), folder / "openvino_model.xml", compress_to_fp16=False)
    encoder, vectors = open_and_warm_up(load_model(str(folder), tmp_path), precision="exact", streams=1)
    together = encoder.encode(TEXTS, 0)
    np.testing.assert_array_equal(vectors, together)
    np.testing.assert_array_equal(together, [encoder.encode([text], 0)[0] for text in TEXTS])
    np.testing.assert_array_equal(together[:, 1], 0)


PROBE = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("OpenVINO tried to reach the network")

socket.socket.connect = socket.getaddrinfo = refuse
import gemvec.models.openvino
assert not any(name.startswith("openvino_telemetry") for name in sys.modules), "telemetry is loaded"
assert "openvino.tools.ovc" not in sys.modules, "the tools are loaded"
import openvino_telemetry  # what gemvec hid, others may still import
"""


def test_openvino_neither_phones_home_nor_writes_files(tmp_path):
    environ = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("CI", "TF_BUILD", "JENKINS_URL"):  # in which its telemetry is off by itself
        environ.pop(name, None)
    outcome = subprocess.run([sys.executable, "-c", PROBE], env=environ, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_openvinos_tools_are_there_for_others_when_they_are_called(tmp_path):
    probe = """
import gemvec.models.openvino, openvino
try:
    openvino.convert_model("missing.onnx")
except Exception as error:
    print(type(error).__module__, openvino.convert_model.__module__)
"""
    environ = {**os.environ, "HOME": str(tmp_path)}
    printed = subprocess.run([sys.executable, "-c", probe], env=environ, capture_output=True, text=True, check=False)
    raised_by, module = printed.stdout.split()
    assert raised_by.startswith("openvino.tools.ovc."), printed.stderr
    assert module == "openvino.tools.ovc.convert"
