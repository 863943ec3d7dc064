"""`gemvec eval`: what a person and a script see, with a tiny real model."""

import json

import pytest
from typer.testing import CliRunner

from gemvec.cli.app import app


@pytest.fixture
def run(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=str(tiny_model)):
        chosen = ["--model", model] if model else []
        return CliRunner().invoke(app, ["eval", *arguments, *chosen, "--cache-dir", str(tmp_path / "cache")])

    return run


@pytest.fixture
def sts(tmp_path):
    path = tmp_path / "2013.mine.tsv"
    path.write_text("5\ta cat\ta cat\n3\ta cat\ta dog\n0\ta cat\tthe stock market fell\n")
    return path.name


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    texts = {"d1": "a cat purrs", "d2": "a dog barks", "d3": "the market fell"}
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": key, "title": "", "text": text}) + "\n" for key, text in texts.items())
    )
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "cat purrs"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    return folder.name


def test_every_dimensionality_precision_and_search_is_measured(run, sts, beir):
    arguments = ["--dimensions", "32", "--dimensions", "8", "--precision", "fast", "--precision", "exact", "--hybrid"]
    outcome = run(sts, beir, *arguments, "--json")
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert [(each["dataset"], each["precision"], each["dimensionality"], each["search"]) for each in found] == [
        *(("STS13", precision, dims, "cosine") for precision in ("fast", "exact") for dims in (32, 8)),
        *(
            ("animals", precision, dims, search)
            for precision in ("fast", "exact")
            for dims in (32, 8)
            for search in ("dense", "hybrid")
        ),
    ]
    assert all(set(each["scores"]) == set(each["exact"]) for each in found if each["dataset"] == "animals")


def test_people_get_tables_and_a_report(run, sts, beir, tmp_path):
    outcome = run(sts, beir, "--html", "report.html", "--recall-at", "3")
    assert outcome.exit_code == 0, outcome.output
    for text in ("Spearman's correlation x 100", "STS13", "animals", "recall@3", "exact search", "index recall"):
        assert text in outcome.stdout
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert "Report: report.html" in outcome.stderr


def test_exact_search_alone_has_one_row_and_no_index(run, beir):
    outcome = run(beir, "--exact-search")
    assert outcome.exit_code == 0, outcome.output
    assert "ndcg@10" in outcome.stdout
    assert "· exact" in outcome.stdout
    assert "index recall" not in outcome.stdout


def test_translations_have_a_table_for_each_direction(run, tmp_path):
    for name, text in {"deu": "a cat\nthe market\n", "eng": "a cat\nmarket\n"}.items():
        (tmp_path / f"tatoeba.deu-eng.{name}").write_text(text)
    outcome = run("tatoeba.deu-eng.deu", "--precision", "fast")
    assert outcome.exit_code == 0, outcome.output
    first, second = outcome.stdout.split("from the second language to the first")
    assert "Translations found x 100, from the first language to the second" in first
    assert all("tatoeba.deu-eng" in table and "100.00" in table for table in (first, second))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--precision", "fp8"], "--precision has value 'fp8'"),
        (
            ["--precision", "fast", "--base-url", "http://127.0.0.1:9"],
            "--precision cannot be used with --base-url or --google",
        ),
        (["--html", "none/report.html"], "--html names none/report.html, which cannot be written"),
        (["--dimensions", "0"], "dimensions has value 0"),
        (["--exact-search", "--hybrid"], "--exact-search cannot be used with --hybrid, which needs Milvus"),
        (["--exact-search", "--uri", "x.db"], "--exact-search cannot be used with --uri, which needs Milvus"),
        (["missing.tsv"], "missing.tsv"),
    ],
)
def test_what_cannot_be_is_named(run, sts, arguments, named):
    outcome = run(sts, *arguments)
    assert outcome.exit_code == 1
    assert named in outcome.exception.message
