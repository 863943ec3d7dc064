"""A text of a kind that the model was not made for is told by its tokens."""

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from gemvec.models.vocabulary import UnfamiliarTokens

ENGLISH = ["[UNK]", "the", "dog", "run", "##s", *(f"##{each}" for each in "dogлицяت"), *"л中文ت"]


def share(tokenizer, text):
    """Return the share of a text's tokens that are unfamiliar."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return UnfamiliarTokens(tokenizer).count(ids) / len(ids)


def wordpiece(pieces):
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return tokenizer


def byte_fallback():
    pieces = ["<unk>", *(f"<0x{number:02X}>" for number in range(256)), *"dogю"]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    return tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))


def byte_level():
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: place for place, piece in enumerate([*pieces, "Ñİ"])}  # one letter whole
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, [("Ñ", "İ")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "text", "unfamiliar"),
    [
        (wordpiece(ENGLISH), "The dog runs", 1 / 4),
        (wordpiece(ENGLISH), "лиця", 3 / 4),
        (wordpiece(ENGLISH), "中文", 1),
        (wordpiece(ENGLISH), "ไทย 한국어", 1),
        (wordpiece(["[UNK]", *map(chr, range(0x4E00, 0x5600))]), "中", 0),
        (byte_fallback(), "dogю", 0),
        (byte_fallback(), "中", 1),
        (byte_level(), "dog ю", 0),
        (byte_level(), "中", 1),
    ],
)
def test_letters_and_bytes_of_other_scripts_are_unfamiliar(tokenizer, text, unfamiliar):
    assert share(tokenizer, text) == pytest.approx(unfamiliar)


def test_the_unknown_token_of_a_unigram_vocabulary_is_unfamiliar():
    tokenizer = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), ("dog", -1.0)], unk_id=0))
    assert share(tokenizer, "dog中文") == pytest.approx(1 / 2)


def test_a_token_is_judged_the_same_each_time():
    tokenizer = wordpiece(ENGLISH)
    unfamiliar, texts = UnfamiliarTokens(tokenizer), ["the dog", "the лиця dog", "лиця лиця", "the dog"]
    assert [unfamiliar.count(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts] == [0, 3, 6, 0]


def test_a_token_that_was_added_to_the_vocabulary_is_familiar():
    tokenizer = wordpiece(ENGLISH)
    tokenizer.add_tokens(["龘"])
    assert share(tokenizer, "the 龘") == 0
