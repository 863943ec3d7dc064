"""`--ray`: how it is written, and what it cannot be combined with. What it does is in tests/milvus/test_ray.py."""

import pytest
from typer.testing import CliRunner

from gemvec.cli.app import app
from gemvec.cli.ray import fill_address
from gemvec.errors import BadSetting, MissingDependency, TransportFailure

runner = CliRunner()


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nWords.\n")


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (["docs", "--ray"], ["docs", "--ray", "auto"]),
        (["--ray", "docs"], ["--ray", "auto", "docs"]),
        (["--ray", "--prune", "docs"], ["--ray", "auto", "--prune", "docs"]),
        (["--ray", "10.0.0.5:6379", "docs"], ["--ray", "10.0.0.5:6379", "docs"]),
        (["--ray", "auto", "docs"], ["--ray", "auto", "docs"]),
        (["--ray", "ray://10.0.0.5:10001", "docs"], ["--ray", "ray://10.0.0.5:10001", "docs"]),
        (["--ray", "s3://bucket/docs"], ["--ray", "auto", "s3://bucket/docs"]),
        (["--ray=10.0.0.5:6379", "docs"], ["--ray=10.0.0.5:6379", "docs"]),
        (["--", "--ray"], ["--", "--ray"]),
        (["docs"], ["docs"]),
        (["docs", "--ray", ""], ["docs", "--ray", ""]),
    ],
)
def test_an_address_may_be_left_out_wherever_the_flag_stands(given, filled):
    assert fill_address(given) == filled


def refused(*arguments):
    outcome = runner.invoke(app, arguments)
    assert outcome.exception is not None
    return outcome.exception


@pytest.mark.parametrize("command", [["index", "docs"], ["embed", "text", "--output", "vectors.npy"]])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ray", "ray://10.0.0.5:10001"], "--ray has value 'ray://10.0.0.5:10001': expected nothing or HOST:PORT"),
        (["--ray=head"], "--ray has value 'head': expected nothing or HOST:PORT"),
        (["--ray=head:71915"], "--ray has value 'head:71915': expected nothing or HOST:PORT"),
        (["--ray=head:²"], "--ray has value 'head:²': expected nothing or HOST:PORT"),
        (["--ray", "--google"], "--ray and --google exclude each other"),
        (["--ray", "--base-url", "http://127.0.0.1:1"], "--ray and --base-url exclude each other"),
        (["--ray", "--base-url", "local"], "--ray and --base-url exclude each other"),
    ],
)
def test_what_cannot_work_is_refused_by_name_before_anything_is_written(texts, tmp_path, command, flags, message):
    error = refused(*command, *flags)
    assert isinstance(error, BadSetting)
    assert error.message.startswith(message)
    assert not (tmp_path / "gemvec.db").exists()
    assert not (tmp_path / "vectors.npy").exists()


@pytest.mark.parametrize("command", [["index", "docs"], ["embed", "text"]])
@pytest.mark.parametrize("flags", [["--ray", ""], ["--ray="]])
def test_an_empty_address_is_ignored_and_said(texts, command, flags):
    outcome = runner.invoke(app, [*command, *flags, "--base-url", "http://127.0.0.1:1"])
    assert isinstance(outcome.exception, TransportFailure)
    assert outcome.stderr.splitlines() == ["--ray is empty and is ignored."]


def test_a_run_on_a_cluster_does_not_watch(texts):
    assert refused("index", "docs", "--ray", "--watch").message.startswith("--watch and --ray exclude each other")


@pytest.mark.parametrize("command", [["index", "docs"], ["embed", "text"]])
def test_without_ray_the_error_names_the_extra(texts, monkeypatch, command):
    monkeypatch.setattr("gemvec.ray.spec.find_spec", lambda name: None)
    error = refused(*command, "--ray")
    assert isinstance(error, MissingDependency)
    assert error.message.startswith("--ray needs Ray. Install it from a checkout")
    assert "[ray]" in error.message
