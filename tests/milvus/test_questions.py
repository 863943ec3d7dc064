"""Thirty questions about our own documentation find their passages: `questions.jsonl` names the right ones.

An answer is right when it comes from the named page and holds the named words. The words are checked to be in the page,
so that a changed page shows here as a question to look at and not as a worse search.
"""

import asyncio
import json
from pathlib import Path

import pytest

from gemvec.milvus import Sources, Splitter, ingest, open_collection, search
from gemvec.models.local import open_embedder
from gemvec.models.weights import load_model
from gemvec.settings import Settings

ROOT = Path(__file__).parent.parent.parent
QUESTIONS = [json.loads(line) for line in (Path(__file__).parent / "questions.jsonl").read_text().splitlines()]
SOURCES = ["docs", "README.md"]
LOOKED_AT = 3


def words(text):
    return " ".join(text.split())


def rank(hits, answers):
    """Return the place of the first right hit, from 1, or None."""
    for place, hit in enumerate(hits, start=1):
        if any(hit.source == each["source"] and words(each["passage"]) in words(hit.text) for each in answers):
            return place
    return None


async def ask_all(uri, *, hybrid):
    settings = Settings.load()
    tokenizer = load_model(settings.model[0], settings.cache_dir).folder / "tokenizer.json"
    embedder = open_embedder(settings)
    with open_collection(uri, "docs") as collection:
        await ingest(collection, embedder, Sources(SOURCES), splitter=Splitter(tokenizer_file=tokenizer))
        ranks = {}
        for each in QUESTIONS:
            hits = await search(collection, embedder, each["question"], limit=LOOKED_AT, hybrid=hybrid)
            ranks[each["question"]] = rank(hits, each["answers"])
    await embedder.close()
    return ranks


def test_every_named_passage_is_in_its_page():
    for each in QUESTIONS:
        for answer in each["answers"]:
            assert words(answer["passage"]) in words((ROOT / answer["source"]).read_text()), each["question"]
    assert len(QUESTIONS) >= 30


@pytest.mark.weights
def test_nine_of_ten_questions_find_their_passage_among_the_first_three_dense_and_hybrid(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    missed = {}
    for hybrid in (False, True):
        ranks = asyncio.run(ask_all(str(tmp_path / "docs.db"), hybrid=hybrid))
        missed["hybrid" if hybrid else "dense"] = [question for question, place in ranks.items() if place is None]
    assert max(len(questions) for questions in missed.values()) <= len(QUESTIONS) // 10, missed


@pytest.mark.weights
def test_how_to_cancel_a_batch_is_found_first(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)

    async def ask():
        embedder = open_embedder(Settings.load())
        with open_collection(str(tmp_path / "docs.db"), "docs") as collection:
            await ingest(collection, embedder, Sources(["docs"]))
            hits = await search(collection, embedder, "how do I cancel a batch?")
        await embedder.close()
        return hits[0]

    best = asyncio.run(ask())
    assert (best.source, best.heading) in {
        ("docs/batches.md", "Batches > States"),
        ("docs/reference/commands.md", "Commands > gemvec batch cancel"),
    }
    assert "cancel" in best.text.lower()
