"""Kill `gemvec index` at random moments while documents of many formats change, and compare with an undisturbed run.

python tools/crash_index.py [--kills 100] [--seed 0] [--json benchmarks/results/index_crashes.json]

Half of the lives are `gemvec index --prune`, half `gemvec index --watch`, in which documents change while it runs.
After every few kills one whole run follows, and its rows must be those of an index that was made at once from the same
files. The model is the tests' tiny one, so nothing is downloaded. Lives are forked from this process, which has
imported everything, so that kills meet the work and not the start.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import multiprocessing
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import docx
import milvus_lite  # noqa: F401 - imported before the forks
import openpyxl
import openvino  # noqa: F401 - as above
import pptx
import pymilvus  # noqa: F401 - as above
import watchfiles  # noqa: F401 - as above
from make_tiny_model import write_tiny_model

import gemvec.cli.index
import gemvec.cli.watch
import gemvec.models.local
from gemvec.milvus import open_collection

ROOT = Path(__file__).parent.parent
FORK = multiprocessing.get_context("fork")
LIVES_PER_COMPARISON = 12
FILES = 44
LONGEST_RUN_SECONDS = 600


def write_parts(number: int, edition: int) -> list[tuple[str, str]]:
    """Return headings and texts of one document; another edition shares some of them with this one."""
    return [
        (f"Part {part}", f"Part {part} of document {number} says what edition {edition // (part + 1)} of it says. " * 3)
        for part in range(number % 6 + 1)
    ]


def make_markdown(number: int, edition: int) -> bytes:
    """Return a Markdown file."""
    parts = "".join(f"## {name}\n\n{text}\n\n" for name, text in write_parts(number, edition))
    return f"---\ntitle: Document {number}\n---\n{parts}".encode()


def make_html(number: int, edition: int) -> bytes:
    """Return a web page."""
    parts = "".join(f"<h2>{name}</h2><p>{text}</p>" for name, text in write_parts(number, edition))
    return f"<html><title>Document {number}</title><body><nav>Menu</nav>{parts}</body></html>".encode()


def make_rst(number: int, edition: int) -> bytes:
    """Return a reStructuredText file."""
    parts = "".join(f"{name}\n{'-' * len(name)}\n\n{text}\n\n" for name, text in write_parts(number, edition))
    return parts.encode()


def make_text(number: int, edition: int) -> bytes:
    """Return a plain text."""
    return "\n\n".join(text for _, text in write_parts(number, edition)).encode()


def make_json_lines(number: int, edition: int) -> bytes:
    """Return records as JSON Lines."""
    records = enumerate(write_parts(number, edition))
    return "".join(json.dumps({"id": f"{number}-{n}", "text": text}) + "\n" for n, (_, text) in records).encode()


def make_csv(number: int, edition: int) -> bytes:
    """Return records as CSV."""
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow(["id", "title", "text"])
    rows.writerows([f"{number}-{place}", *part] for place, part in enumerate(write_parts(number, edition)))
    return file.getvalue().encode()


def make_docx(number: int, edition: int) -> bytes:
    """Return a Word document."""
    document = docx.Document()
    for name, text in write_parts(number, edition):
        document.add_heading(name, level=1)
        document.add_paragraph(text)
    return _save(document)


def make_pptx(number: int, edition: int) -> bytes:
    """Return a presentation."""
    presentation = pptx.Presentation()
    for name, text in write_parts(number, edition):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = name
        slide.placeholders[1].text = text
    return _save(presentation)


def make_xlsx(number: int, edition: int) -> bytes:
    """Return a spreadsheet."""
    book = openpyxl.Workbook()
    for part in write_parts(number, edition):
        book.active.append(part)
    return _save(book)


def make_mail(number: int, edition: int) -> bytes:
    """Return an e-mail."""
    mail = EmailMessage()
    mail["Subject"] = f"Document {number}"
    mail.set_content("\n\n".join(text for _, text in write_parts(number, edition)))
    return mail.as_bytes()


def make_notebook(number: int, edition: int) -> bytes:
    """Return a notebook."""
    cells = [
        {"cell_type": "markdown", "source": f"# {name}\n{text}", "metadata": {}}
        for name, text in write_parts(number, edition)
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def _save(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


FORMATS: dict[str, Callable[[int, int], bytes]] = {
    ".md": make_markdown,
    ".html": make_html,
    ".rst": make_rst,
    ".txt": make_text,
    ".jsonl": make_json_lines,
    ".csv": make_csv,
    ".docx": make_docx,
    ".pptx": make_pptx,
    ".xlsx": make_xlsx,
    ".eml": make_mail,
    ".ipynb": make_notebook,
}


class Campaign:
    """Many lives of `gemvec index` over one folder.

    Attributes:
        kills: how many lives ended by SIGKILL, by kind, and how many had ended before it.
        changes: files written, renamed and deleted between and during lives.
        comparisons: how many times the rows were compared.
        rows: how many rows the last comparison had.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._edition = 0
        self.kills = {"index --prune": 0, "index --watch": 0, "ended before": 0}
        self.changes = self.comparisons = self.rows = 0
        self._model = folder / "tiny"
        write_tiny_model(self._model)
        (folder / "docs").mkdir()
        for number in range(FILES):
            self._write_file(number)
        self._run_seconds = self._run_whole("killed.db")

    def run(self, kills: int, seconds: float) -> None:
        """Kill `kills` times, or fewer in `seconds`; raise AssertionError at the first difference."""
        deadline = time.monotonic() + seconds
        while self.killed < kills and time.monotonic() < deadline:
            for _ in range(LIVES_PER_COMPARISON):
                self._live_and_die()
                self._change_some()
            self._run_seconds = self._run_whole("killed.db")
            self.compare()
            print(f"{self.killed} kills, {self.comparisons} comparisons, {self.rows} rows", flush=True)

    @property
    def killed(self) -> int:
        """How many lives ended by SIGKILL."""
        return sum(self.kills.values()) - self.kills["ended before"]

    def compare(self) -> None:
        """Check that the rows are those of an undisturbed run."""
        shutil.rmtree(self._folder / "undisturbed.db", ignore_errors=True)
        self._run_whole("undisturbed.db")
        wanted, found = self._read_rows("undisturbed.db"), self._read_rows("killed.db")
        assert found.keys() == wanted.keys(), f"other rows: {sorted(found.keys() ^ wanted.keys())[:10]}"
        differing = [key for key in wanted if wanted[key] != found[key]]
        assert not differing, f"rows differ: {differing[:10]}"
        self.comparisons += 1
        self.rows = len(wanted)

    def _read_rows(self, name: str) -> dict[str, dict[str, Any]]:
        target = self._folder / "rows.json"
        process = FORK.Process(target=write_rows, args=(self._folder / name, target))
        process.start()
        process.join(LONGEST_RUN_SECONDS)
        assert process.exitcode == 0
        return json.loads(target.read_text())

    def _live_and_die(self) -> None:
        is_watching = self._chance.random() < 0.5  # noqa: PLR2004 # half of them
        process = self._start("killed.db", "--watch" if is_watching else "--prune")
        # Before it has opened anything, in the middle, or when it is nearly done; a watch goes on after that.
        until = time.monotonic() + self._chance.uniform(0, 1 + is_watching) * self._run_seconds
        while time.monotonic() < until:
            time.sleep(min(0.5, max(until - time.monotonic(), 0)))
            if is_watching:
                self._change_some(most=3)
        was_alive = process.is_alive()
        process.kill()
        process.join()
        kind = "index --watch" if is_watching else "index --prune"
        self.kills[kind if was_alive else "ended before"] += 1

    def _run_whole(self, name: str) -> float:
        """Run to the end; return how many seconds it took."""
        started = time.monotonic()
        process = self._start(name, "--prune")
        process.join(LONGEST_RUN_SECONDS)
        assert process.exitcode == 0, (self._folder / "errors").read_text()
        return time.monotonic() - started

    def _start(self, name: str, *options: str) -> BaseProcess:
        command = ["index", "docs", "--uri", f"./{name}", "--model", str(self._model), *options]
        command += ["--cache-dir", str(self._folder / "cache"), "--json"]
        process = FORK.Process(target=live, args=(self._folder, command))
        process.start()
        return process

    def _change_some(self, most: int = 12) -> None:
        for _ in range(self._chance.randint(0, most)):
            number = self._chance.randrange(FILES)
            self._edition += 1
            self.changes += 1
            path = self._name_file(number)
            if path.exists() and self._chance.random() < 0.3:  # noqa: PLR2004 # three of ten
                path.unlink()
            else:
                self._write_file(number)

    def _write_file(self, number: int) -> None:
        path = self._name_file(number)
        path.write_bytes(FORMATS[path.suffix](number, self._edition))

    def _name_file(self, number: int) -> Path:
        suffixes = list(FORMATS)
        return self._folder / "docs" / f"d{number:02}{suffixes[number % len(suffixes)]}"


def live(folder: Path, arguments: list[str]) -> None:
    """Be a `gemvec` command; its errors go to a file."""
    os.chdir(folder)
    for number, name in ((1, os.devnull), (2, "errors")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.argv = ["gemvec", *arguments]
    gemvec.cli.main()


def write_rows(path: Path, target: Path) -> None:
    """Write the rows of a collection by key, with rounded vectors."""
    with open_collection(str(path), "docs") as collection:
        rows = {row["key"]: row for row in _clean(collection.resolve().scan(["*"]))}
    target.write_text(json.dumps(rows, default=str))


def _clean(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        plain = {name: value for name, value in row.items() if name != "sparse"}
        yield {**plain, "vector": [round(float(value), 4) for value in row["vector"]]}


def main() -> None:
    """Run, print progress, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=7200, help="begin no more kills after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the result goes")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), options.seed)
        campaign.run(options.kills, options.seconds)
    result = {
        "kills": campaign.kills,
        "seed": options.seed,
        "formats": sorted(FORMATS),
        "files": FILES,
        "changes": campaign.changes,
        "comparisons": campaign.comparisons,
        "rows_at_the_end": campaign.rows,
        "differences": 0,
        "seconds": round(time.monotonic() - started),
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "command": "python tools/crash_index.py " + " ".join(sys.argv[1:]),
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text)


if __name__ == "__main__":
    main()
