"""`gemvec models`: what a person and a script see."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from gemvec.cli.models import app
from gemvec.errors import ChecksumMismatch, ModelNotFound
from hub_server import serving

runner = CliRunner()


@pytest.fixture
def hub(tiny_model, monkeypatch):
    with serving(tiny_model) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path))
    return tmp_path


def run(*arguments):
    return runner.invoke(app, arguments)


def listed():
    return {row["name"]: row for row in json.loads(run("list", "--json").stdout)}


def test_the_list_names_every_model_and_whether_it_is_here(cache):
    assert listed()["all-minilm-l6-v2"]["folder"] is None
    shown = run("list")
    assert shown.exit_code == 0
    assert "all-minilm-l6-v2" in shown.stdout


def test_the_list_fits_a_screen_with_what_a_newcomer_chooses_by(cache, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    header, *lines = run("list").stdout.splitlines()
    assert header.split() == ["model", "languages", "values", "window", "MB", "speed", "licence", "good", "for"]
    assert len(lines) < 24
    assert all(len(line) <= 80 for line in lines)
    (small,) = (line for line in lines if "multilingual-e5-small-q4" in line)
    assert small.split() == ["multilingual-e5-small-q4", "about", "100", "384", "512", "89", "fast", "MIT", "languages"]
    sizes = {line.split()[0]: line.split()[-4] for line in lines if "bge" in line or "e5-" in line}
    assert "-" not in sizes.values()


def test_a_fetched_hub_model_is_listed_by_the_name_that_finds_it(hub, cache):
    fetched = run("fetch", "acme/tiny")
    assert fetched.exit_code == 0
    assert fetched.stdout == f"tiny  {cache / 'models' / 'acme--tiny'}\n"
    assert listed()["acme/tiny"]["folder"] == str(cache / "models" / "acme--tiny")
    assert listed()["acme/tiny"]["nativeDim"] == 32


def test_path_prints_the_folder_alone(hub, cache):
    assert run("path", "acme/tiny").stdout == f"{cache / 'models' / 'acme--tiny'}\n"
    assert json.loads(run("path", "acme/tiny", "--json").stdout)["folder"] == str(cache / "models" / "acme--tiny")


def test_a_spoilt_model_is_refused_until_it_is_fetched_by_force(hub, cache):
    run("fetch", "acme/tiny")
    (cache / "models" / "acme--tiny" / "tokenizer.json").write_text("spoilt")
    assert isinstance(run("fetch", "acme/tiny").exception, ChecksumMismatch)
    assert run("fetch", "--force", "acme/tiny").exit_code == 0
    assert run("path", "acme/tiny").exit_code == 0


def test_what_is_fetched_without_a_name_is_what_would_be_served(hub, cache, monkeypatch):
    monkeypatch.setenv("GEMVEC_MODEL", "acme/tiny")
    assert run("fetch").stdout.startswith("tiny  ")


def test_an_unknown_model_is_an_error(cache):
    assert isinstance(run("fetch", "no-such-model").exception, ModelNotFound)


def test_what_is_done_with_a_model_is_shown_with_the_prompt_of_each_task_type(cache):
    shown = json.loads(run("show", "intfloat/e5-small-v2", "--json").stdout)
    assert (shown["engine"], shown["pooling"], shown["modules"]) == ("network", "mean", ["Pooling"])
    assert shown["prompts"]["RETRIEVAL_DOCUMENT"] == "passage: "
    assert shown["prompts"][shown["unspecifiedTaskType"]] == "query: "


def test_the_prompts_of_a_folder_are_shown_to_people(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "tiny")
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "ask: "}}')
    shown = run("show", str(folder)).stdout
    assert "RETRIEVAL_QUERY: 'ask: '" in shown
    assert "unspecifiedTaskType: RETRIEVAL_DOCUMENT" in shown
