"""`gemvec files`: what a person and a script see."""

import json

import pytest
from typer.testing import CliRunner

from file_server import file_server
from gemvec.cli.files import app
from gemvec.errors import ApiError, KeyMissing, StorageFailure

runner = CliRunner()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with file_server(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def gemvec(url, monkeypatch):
    monkeypatch.setenv("GEMVEC_BASE_URL", url)

    def run(*arguments):
        return runner.invoke(app, [str(each) for each in arguments])

    return run


@pytest.fixture
def source(tmp_path):
    (tmp_path / "requests.jsonl").write_bytes(b'{"key": "1"}\n')
    return tmp_path / "requests.jsonl"


def test_an_uploaded_file_alone_is_named_on_standard_output(gemvec, source):
    assert gemvec("upload", source, "--name", "named").stdout == "files/named\n"


def test_a_script_reads_what_became_of_an_upload(gemvec, source):
    file = json.loads(gemvec("upload", source, "--json").stdout)
    assert (file["displayName"], file["mimeType"], file["sizeBytes"]) == ("requests.jsonl", "application/jsonl", "13")
    assert json.loads(gemvec("get", file["name"], "--json").stdout) == file
    assert file in json.loads(gemvec("list", "--json").stdout)


def test_people_see_tables(gemvec, source):
    name = gemvec("upload", source, "--display-name", "[b]mine[/b]").stdout.strip()
    listed = gemvec("list").stdout
    assert name in listed
    assert "[b]mine[/b]" in listed
    assert "sizeBytes" in gemvec("get", name).stdout


def test_a_download_goes_to_a_path_or_to_standard_output(gemvec, source, tmp_path):
    name = gemvec("upload", source).stdout.strip()
    assert json.loads(gemvec("download", name, "-o", tmp_path / "out", "--json").stdout)["sizeBytes"] == 13
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    assert gemvec("download", name, "-o", "-").stdout_bytes == source.read_bytes()


def test_a_failed_download_leaves_the_target_as_it_was(gemvec, tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    assert isinstance(gemvec("download", "files/none", "-o", tmp_path / "out").exception, ApiError)
    assert (tmp_path / "out").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_target_that_cannot_be_written_is_an_error(gemvec, source, tmp_path):
    name = gemvec("upload", source).stdout.strip()
    assert isinstance(gemvec("download", name, "-o", tmp_path / "no" / "folder").exception, StorageFailure)


def test_deleted_files_are_gone(gemvec, source):
    names = [gemvec("upload", source).stdout.strip() for _ in range(2)]
    assert gemvec("delete", *names).stdout == f"{names[0]} is deleted.\n{names[1]} is deleted.\n"
    assert isinstance(gemvec("get", names[0]).exception, ApiError)


def test_without_a_server_or_a_key_the_ways_are_named():
    assert isinstance(runner.invoke(app, ["list"]).exception, KeyMissing)


def test_a_missing_file_is_wrong_usage(gemvec, tmp_path):
    assert gemvec("upload", tmp_path / "nothing").exit_code == 2


@pytest.mark.parametrize("command", ["upload", "list", "get", "download", "delete"])
def test_every_command_shows_examples(command):
    assert f"gemvec files {command}" in runner.invoke(app, [command, "--help"]).stdout
