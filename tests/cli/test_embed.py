import io
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gemvec.cli.app import run
from scripted_server import ScriptedServer, serving

TEXTS = ["one", "two words", "a third text"]


@pytest.fixture
def gemvec(monkeypatch, capfd, tiny_model, tmp_path):
    """Run `gemvec embed` with the tiny model; returns the exit status, standard output and standard error."""
    monkeypatch.setenv("GEMVEC_MODEL", str(tiny_model))
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def gemvec(*arguments, stdin=""):
        monkeypatch.setattr(sys, "argv", ["gemvec", "embed", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        status = run()
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return gemvec


def rows(output):
    return [json.loads(line) for line in output.split("\n") if line]


def test_arguments_are_shown_with_their_first_values(gemvec):
    status, out, _ = gemvec("What is [bold]life[/]?", "b " * 100)
    assert status == 0
    first, second = out.splitlines()
    assert first.startswith("What is [bold]life[/]?  [")
    assert "32 values, " in first
    assert second.startswith("b b b")
    assert len(second.partition("  [")[0]) == 40


def test_a_line_fits_into_eighty_columns(gemvec, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = gemvec("short", "a text that is much longer than there is room for in one line of this terminal")
    first, second = out.splitlines()
    assert first.startswith("short  [")
    assert second.startswith("a text that")
    assert "…  [" in second
    assert max(map(len, out.splitlines())) <= 80


def test_json_lines_hold_text_vector_and_tokens_in_order(gemvec):
    status, out, err = gemvec("--json", *TEXTS)
    assert (status, err) == (0, "")
    assert [row["text"] for row in rows(out)] == TEXTS
    for row in rows(out):
        assert len(row["embedding"]) == 32
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-4)
        assert row["tokenCount"] > 0


def test_lines_of_standard_input_are_texts(gemvec):
    _, out, _ = gemvec("--json", stdin="one\r\ntwo words\na third\u2028text\n")
    assert [row["text"] for row in rows(out)] == ["one", "two words", "a third\u2028text"]


NOTHING = "There is nothing to embed: give texts, --file, or lines on standard input."


def test_nothing_on_standard_input_is_no_output_and_needs_no_model(gemvec, monkeypatch, tmp_path):
    monkeypatch.setenv("GEMVEC_MODEL", "no-model/of-this-name")
    assert gemvec("--json", stdin="") == (0, "", NOTHING + "\n")
    (tmp_path / "empty.txt").touch()
    assert gemvec("--file", tmp_path / "empty.txt") == (0, "", NOTHING + "\n")


@pytest.mark.parametrize("stdin", ["closed", "terminal"])
def test_without_texts_it_says_what_it_needs_before_it_fetches_a_model(tmp_path, stdin):
    environment = {
        **os.environ,
        "GEMVEC_CACHE_DIR": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "COLUMNS": "80",
    }
    terminal, _ = pty.openpty()
    script = 'exec "$0" -m gemvec embed' + (" <&-" if stdin == "closed" else "")
    ended = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        check=False,
        env=environment,
        stdin=terminal,
        capture_output=True,
        text=True,
    )
    os.close(terminal)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"error: {NOTHING}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_becomes_one_array_of_float32(gemvec, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    status, out, err = gemvec("--file", tmp_path / "texts.txt", "--output", tmp_path / "vectors.npy")
    assert (status, out) == (0, "")
    assert "3 vectors" in err
    vectors = np.load(tmp_path / "vectors.npy")
    assert (vectors.shape, vectors.dtype) == ((3, 32), np.float32)


def test_a_jsonl_file_gives_texts_and_titles(gemvec, tmp_path):
    lines = [{"text": "one", "title": "T", "id": 5}, {"text": "one"}]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    status, _, _ = gemvec("-f", tmp_path / "texts.jsonl", "-o", tmp_path / "out.jsonl")
    titled, plain = rows((tmp_path / "out.jsonl").read_text())
    assert status == 0
    assert titled["tokenCount"] > plain["tokenCount"]
    assert titled["embedding"] != plain["embedding"]


def test_dimensionality_is_what_was_asked_for(gemvec):
    _, out, _ = gemvec("--json", "--dimensionality", 8, "one")
    assert len(rows(out)[0]["embedding"]) == 8


def test_gemini_names_are_served_by_the_default_model(gemvec):
    _, out, _ = gemvec("--json", "--model", "embedding-001", "one")
    assert len(rows(out)[0]["embedding"]) == 768


def test_a_dimensionality_that_a_name_does_not_give_is_refused(gemvec):
    status, out, err = gemvec("--json", "--model", "embedding-001", "--dimensionality", 5, "one")
    assert (status, out) == (1, "")
    assert "embedding-001 only has vectors of 768 values" in " ".join(err.split())
    assert gemvec("--json", "--model", "embedding-001", "--dimensionality", 768, "one")[0] == 0


def test_a_base_url_of_local_is_this_process_with_its_options(gemvec):
    text = " ".join(f"word{number}" for number in range(3_000))
    for long_text in ("windows", "truncate"):
        _, here, _ = gemvec("--json", "--long-text", long_text, text)
        _, local, _ = gemvec("--json", "--long-text", long_text, "--base-url", "local", text)
        assert local == here


def test_a_server_may_compute_the_vectors(gemvec):
    server = ScriptedServer()
    app = Starlette(routes=[Route("/{path:path}", server.answer, methods=["GET", "POST"])])
    with serving(app) as server.url:
        status, out, _ = gemvec(
            "--json", "--base-url", server.url, "--model", "gemini-embedding-001", "--task-type", "clustering", *TEXTS
        )
    assert status == 0
    assert len(rows(out)) == 3
    assert {each["taskType"] for each in server.requests} == {"CLUSTERING"}


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["one", ""], "text 2 is empty", 1),
        (["--file", "nowhere.txt"], "Cannot read nowhere.txt: No such file or directory.", 1),
        (["--task-type", "SEARCH", "one"], "no task type 'SEARCH'", 1),
        (["one", "--file", "a.txt"], "not both", 2),
        (["one", "--google", "--base-url", "http://h"], "not both", 2),
        (["one", "--dimensionality", "0"], "--dimensionality", 2),
    ],
)
def test_what_cannot_be_embedded_ends_with_a_message(gemvec, arguments, message, status):
    ended, out, err = gemvec(*arguments)
    assert ended == status
    assert out == ""
    assert message in " ".join(err.split())


@pytest.mark.parametrize("name", ["vectors.npy", "vectors.jsonl"])
def test_a_place_where_nothing_can_be_written_is_named_before_anything_is_embedded(gemvec, tmp_path, name):
    output = tmp_path / "missing" / name
    status, out, err = gemvec("--base-url", "http://127.0.0.1:9", "--output", output, "one")
    assert (status, out) == (2, "")
    assert f"--output names {output}, which cannot be written: there is no folder {output.parent}." in err


def test_an_array_that_is_not_finished_leaves_the_one_before_it(gemvec, tmp_path):
    output = tmp_path / "vectors.npy"
    assert gemvec("--output", output, "one")[0] == 0
    before = output.read_bytes()
    assert gemvec("--output", output, "--dimensionality", 5000, "one")[0] == 1
    assert output.read_bytes() == before
    assert [path.name for path in tmp_path.glob("*vectors*")] == ["vectors.npy"]


def test_a_bad_line_is_named(gemvec, tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n{"txt": "two"}\n')
    status, _, err = gemvec("--file", tmp_path / "texts.jsonl")
    assert status == 1
    assert "texts.jsonl, line 2" in err
