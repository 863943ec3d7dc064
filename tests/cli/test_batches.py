"""`gemvec batch` against a real server: files of every kind in, results of every kind out, exit statuses."""

import csv
import json
import sys

import numpy as np
import pytest
from pyarrow import parquet, table
from starlette.applications import Starlette
from starlette.routing import Route

from batch_server import batch_server
from gemvec.cli.app import run
from hash_embedder import HashEmbedder, vector_of
from scripted_server import Answer, ScriptedServer, serving

ROWS = [{"id": "x", "text": "a", "title": "A"}, {"id": "y", "text": "b, c", "title": ""}, {"id": "z", "text": "d"}]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with batch_server(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def gemvec(monkeypatch, capfd, url):
    """Run `gemvec batch`; returns the exit status, standard output and standard error."""
    monkeypatch.setenv("GEMVEC_BASE_URL", url)
    monkeypatch.setenv("COLUMNS", "200")

    def gemvec(*arguments):
        monkeypatch.setattr(sys, "argv", ["gemvec", "batch", *map(str, arguments)])
        status = run()
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return gemvec


@pytest.fixture
def source(tmp_path):
    """Write the rows in one of the formats and return the path."""

    def source(kind):
        path = tmp_path / f"rows.{kind}"
        if kind == "csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, ["id", "text", "title"])
                writer.writeheader()
                writer.writerows(ROWS)
        elif kind == "parquet":
            columns = {name: [row.get(name) for row in ROWS] for name in ("id", "text", "title")}
            parquet.write_table(table(columns), path)
        elif kind == "txt":
            path.write_text("a\n\nb, c\nd")
        else:
            lines = [{"key": row["id"], "request": {"content": {"parts": [{"text": row["text"]}]}}} for row in ROWS]
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return source


def keys_and_vectors(output):
    results = [json.loads(line) for line in output.splitlines()]
    keys = [result.get("key", result.get("metadata", {}).get("key")) for result in results]
    return keys, [np.float32(result["response"]["embedding"]["values"]) for result in results]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("jsonl", ["x", "y", "z"]), ("csv", ["x", "y", "z"]), ("parquet", ["x", "y", "z"]), ("txt", ["0", "2", "3"])],
)
def test_a_file_of_each_kind_becomes_a_batch(gemvec, source, kind, keys):
    status, out, err = gemvec("create", source(kind), "--wait")
    assert (status, err) == (0, "")
    status, out, _ = gemvec("results", out.strip())
    found, vectors = keys_and_vectors(out)
    assert (status, found) == (0, keys)
    for vector, row in zip(vectors, ROWS, strict=True):
        assert np.array_equal(vector, vector_of(row["text"]))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_titles_go_with_documents(gemvec, source, kind):
    arguments = ("--task-type", "retrieval_document", "--dimensionality", "2", "--wait", "--json")
    _, out, _ = gemvec("create", source(kind), *arguments)
    _, out, _ = gemvec("results", json.loads(out)["name"])
    _, vectors = keys_and_vectors(out)
    assert np.array_equal(vectors[0], vector_of("a", 2, "A", 2))
    assert np.array_equal(vectors[1], vector_of("b, c", 2, None, 2))


def test_columns_may_have_any_name(gemvec, source):
    options = ("--text-column", "title", "--key-column", "text", "--wait")
    _, out, _ = gemvec("create", source("csv"), *options)
    _, out, _ = gemvec("get", out.strip(), "--json")
    assert json.loads(out)["batchStats"]["failedRequestCount"] == "2"  # rows without a title have no text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rows.pdf",), "expected .jsonl"),
        (("none.jsonl",), "there is no such file"),
        (("none.csv",), "Cannot read"),
        (("rows.csv", "--text-column", "body"), "has no such column, only id, text, title"),
        (("rows.jsonl", "--task-type", "CLUSTERING"), "has its own"),
        (("rows.csv", "--task-type", "NOPE"), "NOPE"),
        (("rows.csv", "--base-url", "local"), "need a server"),
        (("rows.csv", "--google", "--base-url", "http://x"), "not both"),
    ],
)
def test_what_is_wrong_is_said(gemvec, source, monkeypatch, arguments, said):
    for kind in ("csv", "jsonl"):
        monkeypatch.chdir(source(kind).parent)
    status, _, err = gemvec("create", *arguments)
    assert status != 0
    assert said in " ".join(err.split())


def test_results_become_an_array(gemvec, source, tmp_path):
    _, out, _ = gemvec("create", source("csv"), "--wait")
    status, out, _ = gemvec("results", out.strip(), "-o", tmp_path / "vectors.npy")
    assert (status, "3 results" in out) == (0, True)
    vectors = np.load(tmp_path / "vectors.npy")
    assert (vectors.dtype, vectors.shape) == (np.float32, (3, 4))
    assert np.array_equal(vectors[1], vector_of("b, c"))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_results_become_a_table_with_errors_at_their_places(gemvec, source, tmp_path, kind):
    path = source(kind)
    path.write_text(path.read_text().replace("b, c", ""))
    _, out, _ = gemvec("create", path, "--wait")
    name = out.strip()
    gemvec("results", name, "-o", tmp_path / "vectors.parquet")
    found = parquet.read_table(tmp_path / "vectors.parquet").to_pydict()
    assert found["key"] == ["x", "y", "z"]
    assert found["error_code"] == [None, 3, None]
    assert np.array_equal(np.float32(found["embedding"][0]), vector_of("a"))
    assert found["embedding"][1] is None
    status, _, err = gemvec("results", name, "-o", tmp_path / "vectors.npy")
    assert (status, "Request 1 failed" in err) == (1, True)
    assert sorted(each.suffix for each in tmp_path.iterdir()) == sorted({path.suffix, ".parquet"})
    gemvec("results", name, "-o", tmp_path / "lines.jsonl")
    assert json.loads((tmp_path / "lines.jsonl").read_text().splitlines()[1])["error"]["code"] == 3


def test_results_of_another_kind_are_refused(gemvec, source, tmp_path):
    _, out, _ = gemvec("create", source("txt"), "--wait")
    status, _, err = gemvec("results", out.strip(), "-o", tmp_path / "vectors.pdf")
    assert (status, "--output" in err) == (2, True)


def test_batches_are_listed_and_described(gemvec, source):
    _, out, _ = gemvec("create", source("csv"), "--display-name", "mine [bold]", "--priority", "-7", "--wait")
    name = out.strip()
    _, out, _ = gemvec("list", "--limit", "1")
    for shown in (name, "mine [bold]", "succeeded", "-7"):
        assert shown in out
    _, out, _ = gemvec("list", "--limit", "2", "--json")
    assert json.loads(out)[0]["name"] == name
    _, out, _ = gemvec("get", name)
    assert "BATCH_STATE_SUCCEEDED" in out


def test_deleted_batches_are_gone(gemvec, source):
    names = [gemvec("create", source("txt"))[1].strip() for _ in range(2)]
    status, out, _ = gemvec("delete", *names)
    assert (status, out.count("is deleted")) == (0, 2)
    status, _, err = gemvec("get", names[0])
    assert (status, "NOT_FOUND" in err) == (1, True)
    assert json.loads(gemvec("delete", gemvec("create", source("txt"))[1].strip(), "--json")[1])["deleted"]


def test_a_batch_that_does_not_succeed_ends_with_status_1(gemvec, source, tmp_path):
    stuck = HashEmbedder(names=("gemini-embedding-001",))
    stuck.faults = [MemoryError()] * 10_000
    with batch_server(tmp_path / "data", stuck) as url:
        _, out, _ = gemvec("create", source("txt"), "--base-url", url)
        name = out.strip()
        status, _, err = gemvec("results", name, "--base-url", url)
        assert (status, "has not ended" in err) == (1, True)
        status, out, _ = gemvec("cancel", name, "--base-url", url)
        assert (status, "cancelled" in out) == (0, True)
        status, out, err = gemvec("wait", name, "--base-url", url)
        assert (status, "cancelled" in out, "cancelled" in err) == (1, True, True)
        assert json.loads(gemvec("wait", name, "--base-url", url, "--json")[1])["state"] == "BATCH_STATE_CANCELLED"


@pytest.fixture
def other_server():
    """A server that answers as it is told, in Google's words."""
    server = ScriptedServer()
    with serving(Starlette(routes=[Route("/{path:path}", server.answer)])) as server.url:
        yield server


FAILED = {
    "name": "batches/b",
    "metadata": {"name": "batches/b", "state": "BATCH_STATE_FAILED"},
    "done": True,
    "error": {"code": 3, "message": "why it failed"},
}


def test_the_reason_of_a_failed_batch_is_shown(gemvec, other_server):
    other_server.script = [Answer(body=FAILED) for _ in range(3)]
    assert "why it failed" in gemvec("get", "b", "--base-url", other_server.url)[1]
    out = gemvec("get", "b", "--base-url", other_server.url, "--json")[1]
    assert json.loads(out)["error"] == {"code": 3, "message": "why it failed"}
    status, _, err = gemvec("wait", "b", "--base-url", other_server.url)
    assert (status, "why it failed" in err) == (1, True)


@pytest.mark.parametrize(("results", "said"), [(0, "results for 0 of 0"), (2, "more results than its 0")])
def test_counts_that_do_not_fit_the_results_become_no_array(gemvec, other_server, tmp_path, results, said):
    inlined = [{"response": {"embedding": {"values": [1]}}}] * results
    output = {"inlinedResponses": {"inlinedResponses": inlined}}
    batch = FAILED | {"metadata": FAILED["metadata"] | {"output": output}}
    other_server.script = [Answer(body=batch) for _ in range(3)]
    status, _, err = gemvec("results", "b", "--base-url", other_server.url, "-o", tmp_path / "vectors.npy")
    assert (status, said in err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_an_uploaded_file_is_named(gemvec, source, url):
    from gemvec.client.files import FileClient
    from gemvec.client.target import find_target

    with FileClient(find_target(url)) as files:
        file = files.upload(source("jsonl"))
    status, out, _ = gemvec("create", file.name, "--wait", "--json")
    assert (status, json.loads(out)["displayName"]) == (0, file.name)
