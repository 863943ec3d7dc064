"""Read public corpora as `gemvec index` does, and report per format what came out of them.

    pip install trafilatura        # and pandoc, for the comparisons; without them these figures are left out
    python tools/corpora.py NAME=FOLDER ... [--commit NAME=COMMIT ...] [--output benchmarks/results/corpora.json]

Reported for each format of each corpus: files read and left out, passages, characters in passages, processor seconds,
passages that are only markup (no letter and no digit is left without tags, addresses, links' targets and punctuation),
and which share of a reference extractor's words the passages hold, by characters: PDFium's raw text for PDF,
trafilatura's main text for HTML, pandoc's for the others. The reference reads a sample of the files.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemvec.documents import BadDocument, Document, Sources, Splitter
from gemvec.documents.document import settle_document
from gemvec.documents.front_matter import split_front_matter
from gemvec.documents.text import fold
from gemvec.models.weights import load_model
from gemvec.settings import Settings

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from machine import describe_run

SAMPLE = 40  # files of each format that the reference extractor reads
REFERENCE_SECONDS = 60
PANDOC_FORMATS = {
    ".md": "gfm+yaml_metadata_block",
    ".rst": "rst",
    ".docx": "docx",
    ".odt": "odt",
    ".epub": "epub",
    ".ipynb": "ipynb",
    ".org": "org",
}
_MARKUP = re.compile(
    r"!\[\[[^\]]*\]\]|!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])|</?[A-Za-z][^<>]*>|<!--.*?-->|https?://\S+|&\w+;",
    re.DOTALL,
)
# Each character of a script without spaces: its words go on behind a mark of emphasis, which pandoc does not write.
_WITHOUT_SPACES = "\u0e01-\u0eff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_WITHOUT_SPACES}]|[^\W{_WITHOUT_SPACES}]+")
_PAGE = re.compile(r"\s*<(?=.*</h[12]>)", re.DOTALL)


@dataclass(slots=True)
class Tally:
    """What came out of the files of one format."""

    documents: int = 0
    passages: int = 0
    characters: int = 0
    cpu_seconds: float = 0.0
    markup_only: list[str] = field(default_factory=list[str])
    read: list[tuple[Document, str]] = field(default_factory=list[tuple[Document, str]])

    def to_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "documents": self.documents,
            "passages": self.passages,
            "characters": self.characters,
            "cpu_seconds": round(self.cpu_seconds, 2),
            "passages_only_markup": len(self.markup_only),
        }


def is_only_markup(document: Document, passage: str) -> bool:
    """Whether nothing is left to read without markup, of which plain text has none."""
    rest = _MARKUP.sub(r"\1", passage) if document.format == "markdown" else passage
    return not any(character.isalnum() for character in rest)


def read_corpus(folder: Path, splitter: Splitter) -> tuple[dict[str, Tally], list[BadDocument]]:
    """Return what each format gives, and what was left out."""
    tallies: dict[str, Tally] = {}
    bad: list[BadDocument] = []
    documents = iter(Sources([str(folder)], root=folder))
    while True:
        started = time.process_time()
        found = next(documents, None)
        if found is None:
            return tallies, bad
        document = settle_document(found)
        if isinstance(document, BadDocument):
            bad.append(document)
            continue
        passages = splitter.split(document)
        tally = tallies.setdefault(Path(document.source).suffix.lower(), Tally())
        tally.cpu_seconds += time.process_time() - started
        tally.documents += 1
        tally.passages += len(passages)
        tally.characters += sum(len(each.text) for each in passages)
        empty = (each for each in passages if is_only_markup(document, each.text))
        tally.markup_only += [f"{document.id}, {each.position}" for each in empty]
        tally.read.append((document, "\n".join(f"{each.title}\n{each.text}" for each in passages)))


def find_reference(suffix: str) -> tuple[str, Callable[[Path], str]] | None:
    """Return the extractor to compare with, and its name; None where there is none on this machine."""
    if suffix == ".pdf":
        return "PDFium", read_with_pdfium
    if suffix in {".html", ".htm"}:
        try:
            import trafilatura
        except ImportError:
            return None
        return "trafilatura", lambda path: trafilatura.extract(path.read_text(errors="replace")) or ""
    if suffix in PANDOC_FORMATS and shutil.which("pandoc"):
        return "pandoc", read_with_pandoc
    return None


def read_with_pdfium(path: Path) -> str:
    """Return the raw text of a PDF; a hyphen at a line's end is left out."""
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    text = "\n".join(page.get_textpage().get_text_range(errors="replace") for page in document)
    return re.sub("\ufffe|(?<=\\w)-\r?\n", "", text)


def read_with_pandoc(path: Path) -> str:
    """Return the text of a file as pandoc writes it, also of a page that is called Markdown, as translations are.

    Pandoc takes the code in such pages for Markdown, and writes its tags.
    """
    written, page = PANDOC_FORMATS[path.suffix.lower()], ""
    if path.suffix.lower() == ".md":
        body, _, _ = split_front_matter(path.read_text(errors="replace"))
        written, page = ("html", body) if _PAGE.match(body) else (written, "")
    command = ["pandoc", "--from", written, "--to", "plain", "--wrap", "none", "--ipynb-output", "none"]
    command += [] if page else [str(path)]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=False, timeout=REFERENCE_SECONDS)
    return done.stdout if done.returncode == 0 else ""


def compare(tally: Tally, folder: Path, suffix: str) -> dict[str, Any]:
    """Return which share of the reference's words the passages hold."""
    reference = find_reference(suffix)
    if reference is None:
        return {}
    name, extract = reference
    known = kept = files = 0
    worst: list[tuple[float, str]] = []
    for document, ours in random.Random(0).sample(tally.read, min(SAMPLE, len(tally.read))):
        try:
            theirs = count_words(extract(folder / document.source))
        except Exception as error:  # noqa: BLE001 # the reference may fail at anything
            print(f"{name} cannot read {document.source}: {error}", file=sys.stderr)
            continue
        if not theirs:
            continue
        both = theirs & count_words(ours)
        files += 1
        known, kept = known + count_characters(theirs), kept + count_characters(both)
        worst.append((count_characters(both) / count_characters(theirs), document.id))
    if not known:
        return {}
    print(f"  {suffix} least: {[(round(share, 2), each) for share, each in sorted(worst)[:4]]}", file=sys.stderr)
    return {"reference": name, "reference_files": files, "kept": round(kept / known, 4)}


def count_words(text: str) -> Counter[str]:
    """Return how often each word occurs."""
    return Counter(_WORD.findall(fold(text).casefold()))


def count_characters(words: Counter[str]) -> int:
    """Return the length of all words."""
    return sum(len(word) * count for word, count in words.items())


def measure(folder: Path, splitter: Splitter) -> dict[str, Any]:
    """Return the figures of one corpus."""
    tallies, bad = read_corpus(folder, splitter)
    for tally in tallies.values():
        for place in tally.markup_only:
            print(f"  only markup: {place}", file=sys.stderr)
    return {
        "formats": {
            suffix: tally.to_json() | compare(tally, folder, suffix) for suffix, tally in sorted(tallies.items())
        },
        "left_out": dict(Counter(each.reason for each in bad).most_common(20)),
    }


def split_pairs(pairs: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of `NAME=VALUE`."""
    for each in pairs:
        name, _, value = each.partition("=")
        yield name, value


def main() -> None:
    """Read, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpora", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--commit", action="append", default=[], metavar="NAME=COMMIT")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    commits, folders = dict(split_pairs(options.commit)), dict(split_pairs(options.corpora))
    settings = Settings.load()
    splitter = Splitter(tokenizer_file=load_model(settings.model[0], settings.cache_dir).folder / "tokenizer.json")
    corpora: dict[str, Any] = {}
    for name, folder in folders.items():
        print(name, file=sys.stderr, flush=True)
        corpora[name] = {"commit": commits.get(name, "")} | measure(Path(folder), splitter)
    result = describe_run(("gemvec", "pypdfium2", "beautifulsoup4", "markdownify", "mammoth"))
    result |= {"command": "python tools/corpora.py NAME=FOLDER ...", "corpora": corpora}
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
