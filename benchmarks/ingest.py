"""How fast documents become a searchable collection, beside what the engine does alone in the same process.

    python benchmarks/ingest.py [--passages 10000] [--output benchmarks/results/ingest.json]
    python benchmarks/ingest.py --folder FOLDER --corpus "NAME, its commit" [--output benchmarks/results/....json]

With a folder, its Markdown is indexed. Without, the passages are real, too: documentation of the standard library and
of the packages installed here, cut as `gemvec index` cuts it. Measured: the engine alone on exactly the texts that
ingest gives it; ingest into Milvus Lite until everything is searchable and indexed; a second ingest of the same
documents, in this process and as `gemvec index` from the shell; `gemvec search` from the shell, a question it was not
asked before, beside what importing pymilvus alone takes. The engine and ingest take turns, so that both see the same
machine.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from machine import describe_run

from gemvec.documents import Filters
from gemvec.embedding.embed import EmbedRequest, Priority
from gemvec.embedding.task_type import TaskType
from gemvec.milvus import Document, PassageOptions, Sources, Splitter, ingest, open_collection
from gemvec.milvus.work import WorkFinder
from gemvec.models.local import open_embedder
from gemvec.models.weights import load_model
from gemvec.settings import Settings

MODEL = "all-minilm-l6-v2"
SHORTEST_CHARACTERS = 120
PACKAGES = ("gemvec", "openvino", "pymilvus", "milvus-lite", "numpy", "tokenizers")


def find_docstrings(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield title and text of every docstring in a source file."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)) and len(text) >= SHORTEST_CHARACTERS:
            yield f"{name} {getattr(node, 'name', '')}".strip(), text


def find_modules() -> Iterator[tuple[str, Path]]:
    """Yield name and file of every module of the standard library, then of the packages installed here."""
    standard, installed = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))
    for root in (standard, installed):
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
            if not name.startswith(("site-packages.", "test.", "idlelib.", "lib2to3.")):
                yield name, path


def collect(folder: Path, tokenizer_file: Path, wanted: int) -> Path:
    """Write `wanted` passages as JSON Lines, the same ones wherever the same packages are installed."""
    splitter = Splitter(PassageOptions(overlap_tokens=0), tokenizer_file)
    passages: dict[str, dict[str, str]] = {}
    for name, path in find_modules():
        if len(passages) >= wanted:
            break
        for title, text in find_docstrings(path, name):
            for passage in splitter.split(Document(id="x", text=text)):
                key = blake2b(passage.text.encode(), digest_size=8).hexdigest()
                if len(passage.text) >= SHORTEST_CHARACTERS:
                    passages.setdefault(key, {"id": key, "title": title, "text": passage.text})
    if len(passages) < wanted:
        raise SystemExit(f"only {len(passages)} passages are documented here, {wanted} are wanted")
    chosen = list(passages.values())[:wanted]
    path = folder / "passages.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in chosen))
    return path


def find_sources(path: Path) -> Sources:
    """Return the passages that were written, or the Markdown of a folder."""
    return Sources([str(path)], filters=Filters(include=("*.md",)) if path.is_dir() else Filters())


def requests_of(path: Path, splitter: Splitter) -> list[EmbedRequest]:
    """Return exactly what ingest asks the model for."""
    return [
        EmbedRequest(text=passage.text, title=passage.title or None, task_type=TaskType.RETRIEVAL_DOCUMENT)
        for work in WorkFinder(None, splitter).find(find_sources(path))
        for passage in work.passages
    ]


async def measure(
    settings: Settings, path: Path, folder: Path, make_splitter: Callable[[], Splitter], rounds: int
) -> dict[str, Any]:
    """Return the seconds of each way, in turns, and those of all cores added up, which other programs disturb less.

    Each ingest has a splitter that does not know the words of the documents yet.
    """
    embedder = open_embedder(settings)
    requests = requests_of(path, make_splitter())
    seconds: dict[str, list[float]] = {"engine": [], "ingest": [], "second_ingest": []}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in seconds}
    tokens = 0
    try:
        await embedder.embed(embedder.get_model(MODEL), requests[:200])  # the first calls compile
        for number in range(rounds):
            started, cpu_started = time.perf_counter(), time.process_time()
            embeddings = await embedder.embed(embedder.get_model(MODEL), requests, priority=Priority.BATCH)
            seconds["engine"].append(time.perf_counter() - started)
            cpu_seconds["engine"].append(time.process_time() - cpu_started)
            tokens = sum(each.token_count for each in embeddings)
            with open_collection(str(folder / f"{number}.db"), "docs", is_only_client=True) as collection:
                for name in ("ingest", "second_ingest"):
                    cpu_started = time.process_time()
                    report = await ingest(collection, embedder, find_sources(path), splitter=make_splitter())
                    seconds[name].append(report.seconds)
                    cpu_seconds[name].append(time.process_time() - cpu_started)
                    assert report.embedded == (len(requests) if name == "ingest" else 0)
                    assert report.has_changed == (name == "ingest")
    finally:
        await embedder.close()
    return {"texts": len(requests), "tokens": tokens, "seconds": seconds, "cpu_seconds": cpu_seconds}


def time_commands(path: Path, uri: Path, folder: Path) -> dict[str, float]:
    """Return the whole seconds of `gemvec index` on an empty collection and on the full one, and of `gemvec search`."""
    gemvec, options = [sys.executable, "-m", "gemvec"], ["--uri", str(uri), "--embedding-cache-bytes", "0"]
    index = [*gemvec, "index", str(path), *options]
    commands = {
        "first_index": index,
        "second_index": index,
        "search": [*gemvec, "search", "how is a file opened?", *options],
        "import_pymilvus": [sys.executable, "-c", "import pymilvus"],
    }
    seconds: dict[str, float] = {}
    for name, command in commands.items():
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        seconds[name] = round(time.perf_counter() - started, 3)
    return seconds


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="Markdown to index instead")
    parser.add_argument("--corpus", default="", help="what it is, for the result")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args()
    settings = Settings.load(model=(MODEL,))
    loaded = load_model(MODEL, settings.cache_dir)
    tokenizer_file, sizes = loaded.folder / "tokenizer.json", PassageOptions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = options.folder or collect(folder, tokenizer_file, options.passages)
        measured = asyncio.run(
            measure(settings, path, folder, partial(Splitter, sizes, tokenizer_file), options.rounds)
        )
        commands = time_commands(path, folder / "command.db", folder)
    medians = {name: statistics.median(times) for name, times in measured["seconds"].items()}
    cpu_medians = {name: statistics.median(times) for name, times in measured["cpu_seconds"].items()}
    result = {
        **describe_run(PACKAGES),
        **({"corpus": options.corpus} if options.folder else {}),
        "settings": {"model": MODEL, "precision": settings.precision, "passages": asdict(sizes)},
        **measured,
        "engine_texts_per_second": round(measured["texts"] / medians["engine"], 1),
        "ingest_texts_per_second": round(measured["texts"] / medians["ingest"], 1),
        "ingest_share_of_engine": round(medians["engine"] / medians["ingest"], 3),
        "ingest_share_of_engine_by_cpu": round(cpu_medians["engine"] / cpu_medians["ingest"], 3),
        "second_ingest_share_of_first": round(medians["second_ingest"] / medians["ingest"], 4),
        "command_seconds": commands,
        "second_command_share_of_first": round(commands["second_index"] / commands["first_index"], 4),
        "load_average_at_the_end": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(result, indent=2))
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
