"""A safetensors file is read without copying; one that is not whole is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save, save_file

from gemvec.errors import UnsupportedModel
from gemvec.models.tensors import Tensors

NUMBERS = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 3), st.integers(1, 4)), elements=st.floats(-9, 9, width=32)
)


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: name != "__metadata__"), NUMBERS, max_size=4))
def test_tensors_are_those_that_were_saved(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("tensors") / "model.safetensors"
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
    read = Tensors(path)
    assert set(read) == set(tensors)
    assert len(read) == len(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_half_precision_becomes_float32(path):
    save_file({"weight": np.array([1.5, -2], np.float16)}, path)
    assert Tensors(path)["weight"].dtype == np.float32
    np.testing.assert_array_equal(Tensors(path)["weight"], [1.5, -2])


def test_bfloat16_is_the_upper_half_of_a_float32(path):
    header = b'{"weight":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    bits = (np.array([1.5, -2], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bits)
    np.testing.assert_array_equal(Tensors(path)["weight"], [1.5, -2])


def test_float32_is_a_view_that_leaves_the_file_alone(path):
    save_file({"weight": np.zeros(4, np.float32)}, path)
    before = path.read_bytes()
    tensors = Tensors(path)
    tensors["weight"][:] = 1
    np.testing.assert_array_equal(tensors["weight"], np.ones(4))
    assert path.read_bytes() == before


def test_released_pages_are_read_again(path):
    save_file({"weight": np.arange(4, dtype=np.float32)}, path)
    tensors = Tensors(path)
    weight = tensors["weight"]
    tensors.release_pages()
    np.testing.assert_array_equal(weight, np.arange(4))


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b"not safetensors at all"])
def test_a_file_of_another_kind_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(UnsupportedModel, match="cannot be read as safetensors"):
        Tensors(path)


def test_a_file_cut_short_is_refused(path):
    save_file({"weight": np.zeros(100, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UnsupportedModel, match="tensor weight is incomplete"):
        Tensors(path)["weight"]


def test_whole_numbers_are_no_weights(path):
    save_file({"weight": np.zeros(4, np.int64)}, path)
    with pytest.raises(UnsupportedModel, match="dtype I64"):
        Tensors(path)["weight"]
