"""BM25 finds words in scripts without spaces, and without regard to accents and case, in every kind of collection."""

import asyncio

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from gemvec.milvus import Document, Splitter, ingest
from gemvec.milvus.search import search_sparse
from gemvec.milvus.words import index_words, query_words

TEXTS = {
    "en": "Refunds take three days.",
    "es": "Los reembolsos tardan tres días, incluso en años bisiestos.",
    "zh": "本产品支持自动备份功能。每天凌晨备份一次。",
    "ru": "Резервное копирование выполняется ежедневно, ещё и ночью.",
    "ja": "自動バックアップは毎日実行されます。",
    "ko": "자동 백업은 매일 새벽에 실행됩니다.",
    "th": "ระบบสำรองข้อมูลอัตโนมัติทุกคืน",
    "de": "Der Zug hält in jeder größeren STRASSE.",
    "el": "ωραία ημέρα",
}


@pytest.fixture
def indexed(collection, embedder):
    asyncio.run(ingest(collection, embedder, [Document(id=name, text=text) for name, text in TEXTS.items()]))
    return collection


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("备份", ["zh"]),
        ("每天", ["zh"]),
        ("份", ["zh"]),
        ("バックアップ", ["ja"]),
        ("実行", ["ja"]),
        ("백업", ["ko"]),
        ("ข้อมูล", ["th"]),
        ("dias", ["es"]),
        ("DÍAS", ["es"]),
        ("años", ["es"]),
        ("копирование", ["ru"]),
        ("еще", ["ru"]),
        ("straße", ["de"]),
        ("ημερα", ["el"]),
        ("refunds", ["en"]),
    ],
)
def test_a_word_is_found_inside_a_sentence_of_any_script(indexed, query, found):
    assert [hit.document_id for hit in search_sparse(indexed.resolve(), query, 5, "")] == found


@pytest.mark.parametrize("text", ["plain words, E-1042", "snake_case and CamelCase"])
def test_plain_english_stays_as_it_is(text):
    assert index_words("Title", "", text) == f"Title\n{text}"
    assert query_words(text) == text


def test_a_letter_whose_mark_makes_it_another_letter_keeps_it():
    assert index_words("й", "") != index_words("и", "")
    assert index_words("が", "") != index_words("か", "")


def test_rows_from_before_are_still_found_by_the_words_they_have():
    assert "días" in query_words("días").split()


def test_a_script_that_the_model_does_not_know_is_said_once(collection, embedder, tmp_path):
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0} | {chr(code): code for code in range(32, 128)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Split("", "isolated")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    documents = [
        *(Document(id=f"zh{number}", text=f"{TEXTS['zh']} {number}") for number in range(3)),
        Document(id="ko", text=TEXTS["ko"]),
        Document(id="en", text=TEXTS["en"]),
    ]
    splitter = Splitter(tokenizer_file=tmp_path / "tokenizer.json")
    report = asyncio.run(ingest(collection, embedder, documents, splitter=splitter))
    assert [(note.id, note.is_loss) for note in report.notes] == [("zh0", False), ("ko", False)]
    assert "(Chinese)" in report.notes[0].reason
    assert "(Korean)" in report.notes[1].reason
