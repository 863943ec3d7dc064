"""`gemvec keys`: what a person and a script see."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from gemvec.cli.keys import app
from gemvec.errors import BadSetting, InvalidRequest, NotFound
from gemvec.server.auth import require_keys
from gemvec.server.key_limits import KEY_LIMITS
from gemvec.settings import Settings, flag_name
from gemvec.storage.database import database_of, open_database
from gemvec.storage.timestamps import utc_now
from gemvec.storage.usage import Usage, add_usage

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


@pytest.mark.parametrize("value", [str(2**63), "0", "many", "1.5", ""])
@pytest.mark.parametrize("verb", ["create", "set"])
def test_what_cannot_be_a_limit_is_a_wrong_use_of_its_flag(tmp_path, verb, value):
    done = runner.invoke(app, [verb, "x", f"--requests-per-minute={value}", "--data-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "--requests-per-minute" in done.output
    said = " ".join(done.output.replace("│", " ").split())
    bounds = f"of at most {2**63 - 1}" if value == str(2**63) else "of at least 1"
    assert f"{value!r} is not a whole number {bounds}, nor the word default" in said


def test_aliases_of_a_key_are_shown_replaced_and_taken_away(tmp_path):
    aliases = ["--alias", "small=tiny", "--alias", "gemini-embedding-001=models/tiny"]
    made = json.loads(invoke(tmp_path, "create", "ci", *aliases, "--json").stdout)
    assert made["aliases"] == {"small": "tiny", "gemini-embedding-001": "tiny"}
    assert "small=tiny" in invoke(tmp_path, "show", "ci").stdout
    assert json.loads(invoke(tmp_path, "set", "ci", "--weight=2", "--json").stdout)["aliases"] == made["aliases"]
    changed = invoke(tmp_path, "set", "ci", "--alias", "large=huge", "--json").stdout
    assert json.loads(changed)["aliases"] == {"large": "huge"}
    assert json.loads(invoke(tmp_path, "set", "ci", "--alias", "none", "--json").stdout)["aliases"] == {}
    with pytest.raises(BadSetting, match="expected NAME=MODEL"):
        invoke(tmp_path, "set", "ci", "--alias", "large")


def test_a_weight_of_more_than_a_hundred_is_a_wrong_use_of_its_flag(tmp_path):
    assert runner.invoke(app, ["create", "x", "--weight=101", "--data-dir", str(tmp_path)]).exit_code == 2


def test_every_limit_has_a_flag_and_can_be_the_servers_again(tmp_path):
    flags = [f"{flag_name(name)}={number}" for number, name in enumerate(KEY_LIMITS, 1)]
    made = json.loads(invoke(tmp_path, "create", "ci", *flags, "--json").stdout)
    names = ["requestsPerMinute", "tokensPerMinute", "requestsPerDay", "tokensPerDay"]
    names += ["maxOpenUploads", "maxOpenBatches", "maxStoredBytes", "maxPriority", "weight"]
    assert [made[name] for name in names] == list(range(1, 10))
    changed = json.loads(
        invoke(tmp_path, "set", "ci", "--tokens-per-day=default", "--max-priority=-5", "--json").stdout
    )
    assert [changed[name] for name in names] == [1, 2, 3, None, 5, 6, 7, -5, 9]
    defaults = [f"{flag_name(name)}=default" for name in KEY_LIMITS]
    assert not any(json.loads(invoke(tmp_path, "set", "ci", *defaults, "--json").stdout)[name] for name in names)


def test_a_change_of_limits_names_a_limit_and_shows_what_is_then(tmp_path):
    invoke(tmp_path, "create", "ci")
    with pytest.raises(InvalidRequest, match="Name what to change, such as --requests-per-minute"):
        invoke(tmp_path, "set", "ci")
    shown = invoke(tmp_path, "set", "ci", "--max-stored-bytes", "20 GiB", "--requests-per-minute", "60").stdout
    assert shown == invoke(tmp_path, "show", "ci").stdout
    lines = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert lines["name"].strip() == "ci"
    assert lines["--max-stored-bytes"].strip() == "20GiB"
    assert lines["--requests-per-minute"].strip() == "60"
    assert lines["--max-priority"].strip() == "the server's"
    assert lines["--weight"].strip() == "1"


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
    assert ci.split() == ["ci", models[0], "60", "texts/min", expires[:10], "active"]
    assert more.split() == [models[1], "9000", "tokens/min"]
    assert anything.split() == ["open", "all", "the", "server's", "-", "active"]


@pytest.mark.parametrize(
    ("arguments", "kind"), [(["create", "taken"], InvalidRequest), (["revoke", "unknown"], NotFound)]
)
def test_a_name_that_cannot_be_is_named(tmp_path, arguments, kind):
    folder = ["--data-dir", str(tmp_path)]
    runner.invoke(app, ["create", "taken", *folder])
    done = runner.invoke(app, [*arguments, *folder])
    assert isinstance(done.exception, kind)
    assert arguments[1] in done.exception.message


def invoke(tmp_path, *arguments):
    return runner.invoke(app, [*arguments, "--data-dir", str(tmp_path)], catch_exceptions=False)


def test_a_rotated_key_is_another_key_of_the_same_name(tmp_path):
    made = json.loads(invoke(tmp_path, "create", "ci", "--admin", "--json").stdout)
    rotated = json.loads(invoke(tmp_path, "rotate", "ci", "--overlap", "1d", "--json").stdout)
    assert rotated["key"] != made["key"]
    assert {**rotated, "key": ""} == {**made, "key": ""}
    assert rotated["role"] == "admin"
    assert invoke(tmp_path, "rotate", "ci").stdout.strip().startswith("gv-")


def test_deleting_the_last_key_says_that_none_is_needed_now(tmp_path):
    invoke(tmp_path, "create", "ci")
    invoke(tmp_path, "create", "laptop")
    first, last = invoke(tmp_path, "delete", "ci"), invoke(tmp_path, "delete", "laptop")
    assert first.stdout == "ci is deleted. Its files and batches are removed by the server.\n"
    assert first.stderr == ""
    assert "No key is left" in last.stderr
    assert json.loads(invoke(tmp_path, "list", "--json").stdout) == []


def test_the_use_of_every_key_is_shown_also_of_those_in_the_settings(tmp_path):
    made = json.loads(invoke(tmp_path, "create", "ci", "--json").stdout)
    invoke(tmp_path, "create", "idle")
    database = open_database(database_of(Settings(data_dir=tmp_path)))
    with database.write() as connection:
        for owner in (made["id"], "0123456789abcdef"):
            for _ in range(2):
                add_usage(connection, owner, Usage(calls=1, texts=600, tokens=7, last_used_at=utc_now()))
    database.close()
    shown = json.loads(invoke(tmp_path, "usage", "--json").stdout)
    assert [(each["name"], each["calls"], each["texts"], each["tokens"]) for each in shown] == [
        ("ci", 2, 1200, 14),
        ("idle", 0, 0, 0),
        (None, 2, 1200, 14),
    ]
    assert shown[1]["lastUsedAt"] is None
    assert "1,200" in invoke(tmp_path, "usage", "ci").stdout
    assert len(invoke(tmp_path, "usage").stdout.splitlines()) == 4


def test_the_use_of_each_day_is_shown_by_name_and_survives_a_rotation(tmp_path):
    made = json.loads(invoke(tmp_path, "create", "ci", "--json").stdout)
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    database = open_database(database_of(Settings(data_dir=tmp_path)))
    with database.write() as connection:
        for owner in (made["id"], "0123456789abcdef"):
            for hours in (0, 13):
                used = Usage(calls=1, texts=600, tokens=7000, last_used_at=moment + timedelta(hours=hours))
                add_usage(connection, owner, used)
    database.close()
    invoke(tmp_path, "rotate", "ci")
    shown = json.loads(invoke(tmp_path, "usage", "ci", "--by", "day", "--json").stdout)
    counts = {"calls": 1, "texts": 600, "tokens": 7000}
    days = [{"name": "ci", "id": made["id"], "day": f"2026-01-0{day}", **counts} for day in (1, 2)]
    assert shown == days
    everybody = json.loads(invoke(tmp_path, "usage", "--by", "day", "--json").stdout)
    assert [(each["day"], each["name"] is None) for each in everybody].count(("2026-01-02", True)) == 1
    assert invoke(tmp_path, "usage", "ci", "--by", "day").stdout.splitlines()[1].split() == [
        *("2026-01-01", "ci", "1", "600", "7,000")
    ]
    invoke(tmp_path, "delete", "ci")
    assert len(json.loads(invoke(tmp_path, "usage", "--by", "day", "--json").stdout)) == 2


def test_a_key_works_at_the_server_of_the_same_folder(tmp_path):
    runner.invoke(app, ["create", "laptop", "--data-dir", str(tmp_path)])
    require_keys(Settings(host="0.0.0.0", data_dir=tmp_path))


@pytest.mark.parametrize("verb", ["list", "usage"])
def test_where_there_are_no_keys_it_is_said_how_to_make_one(tmp_path, verb):
    done = runner.invoke(app, [verb, "--data-dir", str(tmp_path)])
    assert done.stdout == "There are no keys. gemvec keys create NAME makes one.\n"
    assert json.loads(runner.invoke(app, [verb, "--json", "--data-dir", str(tmp_path)]).stdout) == []
