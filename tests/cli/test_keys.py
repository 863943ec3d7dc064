"""`gemvec keys`: what a person and a script see."""

import json

import pytest
from typer.testing import CliRunner

from gemvec.cli.keys import app
from gemvec.errors import InvalidRequest, NotFound
from gemvec.server.auth import require_keys
from gemvec.settings import Settings

runner = CliRunner()


def test_a_created_key_is_listed_until_it_is_revoked(tmp_path):
    folder = ["--data-dir", str(tmp_path)]
    made = json.loads(runner.invoke(app, ["create", "ci", "--expires-in", "30d", "--json", *folder]).stdout)
    assert made["key"].startswith("gv-")
    assert made["state"] == "active"
    runner.invoke(app, ["revoke", "ci", *folder])
    listed = json.loads(runner.invoke(app, ["list", "--json", *folder]).stdout)
    assert [(key["name"], key["state"]) for key in listed] == [("ci", "revoked")]
    assert "key" not in listed[0]


def test_a_key_alone_goes_to_standard_output(tmp_path):
    done = runner.invoke(app, ["create", "laptop", "--data-dir", str(tmp_path)])
    assert done.stdout.strip().startswith("gv-")
    assert "\n" not in done.stdout.strip()


@pytest.mark.parametrize("time", ["soon", "d", "0d", "-1d", "1.5d", "¹d", "999999999d", "9" * 30 + "w"])
def test_a_wrong_duration_is_named(tmp_path, time):
    done = runner.invoke(app, ["create", "x", f"--expires-in={time}", "--data-dir", str(tmp_path)])
    assert f"--expires-in has value {time!r}" in done.exception.message


def test_a_limit_that_no_database_holds_is_refused(tmp_path):
    done = runner.invoke(app, ["create", "x", "--requests-per-minute", str(2**63), "--data-dir", str(tmp_path)])
    assert done.exit_code == 2


@pytest.mark.parametrize("name", ["[/x]", "[red]", "  padded "])
def test_a_name_is_shown_as_it_is(tmp_path, name):
    folder = ["--data-dir", str(tmp_path)]
    made = runner.invoke(app, ["create", name, *folder])
    assert f"This is the key {name.strip()}. " in made.stderr
    assert runner.invoke(app, ["list", *folder]).stdout.splitlines()[1].split()[0] == name.strip()
    assert runner.invoke(app, ["revoke", name, *folder]).stdout == f"{name.strip()} is revoked.\n"


def test_the_limits_and_models_of_a_key_are_listed_for_people_in_eighty_columns(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folder = ["--data-dir", str(tmp_path)]
    models = ["gemini-embedding-exp-03-07", "all-minilm-l6-v2"]
    options = ["--requests-per-minute", "60", "--tokens-per-minute", "9000", "--expires-in", "30d"]
    runner.invoke(app, ["create", "ci", *options, "--model", models[0], "--model", f"models/{models[1]}", *folder])
    runner.invoke(app, ["create", "open", *folder])
    _, ci, more, anything = runner.invoke(app, ["list", *folder]).stdout.splitlines()
    expires = json.loads(runner.invoke(app, ["list", "--json", *folder]).stdout)[0]["expiresAt"]
    assert ci.split() == ["ci", models[0], "60", "9000", expires[:10], "active"]
    assert more.split() == [models[1]]
    assert anything.split() == ["open", "all", "-", "-", "-", "active"]


@pytest.mark.parametrize(
    ("arguments", "kind"), [(["create", "taken"], InvalidRequest), (["revoke", "unknown"], NotFound)]
)
def test_a_name_that_cannot_be_is_named(tmp_path, arguments, kind):
    folder = ["--data-dir", str(tmp_path)]
    runner.invoke(app, ["create", "taken", *folder])
    done = runner.invoke(app, [*arguments, *folder])
    assert isinstance(done.exception, kind)
    assert arguments[1] in done.exception.message


def test_a_key_works_at_the_server_of_the_same_folder(tmp_path):
    runner.invoke(app, ["create", "laptop", "--data-dir", str(tmp_path)])
    require_keys(Settings(host="0.0.0.0", data_dir=tmp_path))
