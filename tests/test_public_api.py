"""What may be imported from where: a name that is added, lost or renamed fails here first."""

import importlib
import inspect

import pytest

import gemvec
from gemvec.errors import GemvecError

PUBLIC = {
    "gemvec": ["GeminiEmbeddingFunction", "GemvecError", "__version__"],
    "gemvec.client": [
        "EmbedConfig",
        "GeminiEmbeddingFunction",
        "RemoteEmbedder",
        "Target",
        "Usage",
        "find_target",
        "open_target",
    ],
    "gemvec.pymilvus": ["model"],
}


@pytest.mark.parametrize("name", PUBLIC)
def test_modules_export_exactly_their_public_names(name):
    module = importlib.import_module(name)
    assert list(module.__all__) == PUBLIC[name]
    for each in PUBLIC[name]:
        assert getattr(module, each) is not None


def test_the_package_lists_its_names_before_they_are_loaded():
    assert dir(gemvec) == sorted(gemvec.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gemvec.nonsense


@pytest.mark.parametrize("name", PUBLIC["gemvec.client"])
def test_public_names_are_documented(name):
    exported = getattr(importlib.import_module("gemvec.client"), name)
    assert inspect.getdoc(exported)
    for member_name, member in inspect.getmembers(exported, inspect.isfunction):
        if not member_name.startswith("_"):
            assert inspect.getdoc(member), f"{name}.{member_name}"


def test_one_class_catches_everything():
    from gemvec import errors

    kinds = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]
    assert kinds
    assert all(issubclass(each, GemvecError) for each in kinds)
