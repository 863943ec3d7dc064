"""How well dense search, sparse search and both together find the right passage, for several ways to join the two.

    python benchmarks/hybrid.py [--passages 2500] [--questions 400] [--output benchmarks/results/hybrid.json]

Three sets. `documentation`: the questions of `tests/milvus/questions.jsonl` about this project's pages. `docstrings`:
the first sentence of a docstring is asked, the rest of it is the passage to be found among those of other docstrings of
the standard library. `identifiers`: names such as `json_contains` that stand in one to three passages of the pages are
asked, and a right passage has the name. The model is the default one. `rank` is reciprocal rank fusion (constant 60),
`search` is what `gemvec search --hybrid` does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ingest import find_docstrings, find_modules
from machine import describe_run

from gemvec.embedding.embedder import Embedder
from gemvec.milvus import CollectionVersion, Document, Hit, PassageOptions, Sources, Splitter, ingest, open_collection
from gemvec.milvus.embed import embed_query
from gemvec.milvus.fusion import find_dense_share, fuse
from gemvec.milvus.search import search_dense, search_sparse
from gemvec.models.local import open_embedder
from gemvec.models.weights import load_model
from gemvec.settings import Settings

ROOT = Path(__file__).parent.parent

CANDIDATES, RRF_CONSTANT = 50, 60
MAX_NAMES, MAX_PASSAGES_OF_A_NAME = 200, 3
_NAME = re.compile(r"(?<![\w./-])[A-Za-z]+(?:_[A-Za-z]+)+(?![\w./-])")
IsRight = Callable[[Hit], bool]
Ranking = list[tuple[str, float]]


def join_ranks(dense: Ranking, sparse: Ranking) -> Ranking:
    """Return reciprocal rank fusion."""
    scores: dict[str, float] = {}
    for ranking in (dense, sparse):
        for rank, (key, _) in enumerate(ranking, start=1):
            scores[key] = scores.get(key, 0) + 1 / (RRF_CONSTANT + rank)
    return sorted(scores.items(), key=lambda item: -item[1])


WAYS: dict[str, Callable[[str, Ranking, Ranking], Ranking]] = {
    "dense": lambda _, dense, __: dense,
    "sparse": lambda _, __, sparse: sparse,
    "rank": lambda _, dense, sparse: join_ranks(dense, sparse),
    "search": lambda question, dense, sparse: fuse(dense, sparse, share=find_dense_share(question)),
    **{f"score {share}": lambda _, m, w, share=share: fuse(m, w, share=share) for share in (0.5, 0.6, 0.7, 0.8, 0.9)},
}


def squeeze(text: str) -> str:
    """Return the text with single blanks."""
    return " ".join(text.split())


def load_questions() -> list[tuple[str, IsRight]]:
    """Return the questions about our own pages, each with what tells its right passages."""
    lines = (ROOT / "tests/milvus/questions.jsonl").read_text().splitlines()

    def judge(answers: Sequence[dict[str, str]]) -> IsRight:
        return lambda hit: any(
            hit.source == each["source"] and squeeze(each["passage"]) in squeeze(hit.text) for each in answers
        )

    return [(each["question"], judge(each["answers"])) for each in map(json.loads, lines)]


def find_identifiers(documents: Sequence[Document], splitter: Splitter) -> list[tuple[str, IsRight]]:
    """Return names that stand in one to three passages, each with what tells its right passages."""
    passages = [passage.text for each in documents for passage in splitter.split(each)]
    counts = Counter(name for text in passages for name in set(_NAME.findall(text)))
    names = sorted(name for name, count in counts.items() if count <= MAX_PASSAGES_OF_A_NAME)
    random.Random(2).shuffle(names)  # not a secret

    def judge(name: str) -> IsRight:
        return lambda hit: name in _NAME.findall(hit.text)

    return [(name, judge(name)) for name in names[:MAX_NAMES]]


def collect_docstrings(wanted: int) -> dict[str, str]:
    """Return the rest of docstrings by their first sentence."""
    found: dict[str, str] = {}
    for name, path in find_modules():
        for _, text in find_docstrings(path, name):
            first, _, rest = text.partition("\n\n")
            first, rest = squeeze(first), rest.strip()[:500]
            if len(rest) > 150 and 30 < len(first) < 200:
                found.setdefault(first, rest)
            if len(found) == wanted:
                return found
    return found


async def measure(
    embedder: Embedder, version: CollectionVersion, questions: Sequence[tuple[str, IsRight]]
) -> dict[str, dict[str, float]]:
    """Return hit@1, hit@3, hit@10 and mean reciprocal rank of each way."""
    ranks: dict[str, list[int | None]] = {way: [] for way in WAYS}
    for question, is_right in questions:
        vector = await embed_query(embedder, version.fingerprint, question, collection="docs")
        dense = search_dense(version, vector, CANDIDATES, "")
        sparse = search_sparse(version, question, CANDIDATES, "")
        hits = {hit.key: hit for hit in (*dense, *sparse)}
        lists = [[(hit.key, hit.score) for hit in ranking] for ranking in (dense, sparse)]
        for way, join in WAYS.items():
            places = (place for place, (key, _) in enumerate(join(question, *lists), start=1) if is_right(hits[key]))
            ranks[way].append(next(places, None))
    return {way: _score(found) for way, found in ranks.items()}


def _score(ranks: Sequence[int | None]) -> dict[str, float]:
    hits = {f"hit@{k}": sum(rank is not None and rank <= k for rank in ranks) / len(ranks) for k in (1, 3, 10)}
    mrr = sum(1 / rank for rank in ranks if rank) / len(ranks)
    return {name: round(value, 4) for name, value in {**hits, "mrr": mrr}.items()}


async def run(passages: int, asked: int, folder: Path) -> dict[str, object]:
    """Index and ask all sets."""
    settings = Settings.load()
    tokenizer = load_model(settings.model[0], settings.cache_dir).folder / "tokenizer.json"
    embedder = open_embedder(settings)
    result: dict[str, object] = {}
    with open_collection(str(folder / "pages.db"), "docs") as collection:
        sources = Sources([str(ROOT / "docs"), str(ROOT / "README.md")])
        pages = [each for each in sources if isinstance(each, Document)]
        splitter = Splitter(tokenizer_file=tokenizer)
        await ingest(collection, embedder, [_relative(each) for each in pages], splitter=splitter)
        questions = load_questions()
        result["documentation"] = {"questions": len(questions)} | await measure(
            embedder, collection.resolve(), questions
        )
        names = find_identifiers(pages, splitter)
        result["identifiers"] = {"questions": len(names)} | await measure(embedder, collection.resolve(), names)
    items = list(collect_docstrings(passages).items())
    random.Random(1).shuffle(items)  # not a secret
    with open_collection(str(folder / "docstrings.db"), "docs") as collection:
        documents = [Document(id=str(number), text=rest) for number, (_, rest) in enumerate(items)]
        await ingest(collection, embedder, documents, splitter=Splitter(PassageOptions(max_tokens=256)))
        known = [(first, _is_document(str(number))) for number, (first, _) in enumerate(items[:asked])]
        result["docstrings"] = {"questions": len(known), "passages": len(items)} | await measure(
            embedder, collection.resolve(), known
        )
    await embedder.close()
    return result


def _relative(document: Document) -> Document:
    return replace(document, source=document.source.removeprefix(f"{ROOT}/"))


def _is_document(wanted: str) -> IsRight:
    return lambda hit: hit.document_id == wanted


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", type=int, default=2500)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measured = asyncio.run(run(options.passages, options.questions, Path(name)))
    text = json.dumps({**describe_run(), **measured}, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
