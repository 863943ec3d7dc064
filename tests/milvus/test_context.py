"""Passages with their neighbours, one passage a document, and the places of a query's words."""

import asyncio
import re

import pytest
from msgspec import structs

from counting_embedder import CountingEmbedder
from gemvec.errors import InvalidRequest
from gemvec.milvus import Document, PassageOptions, Splitter, ingest, search
from gemvec.milvus.context import read_document
from gemvec.milvus.highlights import find_highlights

LONG = "\n\n".join(
    f"Part {number} speaks of {word} and nothing else." for number, word in enumerate(["tea", "milk", "jam"])
)


@pytest.fixture
def indexed(collection, embedder):
    documents = [
        Document(id="long", text=LONG),
        Document(id="same", text=LONG.replace("nothing", "little")),
        Document(id="far", text="Something quite different."),
    ]
    splitter = Splitter(PassageOptions(max_tokens=12, overlap_tokens=0))
    asyncio.run(ingest(collection, embedder, documents, splitter=splitter))
    return collection


def ask(collection, query, **options):
    return asyncio.run(search(collection, CountingEmbedder(), query, **options))


@pytest.mark.parametrize("hybrid", [False, True])
def test_one_passage_of_each_document_when_asked(indexed, hybrid):
    assert [hit.document_id for hit in ask(indexed, "speaks of milk and nothing", limit=3, hybrid=hybrid)] != [
        "long",
        "same",
        "far",
    ]
    hits = ask(indexed, "speaks of milk and nothing", limit=3, hybrid=hybrid, by_document=True)
    assert [hit.document_id for hit in hits] == ["long", "same", "far"]
    assert hits[0].text == "Part 1 speaks of milk and nothing else."


def test_a_passage_comes_with_its_neighbours(indexed):
    (hit,) = ask(indexed, "speaks of milk and nothing", limit=1, context=1)
    assert (hit.text, hit.chunk, hit.position) == (LONG, 1, "line 1")
    (hit,) = ask(indexed, "speaks of tea and nothing", limit=1, context=1)
    assert hit.text == "\n\n".join(LONG.split("\n\n")[:2])


def test_a_passage_in_the_text_of_a_better_one_is_left_out(indexed):
    hits = ask(indexed, "speaks of milk and nothing", limit=10, context=1)
    assert sorted(hit.document_id for hit in hits) == ["far", "long", "same"]


def test_what_a_passage_repeats_of_the_one_before_comes_once(collection, embedder):
    words = " ".join(f"word{number}" for number in range(60))
    splitter = Splitter(PassageOptions(max_tokens=30, overlap_tokens=10))
    asyncio.run(ingest(collection, embedder, [Document(id="a", text=words)], splitter=splitter))
    (hit, *_) = ask(collection, "word20", limit=1, context=20)
    assert hit.text == words


REPEATS = {  # a line that the source has twice, at the end of one passage and at the start of the next one
    "lines": Document(
        id="a",
        text="First words of the whole talk here.\nYes, I agree with that.\n\nYes, I agree with that.\nLast words.",
    ),
    "no overlap": Document(
        id="a", text="First words of the whole talk.\n\nYes, I agree.\n\nYes, I agree.\n\nLast words.", has_lines=False
    ),
}


@pytest.mark.parametrize("name", REPEATS)
def test_a_line_that_the_source_has_twice_comes_twice(collection, embedder, name):
    document = REPEATS[name]
    options = PassageOptions(max_tokens=12, overlap_tokens=0 if name == "no overlap" else 6)
    asyncio.run(ingest(collection, embedder, [document], splitter=Splitter(options)))
    assert read_document(collection.resolve(), "a").text.split() == document.text.split()
    assert ask(collection, "words", limit=1, context=20)[0].text.split() == document.text.split()


def test_an_id_with_quotes_finds_its_neighbours(collection, embedder):
    document = Document(id='say "hi" \\ there', text=LONG)
    splitter = Splitter(PassageOptions(max_tokens=12, overlap_tokens=0))
    asyncio.run(ingest(collection, embedder, [document], splitter=splitter))
    assert ask(collection, "speaks of milk", limit=1, context=1)[0].text == LONG


@pytest.mark.parametrize("context", [-1, 21])
def test_a_wrong_context_is_refused(indexed, context):
    with pytest.raises(InvalidRequest, match=f"context is {context}"):
        ask(indexed, "milk", context=context)


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        ("the refund", "The refund takes. REFUND again", ["refund", "REFUND"]),
        ("dias", "Tres días después", ["días"]),
        ("DÍAS", "tres dias", ["dias"]),
        ("自動備份", "支持自動備份功能", ["自動備份"]),
        ("备份", "本产品支持自动备份功能。每天备份", ["备份", "备份"]),
        ("error E-1042", "Error E-1042 means", ["Error", "E", "1042"]),
        ("ข้อมูล", "การสำรองข้อมูลทุกคืน", ["ข้อมูล"]),
        ("बैकअप", "हर रात बैकअप लिया", ["बैकअप"]),
        ("STRASSE", "in der Straße", ["Straße"]),
        ("istanbul", "İSTANBUL güzel", ["İSTANBUL"]),
        ("tea", "steam", []),
        ("", "text", []),
    ],
)
def test_the_words_of_a_query_are_found_in_a_text(query, text, found):
    assert [text[start:end] for start, end in find_highlights(query, text)] == found


class _KnowsOnlyEnglish(CountingEmbedder):
    async def embed(self, model, requests, **options):
        read = [structs.replace(each, text=re.sub(r"[^\x00-\x7f]+", "unk", each.text)) for each in requests]
        return await super().embed(model, read, **options)


def test_words_decide_a_hybrid_search_in_a_script_that_the_model_does_not_know(collection):
    embedder = _KnowsOnlyEnglish()
    documents = [Document(id="other", text="unk"), Document(id="named", text="The capital is ከተማ as all say.")]
    asyncio.run(ingest(collection, embedder, documents))

    def find(knows_script):
        hits = asyncio.run(search(collection, embedder, "ከተማ", hybrid=True, knows_script=knows_script))
        return [hit.document_id for hit in hits]

    assert find(knows_script=True) == ["other", "named"]
    assert find(knows_script=False) == ["named", "other"]
