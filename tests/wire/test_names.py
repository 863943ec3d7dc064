"""Resource names: `models/{id}`, `files/{id}`, `batches/{id}`, with or without their collection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import BadResourceName
from gemvec.wire.names import format_model_name, parse_model_name, parse_resource_id


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True).filter(str.isascii))
def test_a_model_name_survives_the_wire(model):
    assert parse_model_name(format_model_name(model)) == model
    assert parse_model_name(model) == model


@given(st.text())
def test_any_text_is_a_model_name_or_refused(text):
    try:
        model = parse_model_name(text)
    except BadResourceName:
        return
    assert text in {model, format_model_name(model)}


@pytest.mark.parametrize(
    "name", ["", "models/", "models/a/b", "models/models/a", "a b", "../a", ".a", "a\n", "a" * 129]
)
def test_bad_model_names_are_refused(name):
    with pytest.raises(BadResourceName, match="unexpected model name format"):
        parse_model_name(name)


@pytest.mark.parametrize("name", ["files/abc-1", "abc-1"])
def test_a_resource_id_comes_with_or_without_its_collection(name):
    assert parse_resource_id(name, "files") == "abc-1"


@pytest.mark.parametrize(
    "name", ["files/", "files/-a", "files/a-", "files/A", "batches/a", "files/a/b", "files/..", "é", "a" * 65]
)
def test_bad_resource_ids_are_refused(name):
    with pytest.raises(BadResourceName) as e:
        parse_resource_id(name, "files")
    assert e.value.field == "name"
