"""Settings: where a value comes from, how it is read, and what is refused."""

import os
import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import BadSetting
from gemvec.settings import Settings, default_variable, flag_name, parse_bytes, variable_name


@pytest.mark.parametrize("given", [{"api_key": [""]}, {"api_key": " , "}, {"model": [" "]}])
def test_a_list_of_nothing_is_not_taken_for_no_list(given):
    with pytest.raises(BadSetting, match=r"--(api-key|model) has value .*: expected at least one"):
        Settings.load({}, **given)


def test_a_flag_goes_before_a_variable_and_a_variable_before_the_default():
    environ = {"GEMVEC_PORT": "9000", "GEMVEC_COLLECTION": "theirs"}
    settings = Settings.load(environ, port=9001)
    assert (settings.port, settings.collection, settings.host) == (9001, "theirs", Settings.load({}).host)


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("7b", 7), ("2GiB", 2 * 2**30), ("1.5 MiB", 3 * 2**19), ("3k", 3000), ("1kib", 1024)]
)
def test_sizes_take_units(text, size):
    assert parse_bytes(text) == size


def test_an_empty_variable_is_one_that_is_not_set():
    environ = {variable_name(each.name): "" for each in fields(Settings)}
    assert Settings.load(environ) == Settings.load({})


def test_lists_are_separated_by_commas():
    assert Settings.load({"GEMVEC_MODEL": "one, two,"}).model == ("one", "two")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("port", "eighty", "expected a whole number"),
        ("port", "65536", "at most 65535"),
        ("port", "-1", "at least 0"),
        ("max_request_bytes", "12 parsecs", "expected a whole number"),
        ("max_request_bytes", "inf", "expected a whole number"),
        ("file_expiry_seconds", "inf", "at most"),
        ("batch_expiry_seconds", "1e300", "at most"),
        ("allow_anonymous", "perhaps", "expected true or false"),
        ("precision", "sloppy", "expected one of"),
        ("data_dir", "~nobody-of-this-name/data", "cannot be used"),
        ("client_timeout_seconds", "nan", "at least 0.1"),
        ("client_timeout_seconds", "inf", "at most"),
        ("file_expiry_seconds", "1e300", "at most"),
    ],
)
@pytest.mark.parametrize("by_flag", [True, False])
def test_a_bad_value_is_refused_by_the_name_it_was_given_under(name, value, complaint, by_flag):
    source = flag_name(name) if by_flag else variable_name(name)
    with pytest.raises(BadSetting, match=f"{source} has value '{re.escape(value)}'.*{complaint}"):
        Settings.load({} if by_flag else {source: value}, **({name: value} if by_flag else {}))


def test_an_unknown_setting_is_refused():
    with pytest.raises(BadSetting, match="prot"):
        Settings.load({}, prot=80)


def test_secrets_show_in_no_representation():
    settings = Settings.load({}, api_key="canary-one", token="canary-two", otlp_endpoint="http://canary-three")
    assert "canary" not in repr(settings)


@given(st.sampled_from([each.name for each in fields(Settings)]), st.text(max_size=8))
def test_any_text_is_taken_or_refused_with_its_variable_named(name, text):
    try:
        Settings.load({variable_name(name): text})
    except BadSetting as error:
        complaint = str(error)
    else:
        return
    assert variable_name(name) in complaint


def test_a_variable_of_a_native_library_is_set_for_a_moment_and_keeps_the_value_it_has(monkeypatch):
    monkeypatch.delenv("ONEDNN_SOMETHING", raising=False)
    with default_variable("ONEDNN_SOMETHING", "1"):
        assert os.environ["ONEDNN_SOMETHING"] == "1"
    assert "ONEDNN_SOMETHING" not in os.environ
    monkeypatch.setenv("ONEDNN_SOMETHING", "7")
    with default_variable("ONEDNN_SOMETHING", "1"):
        assert os.environ["ONEDNN_SOMETHING"] == "7"
    assert os.environ["ONEDNN_SOMETHING"] == "7"
