"""A text in a script that the model does not know is noticed, by the model's own vocabulary."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel, WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer, Split

from gemvec.documents.vocabulary import Vocabulary


@pytest.fixture
def vocabulary(tmp_path):
    """A vocabulary of the Latin alphabet, Cyrillic, and a few Chinese characters."""
    letters = [*"abcdefghijklmnopqrstuvwxyzé .", *map(chr, range(0x430, 0x450)), *"本产品"]
    known = {"[UNK]": 0} | {letter: number for number, letter in enumerate(letters, start=1)}
    tokenizer = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Split("", "isolated")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return Vocabulary(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("plain words", ""),
        ("crème fraîche", ""),
        ("резервное копирование", ""),
        ("本产品", ""),
        ("本产品支持自动备份功能", "Chinese"),
        ("自動バックアップは毎日実行されます", "Japanese"),
        ("자동 백업은 매일 새벽에 실행됩니다", "Korean"),
        ("ระบบสำรองข้อมูล", "Thai"),
        ("a long text in english that quotes 备份 once", ""),
    ],
)
def test_the_script_of_a_text_that_is_mostly_unknown_is_named(vocabulary, text, script):
    assert vocabulary.find_unknown_script(text) == script


def test_without_a_tokenizer_nothing_is_said():
    assert Vocabulary(None).find_unknown_script("本产品支持自动备份功能") == ""


def test_a_text_of_which_only_letters_are_known_counts_as_unknown(tmp_path):
    letters = "αβγδεζηθικλμνξοπρστυφχψως"
    pieces = ["[UNK]", "backup", *letters, *(f"##{each}" for each in letters)]
    tokenizer = Tokenizer(WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert Vocabulary(tmp_path / "tokenizer.json").find_unknown_script("αυτοματα αντιγραφα") == "Greek"
