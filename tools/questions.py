"""Ask questions about public corpora as `gemvec search` does, and count those that find their document.

    python tools/questions.py LANGUAGE=FOLDER ... [--commit LANGUAGE=COMMIT ...] [--model LANGUAGE=MODEL ...]
        [--output benchmarks/results/questions.json]

The questions are in `milvus_questions.jsonl`: seventeen in English about `site/en` of github.com/milvus-io/milvus-docs,
six each in Spanish, Chinese and Russian about the folders `faq`, `about`, `getstarted` and `userGuide/collections` of
`localization/v2.6.x/site/{es,zh,ru}` of github.com/milvus-io/web-content. A question is right when one of the first
three passages (`by document`: documents) comes from a file whose name matches the question's pattern. `unanswerable`
are those for which the corpus has no file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gemvec.documents import Sources, Splitter
from gemvec.milvus import ingest, open_collection, search
from gemvec.models.local import open_embedder
from gemvec.models.weights import load_model
from gemvec.settings import Settings

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from machine import describe_run

QUESTIONS = Path(__file__).with_name("milvus_questions.jsonl")
LOOKED_AT = 3
WAYS: dict[str, dict[str, bool]] = {
    "dense": {},
    "hybrid": {"hybrid": True},
    "dense, by document": {"by_document": True},
    "hybrid, by document": {"hybrid": True, "by_document": True},
}


async def ask(folder: Path, questions: list[dict[str, str]], settings: Settings) -> dict[str, Any]:
    """Index a folder, and return how many questions find their file."""
    tokenizer = load_model(settings.model[0], settings.cache_dir).folder / "tokenizer.json"
    embedder = open_embedder(settings)
    missed: dict[str, list[str]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as kept, open_collection(f"{kept}/corpus.db", "docs") as collection:
        sources = Sources([str(folder)], root=folder)
        await ingest(collection, embedder, sources, splitter=Splitter(tokenizer_file=tokenizer))
        names = {row["source"] for row in collection.resolve().scan(["source"])}
        for way, each in ((way, each) for each in questions for way in missed):
            hits = await search(collection, embedder, each["query"], limit=LOOKED_AT, **WAYS[way])
            if not any(re.search(each["want"], hit.source) for hit in hits):
                missed[way].append(each["query"])
    await embedder.close()
    return {
        "model": settings.model[0],
        "questions": len(questions),
        "right": {way: len(questions) - len(each) for way, each in missed.items()},
        "missed": missed,
        "unanswerable": [
            each["query"] for each in questions if not any(re.search(each["want"], name) for name in names)
        ],
    }


def split_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Return the values of `NAME=VALUE` by name."""
    return {name: value for name, _, value in (each.partition("=") for each in pairs)}


def main() -> None:
    """Index, ask, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("corpora", nargs="+", metavar="LANGUAGE=FOLDER")
    parser.add_argument("--commit", action="append", default=[], metavar="LANGUAGE=COMMIT")
    parser.add_argument("--model", action="append", default=[], metavar="LANGUAGE=MODEL", help="others: the default")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    commits, models = split_pairs(options.commit), split_pairs(options.model)
    lines = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    found: dict[str, Any] = {}
    for language, folder in split_pairs(options.corpora).items():
        settings = Settings.load(**({"model": (models[language],)} if language in models else {}))
        questions = [each for each in lines if each["language"] == language]
        found[language] = {"commit": commits.get(language, "")} | asyncio.run(ask(Path(folder), questions, settings))
        print(language, found[language]["right"], file=sys.stderr, flush=True)
    command = "python tools/questions.py LANGUAGE=FOLDER ... --output benchmarks/results/questions.json"
    result = describe_run(("gemvec", "milvus-lite", "pymilvus")) | {"command": command, "languages": found}
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
