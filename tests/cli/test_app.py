"""The `gemvec` process: it starts with what its command needs, and ends at once but in order."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gemvec.cli import app

FULL = Path("/dev/full")


def start(*arguments, before=""):
    program = f"import sys; sys.argv = ['gemvec', *{arguments!r}]\n{before}\nfrom gemvec.cli import main\nmain()"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


SHOW_MODULES_AT_THE_END = """
import gemvec.cli.app as app, atexit
run = app.run
def run_and_tell():
    atexit.register(lambda: print(*sys.modules, flush=False))
    return run()
app.run = run_and_tell
"""


def test_a_command_loads_no_other_command_and_what_it_registers_at_exit_is_called():
    outcome = start("search", "--uri", "./none.db", "question", before=SHOW_MODULES_AT_THE_END)
    modules = outcome.stdout.split()
    assert {"gemvec.cli.search", "gemvec.milvus"} <= set(modules)
    assert not {"gemvec.cli.index", "gemvec.cli.serve", "gemvec.evaluation.measurement", "gemvec.client.remote"} & set(
        modules
    )
    assert outcome.returncode == 1
    assert "does not exist" in outcome.stderr


def test_all_commands_are_in_the_help():
    outcome = start("--help")
    assert outcome.returncode == 0
    assert all(f" {name} " in outcome.stdout for name in ("demo", "search", "import", "batch", "cache"))


def test_a_misspelt_command_is_refused_with_the_right_one():
    outcome = start("sserch")
    assert outcome.returncode == 2
    assert "search" in outcome.stderr


def test_a_reader_that_leaves_early_gets_no_traceback():
    command = [sys.executable, "-c", "from gemvec.cli import main; main()", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode != 0


def test_letters_that_an_output_does_not_take_are_shown_by_number():
    arguments = ["search", "\u6771", "--uri", "\u6771.db"]
    code = f"import sys; sys.argv = ['gemvec', *{arguments}]; from gemvec.cli import main; main()"
    environ = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ)
    assert r"the Milvus Lite file \u6771.db does not exist" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("arguments", [("--help",), ("models", "list"), ("models", "list", "--json")])
def test_an_output_that_is_full_gets_an_error_and_no_traceback(arguments):
    command = [sys.executable, "-c", "from gemvec.cli import main; main()", *arguments]
    with FULL.open("w") as full:
        outcome = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert outcome.returncode == 1
    assert outcome.stderr == "error: There is no space left to write to.\n"


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_may_not_be_used_gets_an_error_and_no_traceback(monkeypatch, capsys, reason):
    def list_all(self):
        raise OSError(reason, os.strerror(reason), str(self))

    monkeypatch.setattr(Path, "is_dir", list_all)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", "/others/cache")
    monkeypatch.setattr(sys, "argv", ["gemvec", "embed", "text", "--model", "wordllama-256"])
    assert app.run() == 1
    assert capsys.readouterr().err.endswith(f"cannot be used: {os.strerror(reason)}.\n")
