"""`gemvec index`, `search` and `reembed`: what a person and a script see; a real tiny model and a real Milvus Lite."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemvec.cli.app import app
from gemvec.embedding.models import relevance_of
from gemvec.milvus import PassageOptions, open_collection
from gemvec.models.reranker import open_reranker
from gemvec.settings import Settings

runner = CliRunner()
RERANKER = Path(__file__).parents[1] / "models" / "golden" / "cross-encoders" / "bert"


@pytest.fixture
def docs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "batches.md").write_text("---\nlang: en\n---\n# Batches\n\nCancel a batch with its cancel method.\n")
    (folder / "files.md").write_text("---\nlang: de\n---\n# Files\n\nUploaded files expire.\n")
    return folder


def run(*arguments, code=0):
    outcome = runner.invoke(app, [str(each) for each in arguments])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    return outcome


def fail(*arguments):
    """Return the error's message; `app.run` prints it and ends with status 1 or 2."""
    outcome = runner.invoke(app, [str(each) for each in arguments])
    assert outcome.exception is not None
    return outcome.exception.message


@pytest.fixture
def indexed(docs, tiny_model):
    run("index", "docs", "--model", tiny_model)
    return docs


def test_a_folder_becomes_a_collection_that_answers(docs, tiny_model):
    outcome = run("index", "docs", "--model", tiny_model)
    assert "Ready: 2 documents (2 added); 2 passages embedded" in outcome.stdout
    hits = json.loads(run("search", "cancel a batch", "--json").stdout)
    assert {hit["source"] for hit in hits} == {"docs/batches.md", "docs/files.md"}
    assert set(hits[0]) >= {"score", "text", "position", "heading", "title", "metadata", "chunk"}


def test_a_second_run_finds_everything_unchanged_and_loads_neither_model_nor_milvus(indexed):
    program = (
        "import sys; from gemvec.cli.app import run; sys.argv[1:] = ['index', 'docs', '--json'];"
        "assert run() == 0;"
        "assert not {'openvino', 'tokenizers', 'milvus_lite', 'pymilvus', 'pandas'} & set(sys.modules)"
    )
    environ = {**os.environ, "HOME": str(indexed.parent)}
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environ)
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["unchanged"] == 2


def test_vanished_documents_go_only_with_prune(indexed, tiny_model):
    (indexed / "files.md").unlink()
    assert json.loads(run("index", "docs", "--model", tiny_model, "--json").stdout)["removed"] == 0
    assert json.loads(run("index", "docs", "--model", tiny_model, "--json", "--prune").stdout)["removed"] == 1


def test_documents_left_out_are_printed_and_written_to_the_error_report(docs, tiny_model, tmp_path):
    (docs / "broken.pdf").write_bytes(b"no pdf")
    outcome = run("index", "docs", "--model", tiny_model, "--error-report", "bad.jsonl")
    assert "left out: docs/broken.pdf" in outcome.stderr
    assert "2 documents" in outcome.stdout
    (line,) = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert json.loads(line)["source"] == "docs/broken.pdf"
    for options in ([], ["--dry-run"]):
        told = json.loads(run("index", "docs", "--model", tiny_model, "--json", *options).stdout)["bad"]
        assert told == [json.loads(line)]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_file_name_that_is_no_text_is_said_and_leaves_the_json_readable(docs, tiny_model):
    (docs / os.fsdecode(b"bad\xff.md")).write_text("A text.")
    outcome = run("index", "docs", "--model", tiny_model, "--json")
    (bad,) = json.loads(outcome.stdout_bytes.decode())["bad"]
    assert (bad["source"], bad["id"]) == ("docs/bad\ufffd.md", "docs/bad\udcff.md")
    assert "bytes that are no character" in bad["reason"]


def report(*arguments, code=0):
    return json.loads(run("index", *arguments, "--json", code=code).stdout)


def test_an_index_of_the_folder_that_holds_its_database_does_not_grow(docs, tiny_model, tmp_path):
    first = report(".", "--model", tiny_model)
    for _ in range(2):
        again = report(".", "--prune")
        assert (again["documents"], again["unchanged"], again["removed"]) == (first["documents"], 2, 0)
    assert {"source": "gemvec.db", "reason": "gemvec keeps its own data there"} in again["left_out"]["folders"]


def test_an_export_beside_the_documents_is_not_taken_for_records(indexed, tmp_path):
    run("export", "docs/all.parquet")
    (bad,) = report("docs")["bad"]
    assert (bad["source"], bad["reason"]) == (
        "docs/all.parquet",
        "it is an export of a collection; `gemvec import` reads it",
    )


@pytest.fixture
def two_folders(indexed, tiny_model, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.md").write_text("# Note\n\nAnother folder.\n")
    run("index", "docs", "other")
    return tmp_path


def test_prune_from_inside_one_folder_leaves_the_other_alone(two_folders, monkeypatch):
    monkeypatch.chdir(two_folders / "docs")
    outcome = report(".", "--prune", "--uri", "../gemvec.db")
    assert (outcome["unchanged"], outcome["removed"]) == (2, 0)


@pytest.mark.parametrize("place", ["docs", "/"])
def test_a_document_stays_the_same_from_whatever_folder_it_is_named(two_folders, monkeypatch, place):
    monkeypatch.chdir(two_folders / place)
    outcome = report(two_folders / "docs", "--uri", two_folders / "gemvec.db")
    assert (outcome["documents"], outcome["unchanged"]) == (2, 2)


def test_a_root_can_be_set_and_a_moved_folder_keeps_its_names(indexed, tmp_path, monkeypatch):
    (tmp_path / "moved").mkdir()
    indexed.rename(tmp_path / "moved" / "docs")
    monkeypatch.chdir(tmp_path / "moved")
    outcome = run("index", "docs", "--root", ".", "--uri", "../gemvec.db", "--json")
    assert json.loads(outcome.stdout)["unchanged"] == 2
    assert f"relative to {tmp_path / 'moved'}, no longer to {tmp_path}" in outcome.stderr
    assert run("index", "docs", "--uri", "../gemvec.db").stderr == ""


@pytest.mark.parametrize("root", ["", "nowhere"])
def test_a_root_that_is_no_folder_is_refused_also_an_empty_one(indexed, root):
    outcome = run("index", "docs", "--root", root, "--prune", code=2)
    assert f"there is no folder '{root}'" in outcome.stderr


def test_a_source_that_is_gone_is_pruned_and_one_that_never_was_refused(two_folders):
    shutil.rmtree(two_folders / "other")
    assert "'other'" in fail("index", "other")
    assert "'dosc', and the collection has no document from it" in fail("index", "dosc", "--prune")
    assert report("other", "--prune")["removed"] == 1
    assert report("docs")["unchanged"] == 2


def test_a_collection_without_a_root_is_not_pruned_before_one_is_named(indexed, tmp_path):
    from gemvec.milvus.indexing import Indexing

    with open_collection(str(tmp_path / "gemvec.db"), "docs") as collection:
        collection.record(collection.resolve(), Indexing())
    (indexed / "files.md").unlink()
    assert "--root" in fail("index", "docs", "--prune")
    assert report("docs", "--prune", "--root", ".")["removed"] == 1


def test_the_sizes_of_passages_stay_those_of_the_collection(docs, tiny_model):
    (docs / "long.md").write_text("One sentence of several words. " * 40)
    first = report("docs", "--model", tiny_model, "--chunk-tokens", "32", "--overlap-tokens", "0")
    again = run("index", "docs", "--json")
    assert json.loads(again.stdout)["unchanged"] == first["documents"] == 3
    assert again.stderr == ""
    changed = run("index", "docs", "--chunk-tokens", "64", "--json")
    assert "at most 64 tokens, 0 of them repeated, instead of 32 and 0" in changed.stderr
    assert json.loads(changed.stdout)["changed"] == 3


def test_what_is_not_read_is_said(docs, tiny_model):
    (docs / "slides.key").write_bytes(b"x")
    (docs / "node_modules").mkdir()
    outcome = run("index", "docs", "--model", tiny_model)
    assert "not read: files of other formats: 1 .key" in outcome.stderr
    assert "not read: folder docs/node_modules: packages of Node.js" in outcome.stderr
    told = report("docs", "--error-report", "left.jsonl")["left_out"]
    lines = [json.loads(line) for line in Path("left.jsonl").read_text().splitlines()]
    assert [(each["source"], each["reason"]) for each in lines] == [
        ("docs/node_modules", "packages of Node.js"),
        ("", "files of other formats: 1 .key"),
    ]
    assert told["files"] == {".key": 1}
    assert told["folders"] == [{"source": "docs/node_modules", "reason": "packages of Node.js"}]


def test_a_run_that_reads_nothing_ends_with_status_1(docs, tiny_model, tmp_path):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "slides.key").write_bytes(b"x")
    outcome = run("index", "only", "--model", tiny_model, code=1)
    assert "Nothing was read." in outcome.stdout


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--json"]])
def test_a_run_that_has_nothing_to_read_needs_no_model(docs, tmp_path, options):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "slides.key").write_bytes(b"x")
    outcome = run("index", "only", "--model", "no-model/of-this-name", *options, code=1)
    assert "not read: files of other formats: 1 .key" in outcome.stderr
    assert ('"documents": 0' if "--json" in options else "Nothing was read.") in outcome.stdout


def test_a_closed_standard_input_is_said(docs):
    command = ["/bin/sh", "-c", 'exec "$0" -m gemvec index - <&-', sys.executable]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, "error: There is no standard input to index.\n")


def test_a_search_that_cannot_be_made_is_refused_before_its_model_is_opened(docs, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    run("index", "docs", "--model", model)
    shutil.rmtree(model)
    assert fail("search", " ") == "The query is empty."
    assert "no UTF-8 text" in fail("search", "half \udcff")
    assert "model" in fail("search", "cancel a batch")


def test_strict_ends_with_status_1_when_anything_was_left_out(indexed):
    run("index", "docs", "--strict")
    (indexed / "slides.key").write_bytes(b"x")
    run("index", "docs")
    run("index", "docs", "--strict", code=1)


def test_a_bad_record_that_holds_back_pruning_says_so(docs, tiny_model):
    lines = ['{"id": 1, "text": "about zebras"}', '{"id": 2, "text": "about giraffes"}', "not json"]
    (docs / "r.jsonl").write_text("\n".join(lines))
    run("index", "docs/r.jsonl", "--model", tiny_model)
    (docs / "r.jsonl").write_text("\n".join(lines[::2]))
    outcome = run("index", "docs/r.jsonl", "--prune")
    assert "kept: documents that are gone (1)" in outcome.stderr
    assert report("docs/r.jsonl", "--prune")["held_back"] == ["docs/r.jsonl#2"]


def test_a_dry_run_counts_and_bills_and_makes_nothing(docs, tiny_model, tmp_path):
    outcome = run("index", "docs", "--model", tiny_model, "--dry-run")
    assert "2 documents: 2 new" in outcome.stdout
    assert "gemini-embedding-001" in outcome.stdout
    assert not (tmp_path / "gemvec.db").exists()


def test_records_and_standard_input_are_indexed(docs, tiny_model):
    lines = '{"nr": 1, "story": "One."}\n{"nr": 2, "story": "Two."}\n'
    arguments = ["index", "-", "--text-field", "story", "--id-field", "nr", "--json", "--model", str(tiny_model)]
    outcome = runner.invoke(app, arguments, input=lines)
    assert json.loads(outcome.stdout)["added"] == 2


def test_a_filter_on_metadata_leaves_out_the_rest(indexed, tiny_model):
    where = 'metadata["lang"] == "de"'
    hits = json.loads(run("search", "batch", "--where", where, "--json", "--model", tiny_model, "--hybrid").stdout)
    assert [hit["source"] for hit in hits] == ["docs/files.md"]


def test_passages_are_shown_with_source_and_place(indexed, tiny_model):
    shown = run("search", "cancel a batch", "-n", "1", "--model", tiny_model).stdout
    assert "1. docs/" in shown
    assert ", line 4" in shown


def test_a_cross_encoder_orders_the_passages(indexed, tiny_model):
    hits = json.loads(run("search", "cancel", "--rerank", RERANKER, "--model", tiny_model, "--json").stdout)
    reranker = open_reranker(Settings.load({}, rerank_model=str(RERANKER), streams=1))

    async def score():
        try:
            return relevance_of(await reranker.score(await reranker.prepare("cancel", [hit["text"] for hit in hits])))
        finally:
            await reranker.close()

    scores = [hit["score"] for hit in hits]
    assert scores == pytest.approx(list(asyncio.run(score())), abs=0.01)
    assert scores == sorted(scores, reverse=True)
    best = json.loads(run("search", "cancel", "--rerank", RERANKER, "--model", tiny_model, "--json", "-n", "1").stdout)
    assert [hit["source"] for hit in best] == [hits[0]["source"]]


def test_passages_keep_their_lines_in_a_pipe(docs, tiny_model):
    line = "words " * 30 + "end"
    (docs / "long.md").write_text(line)
    run("index", "docs/long.md", "--model", tiny_model)
    assert line in run("search", "words", "--model", tiny_model).stdout.splitlines()


def test_another_model_is_refused_with_both_named(indexed, tiny_model, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    (other / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes()[:-4] + b"\0\0\0\0")
    for arguments in (["search", "x"], ["index", "docs"]):
        message = fail(*arguments, "--model", other)
        assert "do not mix" in message
        assert message.count("@") == 2


def test_the_help_says_the_real_default_sizes():
    shown = " ".join(run("index", "--help").output.replace("│", " ").split())
    assert f"as before, or {PassageOptions().max_tokens}]" in shown
    assert f"as before, or {PassageOptions().overlap_tokens}]" in shown


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--chunk-tokens", "0", "--chunk-tokens"),
        ("--overlap-tokens", "-1", "--overlap-tokens"),
        ("--overlap-tokens", "128", "overlap_tokens is 128; it must be at least 0 and less than the most tokens of a"),
    ],
)
def test_a_wrong_size_is_refused_in_the_words_of_the_options(docs, option, value, message):
    outcome = runner.invoke(app, ["index", "docs", option, value])
    assert message in outcome.output + str(outcome.exception)


def test_a_missing_source_and_collection_are_named(docs):
    assert "'dosc'" in fail("index", "dosc")
    assert "There is no collection 'docs'" in fail("search", "x")


def test_google_and_a_base_url_exclude_each_other(docs):
    assert "not both" in fail("index", "docs", "--google", "--base-url", "http://127.0.0.1:1")


def test_a_target_that_cannot_be_asked_makes_no_database(docs, tmp_path, monkeypatch):
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert "no API key" in fail("index", "docs", "--google")
    assert not (tmp_path / "gemvec.db").exists()


def test_a_collection_moves_to_another_dimensionality_and_is_searched_after(indexed, tiny_model):
    report = json.loads(run("reembed", "--model", tiny_model, "--dimensionality", "16", "--json").stdout)
    assert (report["rows"], report["old"]["dimensionality"], report["new"]["dimensionality"]) == (2, 32, 16)
    assert len(report["kept"]) == 1
    assert len(json.loads(run("search", "batch", "--json", "--model", tiny_model).stdout)) == 2
    dropped = run("reembed", "--model", tiny_model, "--dimensionality", "16", "--drop-old")
    assert "already has vectors" in dropped.stdout


def test_ctrl_c_ends_a_run_that_waits_for_standard_input(docs):
    command = [sys.executable, "-m", "gemvec", "index", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"words " * 2**18)  # more than the pipe holds: when it is written, the run reads
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        with suppress(BrokenPipeError):  # ended already; a signal that came just before it waited is noticed now
            os.write(process.stdin.fileno(), b"more")
        try:
            assert process.wait(timeout=120) == 130
        finally:
            process.kill()
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("path", "reason"), [("none/bad.jsonl", "there is no folder none"), ("docs", "it is a folder")]
)
def test_an_error_report_that_cannot_be_written_is_refused_before_the_work(docs, tmp_path, path, reason):
    message = fail("index", "docs", "--error-report", path)
    assert message == f"--error-report names {path}, which cannot be written: {reason}."
    assert not (tmp_path / "gemvec.db").exists()


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(docs, tiny_model, tmp_path):
    for number in range(60):  # several groups of passages: there is much to do when the first is written
        words = "".join(f"Word {word} of {number}. " for word in range(1_000))
        (docs / f"d{number}.md").write_text(f"# Document {number}\n\n{words}")
    command = [sys.executable, "-m", "gemvec", "index", "docs", "--model", str(tiny_model)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "gemvec.db" / "collections").glob("*/wal/*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    report = json.loads(run("index", "docs", "--model", tiny_model, "--json").stdout)
    assert (report["documents"], report["unchanged"] + report["changed"] + report["added"]) == (62, 62)
    assert report["unchanged"] + report["changed"] > 0


def test_a_model_of_another_kind_is_refused_before_it_is_fetched(indexed, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing can be fetched
    for arguments in (["search", "x"], ["index", "docs"]):
        for model in ("intfloat/e5-small-v2", "nobody/unknown", "gemini-embedding-001"):
            assert f"do not mix with those of {model}" in fail(*arguments, "--model", model)


@pytest.fixture
def code(docs):
    """A folder with a program and a page."""
    (docs / "shop.py").write_text('"""A shop."""\n\n\ndef open_door():\n    """Open the door."""\n    return "open"\n')
    return docs


def sources(*options):
    """The sources that a search finds."""
    return {hit["source"] for hit in json.loads(run("search", "open the door", "-n", "50", "--json", *options).stdout)}


def test_code_is_left_out_and_the_option_for_it_named(code, tiny_model):
    outcome = run("index", "docs", "--model", tiny_model)
    assert "not read: files of other formats: 1 .py; --code reads source code: .py" in outcome.stderr
    assert "docs/shop.py" not in sources()
    outcome = run("index", "docs/shop.py", "--uri", "other.db", code=1)
    assert "docs/shop.py: it is source code, which is read with --code" in outcome.stderr


def test_code_is_read_when_asked_for_and_in_later_runs(code, tiny_model):
    run("index", "docs", "--model", tiny_model, "--code")
    (hit,) = [
        hit for hit in json.loads(run("search", "open the door", "--json").stdout) if hit["source"] == "docs/shop.py"
    ]
    assert (hit["title"], hit["position"], hit["metadata"]) == ("docs/shop.py", "line 1", {"language": "Python"})
    (code / "more.py").write_text("def close_door():\n    return 1\n")
    outcome = run("index", "docs")
    assert "Source code is read, as before; --no-code leaves it out." in outcome.stderr
    assert {"docs/shop.py", "docs/more.py"} <= sources()


def test_code_in_a_collection_without_it_is_said(code, tiny_model):
    run("index", "docs", "--model", tiny_model)
    assert "Source code is read from now on, also without --code." in run("index", "docs", "--code").stderr
    assert "Source code" not in run("index", "docs", "--code").stderr


def test_code_goes_only_when_it_is_declined_and_pruned(code, tiny_model):
    run("index", "docs", "--model", tiny_model, "--code")
    run("index", "docs", "--prune")
    assert "docs/shop.py" in sources()
    outcome = run("index", "docs", "--no-code")
    assert "Source code is no longer read; --prune deletes what was indexed of it." in outcome.stderr
    assert "docs/shop.py" in sources()
    run("index", "docs", "--prune")  # told nothing, it keeps what is there
    assert "docs/shop.py" in sources()
    assert json.loads(run("index", "docs", "--no-code", "--prune", "--json").stdout)["removed"] == 1
    assert "docs/shop.py" not in sources()


def test_code_is_deleted_by_its_source_as_everything_is(code, tiny_model):
    run("index", "docs", "--model", tiny_model, "--code")
    run("collections", "delete", "docs", "--source", "docs")
    assert not sources()


def test_unchanged_code_is_not_parsed_again(code, tiny_model, monkeypatch):
    run("index", "docs", "--model", tiny_model, "--code")
    monkeypatch.setattr("gemvec.documents.program.find_code_blocks", None)
    assert json.loads(run("index", "docs", "--json").stdout)["unchanged"] == 3


@pytest.mark.parametrize("task", ["CODE_RETRIEVAL_QUERY", "question_answering"])
def test_a_query_can_be_of_another_kind(indexed, task):
    assert "docs/batches.md" in sources("--task-type", task)


def test_a_task_that_is_not_that_of_a_query_is_refused(indexed):
    said = fail("search", "x", "--task-type", "CLUSTERING")
    assert "task_type is CLUSTERING" in said
    assert "CODE_RETRIEVAL_QUERY" in said
