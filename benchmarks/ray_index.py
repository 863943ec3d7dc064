"""A corpus indexed on a Ray cluster of this machine: what a lost node changes in its rows.

    python benchmarks/ray_index.py [--documents 2000] [--output FILE]

The corpus has `--documents` documents: of five, three are Markdown, one is HTML and one is plain text. Each has 5 to 20
sections of common words. `gemvec index` runs in this process, first with `--ray` on two nodes with a core each, one of
which is killed with its actor, without warning, when half of the documents are done; then without `--ray` into another
collection. Neither uses the cache of embeddings. All fields of all rows are compared, vectors by their bytes. The model
is a static one, because it gives the same bits wherever it runs. The clock says little where others use the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_run
from ray_batches import STATIC_MODEL, cluster

from batches import texts

PACKAGES = ("gemvec", "ray", "numpy", "pymilvus", "milvus-lite", "semantic-text-splitter")
SECTIONS = (5, 20)
ROW_FIELDS = [
    "text",
    "words",
    "vector",
    "document_id",
    "document_hash",
    "chunk",
    "chunks",
    "title",
    "heading",
    "source",
    "position",
    "metadata",
]


def write_corpus(folder: Path, count: int) -> None:
    """Write the documents, the same ones each time."""
    folder.mkdir()
    choose = np.random.default_rng(1)
    words = texts(10**9)
    for number in range(count):
        sections = [(next(words), " ".join(next(words) for _ in range(4))) for _ in range(choose.integers(*SECTIONS))]
        name = folder / f"document{number:05}"
        if number % 5 == 3:
            body = "".join(f"<h2>{heading}</h2><p>{text}</p>" for heading, text in sections)
            name.with_suffix(".html").write_text(f"<title>Document {number}</title><h1>Document {number}</h1>{body}")
        elif number % 5 == 4:
            name.with_suffix(".txt").write_text("\n\n".join(text for _, text in sections))
        else:
            body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections)
            name.with_suffix(".md").write_text(f"# Document {number}\n\n{body}\n")


@contextlib.contextmanager
def calling(when_done: int, act: Callable[[int], None]) -> Generator[None]:
    """Let `gemvec index` call `act` once, when so many documents are done."""
    from gemvec.cli import index_request

    shown, acted = index_request.show_progress, list[int]()

    @contextlib.contextmanager
    def show(*arguments: Any) -> Generator[Callable[[Any], None]]:
        with shown(*arguments) as report:

            def notice(progress: Any) -> None:
                report(progress)
                if progress.documents >= when_done and not acted:
                    acted.append(progress.documents)
                    act(progress.documents)

            yield notice

    index_request.show_progress = show
    try:
        yield
    finally:
        index_request.show_progress = shown


def index_corpus(folder: Path, uri: Path, *flags: str) -> dict[str, Any]:
    """Run `gemvec index` and return its report."""
    from gemvec.cli.app import run

    sys.argv = ["gemvec", "index", str(folder), "--root", str(folder), "--uri", str(uri), "--json"]
    sys.argv += ["--model", STATIC_MODEL, "--embedding-cache-bytes", "0", *flags]
    printed, started = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stdout(printed):
        status = run()
    assert status == 0, printed.getvalue()
    report = json.loads(printed.getvalue())
    return {**report, "wall": round(time.perf_counter() - started, 1)}


def read_rows(uri: Path) -> dict[str, dict[str, Any]]:
    """Return all rows by their keys, vectors as bytes."""
    from gemvec.milvus import open_collection
    from gemvec.settings import Settings

    with open_collection(str(uri), Settings().collection) as collection:
        rows = collection.resolve().scan(["key", *ROW_FIELDS])
        return {row["key"]: {**row, "vector": np.float32(row["vector"]).tobytes()} for row in rows}


def lose_a_node(folder: Path, count: int) -> dict[str, Any]:
    """Index on two nodes, one of which is killed, and on one machine; compare the rows."""
    corpus = folder / "corpus"
    write_corpus(corpus, count)
    with cluster(2, 1) as (opened, nodes):
        killed: dict[str, int] = {}

        def kill(done: int) -> None:
            killed["after_documents"] = done
            opened.remove_node(nodes[0], allow_graceful=False)

        with calling(count // 2, kill):
            on_ray = index_corpus(corpus, folder / "ray.db", "--ray", opened.address, "--ray-max-actors", "2")
    print("two nodes", on_ray, killed, flush=True)
    alone = index_corpus(corpus, folder / "alone.db")
    print("one machine", alone, flush=True)
    found, expected = read_rows(folder / "ray.db"), read_rows(folder / "alone.db")
    equal = sum(found.get(key) == row for key, row in expected.items())
    return {
        "documents": count,
        "killed_after_documents": killed["after_documents"],
        "rows": len(expected),
        "rows_on_ray": len(found),
        "rows_with_the_same_bytes": equal,
        "on_two_nodes": on_ray,
        "on_one_machine": alone,
    }


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = describe_run(PACKAGES) | {"model": STATIC_MODEL, "what": (__doc__ or "").splitlines()[4:]}
    with tempfile.TemporaryDirectory() as name:
        result |= lose_a_node(Path(name), options.documents)
    print(result["rows"], result["rows_with_the_same_bytes"])
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
