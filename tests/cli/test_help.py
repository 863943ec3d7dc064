"""What `--help` and a shell's completion show, read as a person reads it in a terminal of eighty columns."""

import re
import subprocess
import sys

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from gemvec.cli.app import app
from gemvec.cli.completion import TASK_TYPES
from gemvec.cli.evaluate import make_tables
from gemvec.evaluation.measurement import Measurement
from gemvec.storage.database import open_database
from gemvec.storage.lock import FolderLock

runner = CliRunner()


def walk(command, path=()):
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(app)))


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return lambda path: runner.invoke(app, [*path, "--help"]).stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_keeps_to_eighty_columns_and_cuts_nothing(shown, path):
    text = shown(path)
    before_examples = text.partition("\nExamples\n")[0]
    assert max(map(len, before_examples.splitlines())) <= 80
    assert "…" not in text
    assert "<=" not in text
    for parameter in COMMANDS[path].params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            assert all(name in text for name in (*parameter.opts, *parameter.secondary_opts))
        if help_text := getattr(parameter, "help", None):
            assert " ".join(help_text.split()) in " ".join(text.split())


def test_options_stand_by_topic(shown):
    text = shown(("serve",))
    headings = re.findall(r"(?m)^(\w[\w ]*)$", text)
    assert {"Model", "Upstream", "Address", "Callers", "For testing clients", "Files and batches"} <= set(headings)
    assert text.index("\nUpstream\n") < text.index("--upstream-texts-per-minute") < text.index("\nAddress\n")


def test_numbers_are_written_as_people_write_them(shown):
    text = " ".join(shown(("serve",)).split())
    assert "default: 172800]" in text
    assert "GEMVEC_MAX_PRIORITY; default: no limit]" in text
    assert not re.search(r"\.0\]|\d{11}", text)


def test_what_bounds_the_server_stands_under_no_topic_but_its_own(shown):
    under_options = shown(("serve",)).partition("\nOptions\n")[2].partition("\n\n")[0]
    assert re.findall(r"(?m)^  (\S+)", under_options) == ["-h,"]


def test_choices_are_shown(shown):
    assert "--precision fast|exact" in shown(("serve",))
    assert "--log-level debug|info|warning|error" in shown(("serve",))
    assert all(task_type in shown(("embed",)) for task_type in TASK_TYPES)


def test_sizes_are_shown_in_the_units_they_are_given_in(shown):
    assert "default: 20MiB]" in " ".join(shown(("serve",)).split())


def complete(*words):
    """Return what bash would offer behind `words`, of which the last one is not finished."""
    environ = {
        "_GEMVEC_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["gemvec", *words]),
        "COMP_CWORD": str(len(words)),
    }
    command = [sys.executable, "-c", "import sys; sys.argv = ['gemvec']\nfrom gemvec.cli import main; main()"]
    return subprocess.run(
        command, env=environ | {"PATH": ""}, capture_output=True, text=True, check=False
    ).stdout.split()


def test_a_shell_completes_models_task_types_and_choices():
    assert "all-minilm-l6-v2" in complete("embed", "--model", "all")
    assert "gemini-embedding-001" in complete("batch", "create", "x", "--model", "gem")
    assert complete("embed", "--task-type", "CLA") == ["CLASSIFICATION"]
    assert complete("serve", "--precision", "e") == ["exact"]


def test_a_shell_completes_the_names_of_keys(tmp_path, monkeypatch):
    from gemvec.cli.completion import complete_key
    from gemvec.server.keys import KeyStore

    monkeypatch.setenv("GEMVEC_DATA_DIR", str(tmp_path / "none"))
    assert complete_key("") == []
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("GEMVEC_DATA_DIR", str(tmp_path))
    database = open_database(tmp_path / "gemvec.sqlite3")
    for name in ("laptop", "ci"):
        KeyStore(database).create(name)
    database.close()
    assert complete_key("la") == ["laptop"]


def test_a_shell_completes_the_collections_of_a_milvus_lite_file(tmp_path):
    from pymilvus import MilvusClient

    uri = str(tmp_path / "my.db")
    client = MilvusClient(uri)
    for name in ("notes", "papers"):
        client.create_collection(f"{name}_12345678", dimension=4)
        client.create_alias(f"{name}_12345678", name)
    assert complete("search", "x", "--uri", uri, "--collection", "no") == ["notes"]
    client.close()
    assert complete("search", "x", "--uri", str(tmp_path / "none.db"), "--collection", "") == []
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("arguments", [("models", "list"), ("keys", "list"), ("cache", "stats")])
def test_tables_keep_to_eighty_columns_and_cut_nothing(monkeypatch, tmp_path, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("GEMVEC_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path))
    runner.invoke(app, ["keys", "create", "a name for a key that is longer than any other, to see what happens to it"])
    text = runner.invoke(app, arguments).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_the_error_of_a_second_server_on_a_data_folder_names_the_flag(tmp_path):
    lock = FolderLock(tmp_path)
    command = [sys.executable, "-m", "gemvec", "serve", "--port", "0", "--data-dir", str(tmp_path)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    lock.release()
    assert outcome.returncode == 1
    assert str(tmp_path) in outcome.stderr
    assert outcome.stderr.endswith("Use another folder with --data-dir.\n")


def test_measurements_keep_to_eighty_columns_and_leave_out_no_set_of_data(capsys):
    def measured(dataset, search="cosine", **scores):
        exact = {} if search == "cosine" else scores
        return Measurement(
            dataset=dataset,
            model="sentence-transformers/all-MiniLM-L6-v2",
            weights="all-minilm-l6-v2@53aa5117",
            precision="exact",
            dimensionality=384,
            search=search,
            scores=scores,
            exact=exact,
            index_recall=1.0 if exact else None,
        )

    datasets = ["STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "a set with a long name.tsv"]
    pairs = [measured(name, spearman=0.8 + place / 1000) for place, name in enumerate(datasets)]
    metrics = {"ndcg@10": 0.3123, "mrr@10": 0.5, "recall@10": 0.1, "recall@100": 0.3}
    console = Console(width=80)
    for table in make_tables([*pairs, measured("nfcorpus", "hybrid", **metrics)]):
        console.print(table)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for shown in ("80.00", "80.50", "80.60", "0.3123", "0.5000", "1.0000"):
        assert shown in text
    assert all(name[:5] in text for name in [*datasets, "nfcorpus"])
