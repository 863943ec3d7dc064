"""Tokens are counted as the model's tokenizer counts them, also where words are remembered."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from gemvec.documents import token_counter
from gemvec.documents.token_counter import TokenCounter, estimate_tokens

VOCABULARY = [
    "?",
    "a",
    "b",
    "##a",
    "##b",
    "ab",
    "##ab",
    "e",
    "é",
    "##e",
    "中",
    "文",
    ".",
    "#",
    "\x00",
    "\x1c",
    "\u0301",
]
# Characters that end a word, or are none, for one of Python and the library and not for the other.
ODD = "\t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2028\u3000\u200b\x00\ufffd\u0301"
TEXTS = st.lists(st.sampled_from([*"ab eÉ.#中文 ", *ODD, "abab", "[MASK]", " [MASK] ", "e\u0301"]), max_size=40).map(
    "".join
)


def word_piece(**options):
    tokenizer = Tokenizer(models.WordPiece({token: place for place, token in enumerate(VOCABULARY)}, unk_token="?"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def marked(*tokens):
    tokenizer = word_piece()
    tokenizer.add_tokens(list(tokens))
    return tokenizer


def byte_level():
    newline = "Ċ"  # how byte-level tokenizers write it
    pieces = sorted({*pre_tokenizers.ByteLevel.alphabet(), newline * 2})
    tokenizer = Tokenizer(models.BPE({piece: place for place, piece in enumerate(pieces)}, [(newline, newline)]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


TOKENIZERS = {
    "BERT": word_piece(),
    "BERT with accents and case": word_piece(strip_accents=False, lowercase=False),
    "BERT with control characters": word_piece(clean_text=False, handle_chinese_chars=False),
    "a mask": marked(AddedToken("[MASK]", lstrip=True, rstrip=True, single_word=True)),
    "a token with a space": marked("a b"),
    "byte pairs": byte_level(),
}


@pytest.fixture(scope="module")
def counters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    for name, tokenizer in TOKENIZERS.items():
        tokenizer.save(str(folder / name))
    return {name: TokenCounter(folder / name) for name in TOKENIZERS}


@pytest.mark.parametrize("name", TOKENIZERS)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_tokens_are_those_of_the_tokenizer(counters, name, texts):
    expected = [len(TOKENIZERS[name].encode(text, add_special_tokens=False)) for text in texts]
    assert counters[name].count_all(texts) == expected
    assert [counters[name].count(text) for text in texts] == expected


def test_more_words_than_are_remembered_are_counted_in_several_threads(counters, monkeypatch):
    monkeypatch.setattr(token_counter, "_REMEMBERED_BYTES", 2_000)
    counter = counters["BERT"]
    texts = [
        " ".join(f"a{'b' * (number % 7)}a {'ab' * (number % 90)}" for number in range(start, start + 30))
        for start in range(400)
    ]
    expected = [len(TOKENIZERS["BERT"].encode(text, add_special_tokens=False)) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(counter.count, texts)) == expected


def test_words_beyond_those_remembered_are_forgotten(counters, monkeypatch):
    monkeypatch.setattr(token_counter, "_REMEMBERED_BYTES", 10_000)
    counter = TokenCounter(counters["BERT"]._file)
    for number in range(2_000):
        counter.count(f"a{number} b{number}")
    assert len(counter._words) < 400


def test_a_long_text_is_counted_in_slices(tmp_path, monkeypatch):
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))  # a token of a text
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setattr(token_counter, "_MAX_COUNTED_AT_ONCE", 500)
    counter = TokenCounter(tmp_path / "tokenizer.json")
    assert counter.count("word " * 1_000) == 1_000
    assert counter.count("") == 0


def test_estimates_count_every_character_of_chinese():
    assert estimate_tokens("向量数据库") == 5
    assert estimate_tokens("internationalisation, please") == 7
