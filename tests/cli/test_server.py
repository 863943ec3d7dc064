"""Which server a command asks: the one it is told, the one that runs here, or none."""

import contextlib
import json
import socket
import sys
import time
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from batch_server import batch_server
from gemvec.cli.app import run
from gemvec.cli.embedder import EmbedderChoice
from gemvec.cli.server import ServerOptions
from gemvec.server.run import serving as serve_services
from gemvec.server.services import open_services
from gemvec.settings import Settings
from scripted_server import serving


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Return the address of a server whose model `hash` computes at once."""
    with batch_server(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def gemvec(monkeypatch, capfd, tmp_path, tiny_model):
    """Run a command; returns the exit status, standard output and standard error, with white space made one space."""
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")

    def gemvec(*arguments):
        monkeypatch.setattr(sys, "argv", ["gemvec", *map(str, arguments)])
        status = run()
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return gemvec


@pytest.fixture
def running(monkeypatch, url):
    """Make the server the one that runs at this machine's usual port."""
    monkeypatch.setenv("GEMVEC_PORT", str(urlsplit(url).port))
    return url


@contextlib.contextmanager
def closed_port():
    """Give a port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def values_of(output):
    return len(json.loads(output)["embedding"])


def test_texts_are_embedded_by_the_server_that_runs_here_and_one_line_says_so(gemvec, running):
    status, out, err = gemvec("embed", "--json", "text")
    assert (status, values_of(out)) == (0, 4)
    assert err == f"Embedding with hash at {running}.\nUse --base-url local to embed in this process.\n"


def test_a_server_that_is_named_is_asked_in_silence(gemvec, url, monkeypatch):
    monkeypatch.setenv("GEMVEC_BASE_URL", url)
    status, out, err = gemvec("embed", "--json", "--model", "hash", "text")
    assert (status, values_of(out), err) == (0, 4, "")


def test_local_means_this_process_while_a_server_runs(gemvec, running, tiny_model):
    _, out, err = gemvec("embed", "--json", "--model", tiny_model, "--base-url", "local", "text")
    assert (values_of(out), err) == (32, "")


def test_a_model_that_the_running_server_lacks_is_opened_in_this_process(gemvec, running, tiny_model, monkeypatch):
    assert values_of(gemvec("embed", "--json", "--model", tiny_model, "text")[1]) == 32
    monkeypatch.setenv("GEMVEC_MODEL", str(tiny_model))
    assert values_of(gemvec("embed", "--json", "text")[1]) == 32


def test_a_name_of_the_operators_own_means_the_running_servers_model_only_if_the_weights_are_the_same(
    gemvec, running, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setenv("GEMVEC_MODEL", f"hash={tiny_model}")
    _, out, err = gemvec("embed", "--json", "text")
    assert (values_of(out), err) == (32, "")  # the server's model `hash` has 4 values
    services = open_services(Settings.load({}, model=(f"own={tiny_model}",), data_dir=tmp_path / "data"))
    with serve_services(services) as url:
        monkeypatch.setenv("GEMVEC_MODEL", f"own={tiny_model}")
        monkeypatch.setenv("GEMVEC_PORT", str(urlsplit(url).port))
        _, out, err = gemvec("embed", "--json", "text")
    assert (values_of(out), err.splitlines()[0]) == (32, f"Embedding with own at {url}.")


def test_a_command_without_a_server_knows_the_names_that_the_settings_give_models(gemvec, tiny_model, monkeypatch):
    monkeypatch.setenv("GEMVEC_MODEL", f"all-minilm-l6-v2,own={tiny_model}")
    assert values_of(gemvec("embed", "--json", "--model", "own", "--base-url", "local", "text")[1]) == 32


@pytest.mark.parametrize("option", ["--precision=exact", "--long-text=truncate"])
def test_options_of_this_process_are_kept_while_a_server_runs(gemvec, running, tiny_model, option):
    assert values_of(gemvec("embed", "--json", "--model", tiny_model, option, "text")[1]) == 32


def test_the_default_model_is_not_another_one_of_the_running_server_where_the_environment_names_it(
    gemvec, running, monkeypatch
):
    choice = EmbedderChoice(server=ServerOptions())
    assert choice.resolve(Settings.load()).model == "hash"
    monkeypatch.setenv("GEMVEC_MODEL", "all-minilm-l6-v2")
    assert choice.resolve(Settings.load()).target is None


def test_an_empty_address_is_not_given_and_one_line_says_so(gemvec, running):
    status, out, err = gemvec("embed", "--json", "--base-url", "", "text")
    assert (status, values_of(out)) == (0, 4)
    assert err.startswith(f"--base-url is empty and is ignored.\nEmbedding with hash at {running}.")


def test_another_program_at_the_port_is_left_alone(gemvec, monkeypatch, tiny_model):
    async def answer(_):
        return JSONResponse({"name": "another", "models": ["hash"]})

    with serving(Starlette(routes=[Route("/", answer)])) as url:
        monkeypatch.setenv("GEMVEC_PORT", str(urlsplit(url).port))
        _, out, err = gemvec("embed", "--json", "--model", tiny_model, "text")
    assert (values_of(out), err) == (32, "")


def test_documents_are_indexed_and_searched_through_the_running_server(gemvec, running, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.md").write_text("# A\n\nWords.\n")
    status, _, err = gemvec("index", "a.md")
    assert (status, f"Embedding with hash at {running}." in err) == (0, True)
    status, out, err = gemvec("search", "Words.", "--json")
    assert (status, json.loads(out)[0]["source"]) == (0, "a.md")
    assert f"Embedding with hash at {running}." in err


def test_batches_and_files_are_kept_by_the_running_server(gemvec, running, tmp_path):
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    status, out, err = gemvec("batch", "create", tmp_path / "lines.txt", "--wait")
    assert (status, err) == (0, f"Using gemvec at {running}. Choose another server with --base-url or --google.\n")
    assert gemvec("batch", "get", out.strip())[0] == 0
    assert gemvec("files", "list", "--json")[0] == 0


def test_a_key_for_google_is_not_sent_to_a_server_that_nobody_named(monkeypatch, gemvec):
    seen = []

    async def answer(request):
        seen.append(request.headers.get("x-goog-api-key"))
        return JSONResponse({"name": "gemvec", "models": ["hash"], "batches": [], "operations": []})

    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    with serving(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        monkeypatch.setenv("GEMVEC_PORT", str(urlsplit(url).port))
        assert gemvec("batch", "list", "--json")[0] == 0
        assert gemvec("batch", "list", "--json", "--api-key", "own")[0] == 0
    assert seen == [None, None, None, "own"]


def test_without_a_server_or_a_key_the_flags_are_named(gemvec):
    for group in ("batch", "files"):
        status, out, err = gemvec(group, "list")
        assert (status, out) == (1, "")
        assert "--base-url" in err
        assert "base_url" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--google",), "no API key for Google: set GEMINI_API_KEY, or give --api-key"),
        (("--base-url", "localhost"), "--base-url has value 'localhost': expected http://host:port"),
        (("--base-url", "http://h", "--google"), "Give either --google or --base-url, not both"),
    ],
)
@pytest.mark.parametrize("command", [("embed", "text"), ("batch", "list"), ("files", "list")])
def test_errors_name_flags_and_not_arguments_of_python(gemvec, command, arguments, said):
    status, _, err = gemvec(*command, *arguments)
    assert (status != 0, said in err, "base_url" in err) == (True, True, False)


def test_a_bad_address_in_the_environment_is_named_by_its_variable(gemvec, monkeypatch):
    monkeypatch.setenv("GEMVEC_BASE_URL", "localhost")
    assert "GEMVEC_BASE_URL has value 'localhost'" in gemvec("batch", "list")[2]


@pytest.mark.parametrize("command", [("embed", "text"), ("batch", "list"), ("files", "list")])
def test_a_refused_connection_is_said_at_once(gemvec, command):
    with closed_port() as port:
        started = time.monotonic()
        status, _, err = gemvec(*command, "--base-url", f"http://127.0.0.1:{port}")
        tries = (time.monotonic() - started) // 15  # what the client itself waits for a server to come back
    assert (status, tries) == (1, 0)
    assert f"Nothing answers at http://127.0.0.1:{port}/v1beta: Connection refused." in err


def test_a_batch_of_which_every_request_failed_ends_a_wait_with_a_status(gemvec, running, tmp_path):
    (tmp_path / "empty.csv").write_text("text,id\n,a\n,b\n")
    status, _, err = gemvec("batch", "create", tmp_path / "empty.csv", "--wait")
    assert (status, "Every request failed" in err) == (1, True)


def test_a_list_that_leaves_some_out_says_so(gemvec, running, tmp_path):
    (tmp_path / "lines.txt").write_text("one\n")
    for _ in range(2):
        gemvec("batch", "create", tmp_path / "lines.txt")
        gemvec("files", "upload", tmp_path / "lines.txt")
    for group in ("batch", "files"):
        _, out, err = gemvec(group, "list", "--limit", "1", "--json")
        assert (len(json.loads(out)), "There are more; show them with --limit." in err) == (1, True)


def test_tables_keep_what_identifies_a_row_in_eighty_columns(gemvec, running, tmp_path):
    (tmp_path / "lines.txt").write_text("one\n")
    name = "a name for people that is far too long for any table of eighty columns, and yet is what they gave"
    _, batch, _ = gemvec("batch", "create", tmp_path / "lines.txt", "--display-name", name, "--wait")
    _, file, _ = gemvec("files", "upload", tmp_path / "lines.txt", "--display-name", name)
    for group, resource in (("batch", batch.strip()), ("files", file.strip())):
        _, out, _ = gemvec(group, "list", "--limit", "1")
        assert out.startswith(f"{resource}\n  name: ")
        assert f" name: {name}; " in " ".join(out.split())
        assert "…" not in out
        assert max(map(len, out.splitlines())) <= 80


def test_a_list_of_nothing_says_so(gemvec, tmp_path):
    with batch_server(tmp_path / "data") as url:
        for group, words in (("batch", "There are no batches."), ("files", "There are no files.")):
            assert gemvec(group, "list", "--base-url", url)[:2] == (0, words + "\n")
            assert json.loads(gemvec(group, "list", "--base-url", url, "--json")[1]) == []


def test_a_table_that_fits_has_one_line_for_each_row(gemvec, running, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "lines.txt").write_text("one\n")
    _, file, _ = gemvec("files", "upload", tmp_path / "lines.txt")
    heading, row = gemvec("files", "list", "--limit", "1")[1].splitlines()
    assert heading.split()[:2] == ["file", "name"]
    assert row.split()[:2] == [file.strip(), "lines.txt"]
